"""What the verbs of all methods share: fit a model, and write what it says."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Signature, cleandoc
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, get_args, get_type_hints

from rayot._docs import PARAMETERS
from rayot._keywords import expanded
from rayot._public import public, renamed
from rayot.data.files import unchanged
from rayot.data.modality import modality_of
from rayot.model.methods import class_of
from rayot.tl._data import described
from rayot.tl._options import CELLS, FITTING, WRITING
from rayot.tl._write import asked_copy, check_key, write_result

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from rayot.model.method import Method
    from rayot.representation import Representation

Inputs = ParamSpec("Inputs")
Fitted = TypeVar("Fitted", bound="Method")

DESCRIPTION = """
SUMMARY

Parameters
----------
PARAMETERS

Returns
-------
The fitted model. Written to ``adata`` (with ``key`` for ``key_added``):

- ``layers[key]``: predicted expression, float32; NaN in rows that were not transported.
- ``obsm["X_" + key]``: predicted representation, where ``use_rep`` is given; NaN likewise.
- ``obs[key + "_step"]``: ‖T(x) − x‖ in the space of the map.
- ``obs[key + "_potential"]``: f(x) of the first ray, of methods with a 1-Lipschitz potential.
- ``obs[key + "_distance"]``: distance of each cell to the nearest source cell of the fit but
  itself, over the median distance between these.
- ``obs[key + "_step_sd"]`` and ``layers[key + "_sd"]``: standard deviation of the step and of
  the predicted expression between the maps of an ensemble, or of separate strata. The layer is
  not written of members that ``n_seeds`` did not ask for.
- ``obs[key + "_weight"]``: mass with which each source and target cell is matched, 1 on
  average, where ``plan_kwargs`` leave mass unmatched.
- ``uns[key]``: conditions, parameters, package version, seed, history, diagnostics with a
  certificate ("good", "check", "poor" or "no effect") and its reason, of several members their
  ``instability``, the share of predicted
  values that was clipped; strata and how their maps were combined; what each member of an
  ensemble predicts on average; for 2-D data the potential on a grid.

Raises
------
KeyError
    If a column, layer or representation is missing.
ValueError
    If a condition is missing, has fewer than 20 training cells or is source and target at
    once, values are NaN or infinite, the expression holds raw counts, an option is out of
    range. ``adata`` is then as it was.
OSError
    If the file that the cells are read from is moved or changed meanwhile, or training cells
    beyond 512 MB have no room in the temporary folder.

Examples
--------
EXAMPLE
"""

TEXTS = {**PARAMETERS, "n_seeds": PARAMETERS["n_seeds_of_map"]}
"""Text of each keyword."""


def verb(function: Callable[Inputs, Fitted]) -> Callable[Inputs, Fitted]:
    """Give the function of a method what all verbs share.

    That is its signature with every keyword, the defaults of keywords that are not given, the
    checks of all arguments, and the description, which begins as that of the method's class.

    Parameters
    ----------
    function
        With the name of the method, see :mod:`rayot.model.methods`. Its ``**options`` are typed by
        the keywords that it takes.
    """
    name = function.__name__
    method = class_of(name)
    hints = get_type_hints(function)
    (options,) = get_args(hints.pop("options"))
    defaults: dict[str, Any] = {
        **CELLS,
        **FITTING,
        **WRITING,
        "key_added": name,
        "preset": method.default_preset,
        **method._verb_defaults,
        **method._verb_further,
    }
    expected = expanded(function, options, defaults)
    # Of the function itself, which is what the documentation looks at.
    function.__signature__ = expected  # type: ignore[attr-defined]
    function.__annotations__ = {**hints, **get_type_hints(options)}

    @wraps(function)
    def filled(*args: Inputs.args, **kwargs: Inputs.kwargs) -> Fitted:
        bound = expected.bind(*args, **kwargs)
        bound.apply_defaults()
        return function(*bound.args, **bound.kwargs)

    filled.__doc__ = _description(name, method, expected)
    if "covariate_keys" not in defaults:
        return public()(filled)
    return renamed(covariate_key="covariate_keys")(public()(filled))


def _description(name: str, method: type[Method], expected: Signature) -> str:
    """The docstring: that of the class, and the text of each keyword in the signature's order."""
    assert method.__doc__ is not None
    parts = {
        "SUMMARY": cleandoc(method.__doc__).partition("\n\nParameters\n")[0],
        "PARAMETERS": "\n".join(
            TEXTS[keyword] for keyword in expected.parameters if keyword in TEXTS
        ),
        "EXAMPLE": cleandoc(method._verb_example).replace("NAME", name),
    }
    text = DESCRIPTION.lstrip()
    for part, written in parts.items():
        text = text.replace(f"{part}\n", f"{written}\n", 1)
    return text


def fit(
    method: type[Fitted],
    adata: AnnData | MuData,
    source_key: str,
    target_key: str,
    *,
    use_rep: str | Representation | None,
    modality: str | None,
    key_added: str,
    write_genes: bool,
    clip: bool | str,
    plan_kwargs: dict[str, Any] | None,
    copy: bool | None,
    **options: Any,  # noqa: ANN401
) -> Fitted:
    """Fit a method and write what it predicts; all keywords of its verb are given."""
    from rayot.train import TrainingOptions

    cells = modality_of(adata, modality)
    copy = asked_copy(copy)
    check_key(cells, key_added, copy)
    where = ("groupby", "layer", "split_key", "allow_counts", "strata_key", "weights_key")
    names = (*where, *method._verb_further)
    data, representation = described(
        method, cells, use_rep, **{keyword: options.pop(keyword) for keyword in names}
    )
    what = ("preset", "strata", "small_strata", "n_seeds", "seed")
    chosen = {keyword: options.pop(keyword) for keyword in what}
    # Before anything is read for it.
    method.stack_type.settings_type.from_preset(chosen["preset"], **(plan_kwargs or {}))
    TrainingOptions.of(**options)
    with unchanged(cells) as check:
        model = method(
            cells,
            data,
            source_key,
            target_key,
            representation=representation,
            **chosen,
            **(plan_kwargs or {}),
        )
        model.train(**options)
        write_result(
            cells, model, key_added, write_genes=write_genes, clip=clip, copy=copy, check=check
        )
    return model
