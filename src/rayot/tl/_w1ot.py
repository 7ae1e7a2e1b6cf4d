"""The verb ``tl.w1ot``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayot._docs import shared
from rayot.data import checks
from rayot.data.files import unchanged
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.tl._write import check_key, write_result

if TYPE_CHECKING:
    import lightning.pytorch as pl
    from anndata import AnnData
    from mudata import MuData

    from rayot.model import W1OT
    from rayot.representation import Representation


@shared
def w1ot(
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
    preset: str = "paper",
    key_added: str = "w1ot",
    seed: int = 0,
    n_seeds: int = 1,
    max_steps: int | None = None,
    batch_size: int | None = None,
    validation_size: float = 0.1,
    n_folds: int = 5,
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
) -> W1OT:
    """Learn how cells of one condition become cells of another, and predict each of them.

    Wasserstein-1 optimal transport (Chen et al. 2025): a 1-Lipschitz potential f gives each
    cell's direction, a step size η how far it goes, T(x) = x − η(x) ∇f(x)/‖∇f(x)‖. It is fitted on
    training cells only; every source cell is transported.

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
    {n_seeds}
    {max_steps}
    {batch_size}
    {validation_size}
    {n_folds}
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
    - ``obs[key + "_potential"]``: f(x) of the first ray.
    - ``obs[key + "_step_sd"]`` and ``layers[key + "_sd"]``: standard deviation of the step and of
      the predicted expression between the maps of an ensemble, or of separate strata.
    - ``obs[key + "_weight"]``: mass with which each source and target cell is matched, 1 on
      average, where ``plan_kwargs`` leave mass unmatched.
    - ``uns[key]``: conditions, parameters, package version, seed, history, diagnostics with a
      certificate ("good", "check" or "poor") and its reason, the share of predicted values that
      was clipped; strata and how their maps were combined; what each member of an ensemble predicts
      on average; for 2-D data the potential on a grid.

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
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=200)
    >>> model = rt.tl.w1ot(
    ...     adata, "control", "perturbed", preset="fast", max_steps=10, show_progress_bar=False
    ... )
    >>> adata.layers["w1ot"].shape
    (400, 2)
    """
    from rayot.model import W1OT
    from rayot.representation import Representation

    cells = modality_of(adata, modality)
    checks.clip_option(clip)
    check_key(cells, key_added, copy)
    given = use_rep if isinstance(use_rep, Representation) else None
    data = W1OT.setup_anndata(
        cells,
        groupby=groupby,
        layer=layer,
        use_rep=None if given is not None else use_rep,  # type: ignore[arg-type]
        split_key=split_key,
        allow_counts=allow_counts,
        strata_key=strata_key,
        weights_key=weights_key,
    )
    if given is not None:
        data = replace(data, use_rep=given.name)
    with unchanged(cells) as check:
        model = W1OT(
            cells,
            data,
            source_key,
            target_key,
            preset=preset,
            representation=given,
            strata=strata,
            small_strata=small_strata,
            n_seeds=n_seeds,
            seed=seed,
            **(plan_kwargs or {}),
        )
        model.train(
            max_steps=max_steps,
            batch_size=batch_size,
            validation_size=validation_size,
            n_folds=n_folds,
            early_stopping=early_stopping,
            early_stopping_patience=early_stopping_patience,
            checkpoint_dir=checkpoint_dir,
            checkpoint_every=checkpoint_every,
            resume=resume,
            accelerator=accelerator,
            devices=devices,
            show_progress_bar=show_progress_bar,
            callbacks=callbacks,
            **trainer_kwargs,
        )
        write_result(
            cells, model, key_added, write_genes=write_genes, clip=clip, copy=copy, check=check
        )
    return model
