"""The verb ``tl.screen``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import rayot
from rayot._docs import shared
from rayot._keywords import takes
from rayot._public import public
from rayot.data import checks
from rayot.data.files import check_new_file
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.data.screened import is_screen
from rayot.tl._data import described
from rayot.tl._write import asked_copy, plain
from rayot.train import TRAINING, TrainingKeywords, TrainingOptions

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from rayot.model import Screen
    from rayot.representation import Representation


@public(perturbations=None)
@shared
@takes(TrainingKeywords, TRAINING, without=("callbacks", "leave_out_strata"))
def screen(
    adata: AnnData | MuData,
    control: str,
    *,
    method: str = "w1ot",
    groupby: str = Key.obs.perturbation,
    perturbations: Sequence[str] | None = None,
    part: Sequence[str] | None = None,
    use_rep: str | Representation | None = None,
    layer: str | None = None,
    split_key: str | None = Key.obs.split,
    strata_key: str | None = None,
    strata: str = "balanced",
    small_strata: str = "drop",
    weights_key: str | None = None,
    modality: str | None = None,
    preset: str = "fast",
    key_added: str = "screen",
    seed: int = 0,
    n_seeds: int = 1,
    min_cells: int = 20,
    small_perturbations: str = "skip",
    fdr: float | None = 0.05,
    max_memory: float = 1.0,
    n_jobs: int | None = None,
    write: str | Path | None = None,
    overwrite: bool = False,
    write_genes: bool = True,
    clip: bool | str = "auto",
    allow_counts: bool = False,
    plan_kwargs: dict[str, Any] | None = None,
    copy: bool | None = None,
    **options: Unpack[TrainingKeywords],
) -> Screen:
    """Learn how cells respond to every perturbation of a screen, in one stack.

    Every perturbation is first tested against the control by an energy distance permutation test;
    those with a detectable effect are fitted together, as :func:`rayot.tl.w1ot` fits one. A fit
    does not depend on which others it shares the stack with.

    Parameters
    ----------
    {adata}
    control
        Category of ``obs[groupby]`` that cells start from.
    {method_name}
    {groupby}
    {perturbations}
    {part}
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
    {min_cells}
    {small_perturbations}
    {fdr}
    {max_memory}
    {n_jobs}
    write
        File that predictions of the control's cells under every perturbation go to, block by
        block, ``.h5ad`` or ``.zarr``, see :meth:`rayot.model.Screen.predict`. None writes none.
    overwrite
        Whether that file may exist.
    {write_genes}
    {clip}
    {allow_counts}
    {plan_kwargs}
    {copy}
    {options}

    Returns
    -------
    The fitted :class:`rayot.model.Screen`, a mapping: ``screen["IFNGR1"]`` is the model of that
    perturbation. No cells are written; ``screen.predict(cells, "IFNGR1")`` predicts on demand.
    Written to ``adata`` (with ``key`` for ``key_added``):

    - ``uns[key]["table"]``: one row a perturbation. ``n_cells``: its training cells;
      ``energy_distance``: from the control, unbiased, on training cells; ``p_value`` of the
      permutation test, ``q_value`` over the screen, ``detectable``: whether it passes ``fdr``. Then
      the diagnostics of its map, of separate strata those of the worst (``strength``,
      ``mean_step``, ``held_out_dual``, energy distances, ``certificate``, ``reason``), see
      :func:`rayot.solvers.diagnostics.diagnostics`. The certificate of what has no detectable
      effect is ``"no effect"``.
    - ``uns[key]["displacement"]``: mean move of the control's training cells under each
      perturbation, of all and of each of ``uns[key]["cell_types"]``, (n, 1 + types, d) float32.
    - ``uns[key]``: control, ``groupby``, parameters, package version and seed.

    Raises
    ------
    KeyError
        If a column, layer or representation is missing.
    ValueError
        If the control is missing or too small, no perturbation has enough cells, values are NaN or
        infinite, the expression holds raw counts, an option is out of range. ``adata`` is then as
        it was.
    OSError
        If ``checkpoint_dir`` or ``write`` cannot be written to.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated_screen(3, n_cells=60, n_genes=20)
    >>> screen = rt.tl.screen(adata, "control", max_steps=10, show_progress_bar=False)
    >>> adata.uns["screen"]["table"].shape[0]
    3
    """
    from rayot.model import W1OT, Screen
    from rayot.model.methods import stack_of

    cells = modality_of(adata, modality)
    copy = asked_copy(copy)
    if not copy:
        checks.writable(cells)
    _check_key(cells, key_added)
    if write is not None:
        check_new_file(write, overwrite, 0, cells)
    data, representation = described(
        W1OT,
        cells,
        use_rep,
        groupby=groupby,
        layer=layer,
        split_key=split_key,
        allow_counts=allow_counts,
        strata_key=strata_key,
        weights_key=weights_key,
    )
    # Before anything is read for it.
    stack_of(method).settings_type.from_preset(preset, **(plan_kwargs or {}))
    TrainingOptions.of(**options)
    model = Screen(
        cells,
        data,
        control,
        method=method,
        perturbations=perturbations,
        preset=preset,
        representation=representation,
        strata=strata,
        small_strata=small_strata,
        min_cells=min_cells,
        small_perturbations=small_perturbations,
        n_seeds=n_seeds,
        seed=seed,
        **(plan_kwargs or {}),
    )
    model.train(part=part, fdr=fdr, max_memory=max_memory, n_jobs=n_jobs, **options)
    written = cells
    if copy:
        written = model._adata = cells.to_memory() if cells.isbacked else cells.copy()
    elif cells.is_view:
        # Writing to a view would copy it with a warning; scanpy's verbs copy it silently.
        cells._init_as_actual(cells.copy())
    written.uns[Key.uns.result(key_added)] = {
        Key.screen.control: model.control,
        Key.screen.groupby: groupby,
        Key.screen.table: model.table.set_index(model.table.index.astype(str)),
        Key.screen.displacement: model.displacement(),
        Key.screen.cell_types: model.cell_types,
        Key.screen.params: plain(model.parameters()),
        Key.screen.version: rayot.__version__,
        Key.screen.seed: seed,
    }
    if write is not None:
        # Last, so that a disk that fills up costs the file and not the fit.
        rows = data.rows(cells, control)
        model.write(cells, rows, list(model), Path(write), overwrite, write_genes, clip, method)
    return model


def _check_key(adata: AnnData, key: str) -> None:
    """Raise a ValueError if the name holds something that is no screen."""
    if key in adata.uns and not is_screen(adata.uns[key]):
        raise ValueError(
            f"key_added={key!r} would overwrite uns[{key!r}], which is no screen; choose another "
            "name."
        )
