"""What the verbs of all methods share: fit a model, and write what it says."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import Parameter, cleandoc, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rayot._docs import PARAMETERS, shared
from rayot._public import public
from rayot.data.files import unchanged
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.tl._data import described
from rayot.tl._write import check_key, write_result

if TYPE_CHECKING:
    import lightning.pytorch as pl
    from anndata import AnnData
    from mudata import MuData

    from rayot.model.method import Method
    from rayot.representation import Representation


@shared
class Verb(Protocol):
    """SUMMARY

    Parameters
    ----------
    {adata}
    {source_key}
    {target_key}
    {groupby}
    {use_rep}
    {layer}
    {split_key}
    {strata_key}
    {strata}
    {small_strata}
    {weights_key}
    {modality}
    {preset}
    {key_added}
    {seed}
    {n_seeds_of_map}
    {max_steps}
    {batch_size}
    {validation_size}
    {n_folds}
    {leave_out_strata}
    {early_stopping}
    {early_stopping_patience}
    {checkpoint_dir}
    {checkpoint_every}
    {resume}
    {write_genes}
    {clip}
    {allow_counts}
    {accelerator}
    {progress}
    {callbacks}
    {plan_kwargs}
    copy
        Whether to write to a copy, which the returned model holds as ``model.adata``.
    {trainer_kwargs}

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
    """

    def __call__(
        self,
        adata: AnnData | MuData,
        source_key: str,
        target_key: str,
        *,
        groupby: str = Key.obs.perturbation,
        use_rep: str | Representation | None = None,
        layer: str | None = None,
        split_key: str | None = Key.obs.split,
        strata_key: str | None = None,
        strata: str = "balanced",
        small_strata: str = "drop",
        weights_key: str | None = None,
        modality: str | None = None,
        preset: str = "fast",
        key_added: str = "",
        seed: int = 0,
        n_seeds: int | None = None,
        max_steps: int | None = None,
        batch_size: int | None = None,
        validation_size: float = 0.1,
        n_folds: int = 5,
        leave_out_strata: bool = True,
        early_stopping: bool = False,
        early_stopping_patience: int = 10,
        checkpoint_dir: str | Path | None = None,
        checkpoint_every: int = 1000,
        resume: bool = True,
        write_genes: bool = True,
        clip: bool | str = "auto",
        allow_counts: bool = False,
        accelerator: str = "auto",
        devices: int | str | list[int] = "auto",
        show_progress_bar: bool = True,
        callbacks: Sequence[pl.Callback] = (),
        plan_kwargs: dict[str, Any] | None = None,
        copy: bool = False,
        **trainer_kwargs: Any,  # noqa: ANN401
    ) -> Method:
        """Fit the method and write what it predicts."""


def verb(name: str) -> Verb:
    """The verb of a method: the keywords of all, with the description of its class.

    Parameters
    ----------
    name
        Of the method, see :mod:`rayot.model.methods`.
    """
    from rayot.model.methods import method_of

    method = method_of(name)
    defaults = {"key_added": name, "preset": method.default_preset, **method.verb_defaults}
    _, *parameters = signature(Verb.__call__).parameters.values()
    known = [
        each.replace(default=defaults.get(each.name, each.default))
        if each.kind is Parameter.KEYWORD_ONLY
        else each
        for each in parameters
    ]
    known[-1:-1] = [
        Parameter(each, Parameter.KEYWORD_ONLY, default=default, annotation="str | None")
        for each, default in method.verb_further.items()
    ]
    expected = signature(Verb.__call__).replace(parameters=known)

    def function(*args: Any, **kwargs: Any) -> Method:  # noqa: ANN401
        bound = expected.bind(*args, **kwargs)
        bound.apply_defaults()
        trainer_kwargs = bound.arguments.pop("trainer_kwargs")
        return fit(name, **bound.arguments, **trainer_kwargs)

    assert Verb.__doc__ is not None and method.__doc__ is not None
    description = cleandoc(method.__doc__).partition("\n\nParameters\n")[0]
    text = cleandoc(Verb.__doc__).replace("SUMMARY", description, 1)
    described = "".join(f"{PARAMETERS[each]}\n" for each in method.verb_further)
    text = text.replace("\nmodality\n", f"\n{described}modality\n", 1)
    example = cleandoc(method.verb_example).replace("NAME", name)
    function.__doc__ = f"{text}\n\nExamples\n--------\n{example}\n"
    function.__signature__ = expected  # type: ignore[attr-defined]
    function.__name__ = function.__qualname__ = name
    return public()(function)


def fit(
    name: str,
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
    copy: bool,
    **options: Any,  # noqa: ANN401
) -> Method:
    """Fit a method and write what it predicts, see :class:`Verb`."""
    from rayot.model.methods import method_of
    from rayot.train import TrainingOptions

    method = method_of(name)
    cells = modality_of(adata, modality)
    check_key(cells, key_added, copy)
    where = ("groupby", "layer", "split_key", "allow_counts", "strata_key", "weights_key")
    names = (*where, *method.verb_further)
    data, given = described(method, cells, use_rep, **{each: options.pop(each) for each in names})
    what = ("preset", "strata", "small_strata", "n_seeds", "seed")
    chosen = {each: options.pop(each) for each in what}
    # Before anything is read for it.
    method.stack_type.settings_type.from_preset(chosen["preset"], **(plan_kwargs or {}))
    limits = ("max_steps", "batch_size")
    TrainingOptions.of(**{k: v for k, v in options.items() if k not in limits})
    with unchanged(cells) as check:
        model = method(
            cells,
            data,
            source_key,
            target_key,
            representation=given,
            **chosen,
            **(plan_kwargs or {}),
        )
        model.train(**options)
        write_result(
            cells, model, key_added, write_genes=write_genes, clip=clip, copy=copy, check=check
        )
    return model
