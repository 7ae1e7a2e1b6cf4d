"""Keywords that several functions share: written once, in a TypedDict, and shown by each."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, ParamSpec, TypeVar, get_type_hints

Inputs = ParamSpec("Inputs")
Output = TypeVar("Output")


def expanded(
    function: Callable[..., object],
    keywords: type,
    defaults: Mapping[str, Any],
    without: Collection[str] = (),
) -> Signature:
    """The signature with every keyword of a TypedDict in the place of ``**options``.

    What the function takes beside them is an argument of Lightning's Trainer.
    """
    written = signature(function)
    *own, _ = written.parameters.values()
    shown = [
        # Annotations as they are written, like those of other functions.
        Parameter(
            name, Parameter.KEYWORD_ONLY, default=defaults[name], annotation=hint.__forward_arg__
        )
        for name, hint in keywords.__annotations__.items()
        if name not in without
    ]
    trainer = Parameter("trainer_kwargs", Parameter.VAR_KEYWORD, annotation="Any")
    return written.replace(parameters=[*own, *shown, trainer])


def _with_lines(text: str, names: Collection[str]) -> str:
    """A docstring with a line for each keyword, which ``shared`` fills, at ``{options}``."""

    def lines(match: re.Match[str]) -> str:
        return "\n".join(f"{match[1]}{{{name}}}" for name in names)

    return re.sub(r"^( *)\{options\}$", lines, text, flags=re.MULTILINE)


def takes(
    keywords: type, defaults: Mapping[str, Any], *, without: Collection[str] = ()
) -> Callable[[Callable[Inputs, Output]], Callable[Inputs, Output]]:
    """Show the keywords of a TypedDict in the signature and, at ``{options}``, in the docstring.

    Parameters
    ----------
    keywords
        What the ``**options`` of the function are typed by.
    defaults
        Of keywords that are not given, which the function does not see.
    without
        Those that the function does not take.
    """

    def decorate(function: Callable[Inputs, Output]) -> Callable[Inputs, Output]:
        expected = expanded(function, keywords, defaults, without)
        hints = get_type_hints(keywords)
        shown = {name: hint for name, hint in hints.items() if name not in without}

        @wraps(function)
        def called(*args: Inputs.args, **kwargs: Inputs.kwargs) -> Output:
            for name in without:
                if name in kwargs:
                    raise ValueError(f"{name} is no option of {function.__qualname__}.")
            return function(*args, **kwargs)

        own = {name: hint for name, hint in function.__annotations__.items() if name != "options"}
        called.__signature__ = expected  # type: ignore[attr-defined]
        called.__annotations__ = {**own, **shown}
        called.__doc__ = _with_lines(function.__doc__ or "", (*shown, "trainer_kwargs"))
        return called

    return decorate
