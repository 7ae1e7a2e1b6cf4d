"""What every public function does first: look at its arguments, and at the user's torch."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from rayot import _arguments as arguments
from rayot._arguments import Check

Inputs = ParamSpec("Inputs")
Output = TypeVar("Output")

BY_TYPE: dict[str, Check] = {
    "int": arguments.whole_number,
    "float": arguments.number,
    "bool": arguments.flag,
    "str": arguments.text,
    "str | Path": arguments.path,
    "Sequence[str]": arguments.texts,
    "str | Sequence[str]": arguments.texts,
    "Iterable[str]": arguments.texts,
    "dict[str, Any]": arguments.mapping,
    "pd.DataFrame": lambda name, value: table(name, value),
    "pd.DataFrame | AnnData | MuData": lambda name, value: table_or_data(name, value),
}
"""What an argument may be by its annotation, each also with ``| None``."""

_share = partial(arguments.number, low=0, high=1, open_low=True, open_high=True)
_above_zero = partial(arguments.number, low=0, open_low=True)

BY_NAME: dict[str, Check] = {
    "clip": arguments.clip,
    "control": arguments.condition,
    "dose": _above_zero,
    "fdr": _share,
    "fold_change": _above_zero,
    "gene_seed": partial(arguments.whole_number, least=0, most=arguments.LARGEST_SEED),
    "key": arguments.entry_name,
    "key_added": arguments.result_name,
    "learning_rate": _above_zero,
    "max_memory": _above_zero,
    "missing_genes": partial(arguments.one_of, choices=("error", "zero", "mean")),
    "min_expressed": partial(arguments.number, low=0, high=1),
    "n_jobs": partial(arguments.whole_number, least=-1024),
    "n_labels": arguments.from_zero,
    "noise": partial(arguments.number, low=0),
    "n_seeds": partial(arguments.whole_number, most=1000),
    "perturbation": arguments.condition,
    "pseudocount": _above_zero,
    "save": arguments.figure_file,
    "seed": partial(arguments.whole_number, least=0, most=arguments.LARGEST_SEED),
    "size": _above_zero,
    "source_key": arguments.condition,
    "stratum": arguments.condition,
    "target": arguments.condition,
    "target_dose": _above_zero,
    "target_key": arguments.condition,
    "target_sum": _above_zero,
    "target_time": _above_zero,
    "test_size": _share,
    "validation_size": partial(arguments.number, low=0, high=0.9, open_low=True, open_high=True),
    "weight_decay": partial(arguments.number, low=0),
}
"""What an argument of this name may be wherever it is one; annotations say whether None is."""

COLUMNS = (
    "groupby",
    "split_key",
    "strata_key",
    "weights_key",
    "covariate_keys",
    "dose_key",
    "time_key",
    "stratify",
    "smiles",
    "holdout",
    "color",
)
"""Arguments that name columns of ``obs``."""

EMPTY = Parameter.empty


def public(
    **checks: Check | None,
) -> Callable[[Callable[Inputs, Output]], Callable[Inputs, Output]]:
    """Check the arguments of a function before it runs, and run it whatever torch is set to.

    An argument is checked by its name and its annotation; what it is then is plain Python, so that
    NumPy's numbers can be saved. The user's ``torch.inference_mode``, ``no_grad``, ``autocast`` and
    default device do not reach into the function.

    Parameters
    ----------
    **checks
        Of arguments that are something else here than where they have the same name elsewhere;
        None leaves one to the function.
    """

    def decorate(function: Callable[Inputs, Output]) -> Callable[Inputs, Output]:
        cached: dict[str, Any] = {}

        @wraps(function)
        def checked(*args: Inputs.args, **kwargs: Inputs.kwargs) -> Output:
            if not cached:
                cached["signature"] = signature(function)
                cached["checks"] = checks_of(cached["signature"], checks)
            try:
                bound = cached["signature"].bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{function.__name__}() {error}") from None
            _check_columns(bound.arguments, cached["signature"])
            for name, check in cached["checks"].items():
                if name in bound.arguments:
                    bound.arguments[name] = check(name, bound.arguments[name])
            with ordinary_torch():
                return function(*bound.args, **bound.kwargs)

        return checked

    return decorate


def renamed(
    **names: str,
) -> Callable[[Callable[Inputs, Output]], Callable[Inputs, Output]]:
    """Take arguments by their former names too, for one release, with a FutureWarning.

    Parameters
    ----------
    **names
        From the former name to the present one.
    """

    def decorate(function: Callable[Inputs, Output]) -> Callable[Inputs, Output]:
        @wraps(function)
        def called(*args: Inputs.args, **kwargs: Inputs.kwargs) -> Output:
            for former, name in names.items():
                if former not in kwargs:
                    continue
                if name in kwargs:
                    raise TypeError(f"{former}= is {name}= now; found both, pass {name}= alone.")
                warn(f"{former}= is {name}= now; the former name will go.", FutureWarning)
                kwargs[name] = kwargs.pop(former)
            return function(*args, **kwargs)

        return called

    return decorate


def checks_of(expected: Signature, changes: Mapping[str, Check | None]) -> dict[str, Check]:
    """How each argument of a signature is checked."""
    by_argument: dict[str, Check] = {}
    for name, parameter in expected.parameters.items():
        annotation = str(parameter.annotation)
        optional = annotation.endswith(" | None") or parameter.default is None
        kind = annotation.removesuffix(" | None")
        check = BY_TYPE.get(kind)
        if kind != "ArrayLike":
            check = changes[name] if name in changes else BY_NAME.get(name, check)
        if "AnnData" in kind and kind not in BY_TYPE:
            check = annotated_data if "MuData" in kind else one_annotated_data
        if check is not None:
            by_argument[name] = _optional(check) if optional else check
    return by_argument


def _optional(check: Check) -> Check:
    """The same check, which takes None too, and says so."""

    def checked(name: str, value: object) -> Any:  # noqa: ANN401
        return value if value is None else check(name, value)

    return checked


def annotated_data(name: str, value: object) -> Any:  # noqa: ANN401
    """An AnnData, or a MuData.

    Raises
    ------
    TypeError
        If it is something else.
    """
    from anndata import AnnData

    if isinstance(value, AnnData) or is_mudata(value):
        return value
    raise TypeError(f"{name} must be an AnnData or a MuData, found {type(value).__name__}.")


def one_annotated_data(name: str, value: object) -> Any:  # noqa: ANN401
    """An AnnData.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if is_mudata(value):
        raise TypeError(
            f"{name} must be an AnnData; of a MuData take one modality, mdata.mod[...]."
        )
    return annotated_data(name, value)


def table(name: str, value: object) -> Any:  # noqa: ANN401
    """A DataFrame.

    Raises
    ------
    TypeError
        If it is something else.
    """
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return value
    raise TypeError(f"{name} must be a DataFrame, found {type(value).__name__}.")


def table_or_data(name: str, value: object) -> Any:  # noqa: ANN401
    """A DataFrame, or what holds one.

    Raises
    ------
    TypeError
        If it is something else.
    """
    import pandas as pd
    from anndata import AnnData

    if isinstance(value, pd.DataFrame | AnnData) or is_mudata(value):
        return value
    type_name = type(value).__name__
    raise TypeError(f"{name} must be a DataFrame, an AnnData or a MuData, found {type_name}.")


def is_mudata(value: object) -> bool:
    """Whether it is a MuData; whoever has one has imported mudata, which takes a while."""
    # While another thread imports mudata it has no classes yet, and nobody has a MuData.
    return isinstance(value, getattr(sys.modules.get("mudata"), "MuData", ()))


def _check_columns(bound: Mapping[str, Any], expected: Signature) -> None:
    """Raise a KeyError if a column is in ``obs`` of a MuData alone, where no modality sees it."""
    cells = bound.get("adata")
    if not is_mudata(cells):
        return
    assert cells is not None
    modality = cells.mod.get(bound.get("modality"))
    if modality is None:
        return
    for name in COLUMNS:
        default = expected.parameters[name].default if name in expected.parameters else None
        value = bound.get(name, None if default is EMPTY else default)
        names = value if isinstance(value, Iterable) else ()
        for column in [value] if isinstance(value, str) else names:
            if column not in modality.obs and column in cells.obs:
                raise KeyError(
                    f"mdata.obs has the column {column!r}, and the modality "
                    f"{bound['modality']!r} has not; call mdata.push_obs([{column!r}]) first, or "
                    f"name another {name}."
                )


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line outside of rayot that led here, whatever lies between."""
    ours = str(Path(__file__).parent)
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(ours):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


@contextmanager
def ordinary_torch() -> Iterator[None]:
    """Gradients, no autocast, and the CPU as the default device, in this block alone.

    These are settings of a thread, so nothing of the user's in another one is touched. The default
    dtype belongs to the whole process: dtypes are named wherever a tensor is made.
    """
    torch = sys.modules.get("torch")
    with ExitStack() as stack:
        # Whoever has set anything has imported torch, to its end, where compile is defined.
        if torch is not None and hasattr(torch, "compile"):
            if torch.is_inference_mode_enabled():
                stack.enter_context(torch.inference_mode(False))
            if not torch.is_grad_enabled():
                stack.enter_context(torch.enable_grad())
            for device in ("cpu", "cuda"):
                if torch.is_autocast_enabled(device):
                    stack.enter_context(torch.autocast(device, enabled=False))
            if torch.get_default_device().type != "cpu":
                stack.enter_context(torch.device("cpu"))
        yield
