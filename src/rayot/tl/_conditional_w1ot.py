"""The verb ``tl.conditional_w1ot``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

import rayot
from rayot._docs import shared
from rayot._keywords import takes
from rayot._public import public, renamed
from rayot.data import checks
from rayot.data.condition_columns import dose_of
from rayot.data.files import unchanged
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.tl._data import described
from rayot.tl._write import (
    asked_copy,
    check_key,
    curves,
    forget,
    plain,
    write_result,
)
from rayot.train import TRAINING, TrainingKeywords, TrainingOptions

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from rayot.model import ConditionalW1OT
    from rayot.representation import Representation


@renamed(condition_keys="covariate_keys")
@public()
@shared
@takes(TrainingKeywords, TRAINING, without=("n_folds", "leave_out_strata"))
def conditional_w1ot(
    adata: AnnData | MuData,
    control: str,
    target_key: str | None = None,
    *,
    target_dose: float | None = None,
    target_time: float | None = None,
    groupby: str = Key.obs.perturbation,
    dose_key: str | None = None,
    time_key: str | None = None,
    covariate_keys: str | Sequence[str] | None = None,
    embedding_key: str | Mapping[str, str] | None = None,
    use_rep: str | Representation | None = None,
    layer: str | None = None,
    split_key: str | None = Key.obs.split,
    modality: str | None = None,
    min_cells: int = 10,
    preset: str = "fast",
    key_added: str = "conditional_w1ot",
    seed: int = 0,
    n_seeds: int = 1,
    write_genes: bool = True,
    clip: bool | str = "auto",
    allow_counts: bool = False,
    plan_kwargs: dict[str, Any] | None = None,
    copy: bool | None = None,
    **options: Unpack[TrainingKeywords],
) -> ConditionalW1OT:
    """Learn how cells respond to all conditions by one model, which predicts unseen ones too.

    A conditional Wasserstein-1 map (Chen et al. 2025, Discussion): a potential f(x, c) that is
    1-Lipschitz in the cell x for every condition c, and a step size η(x, c). A condition is a
    perturbation or a combination ``"A+B"`` of several, its dose, and what cells they are. All
    conditions count alike, and each is matched with the control of its own cells. A combination
    that is not in training moves cells by the sum of its parts' moves. A perturbation of which only
    a vector is known moves cells by a weighted sum of the moves of those of training: a Gaussian
    process on their mean responses gives the weights, where it predicts perturbations that are left
    out, and elsewhere all weigh alike.

    Parameters
    ----------
    {adata}
    control
        Category of ``obs[groupby]`` that cells start from.
    target_key
        Condition whose prediction of all control cells is written, as :func:`rayot.tl.w1ot` writes
        it. None writes no cells.
    target_dose, target_time
        Its dose, where there are doses, or its time, where there are times.
    {groupby}
    {dose_key}
    {time_key}
    {covariates_of_conditions}
    {embedding_key}
    {use_rep}
    {layer}
    {split_key}
    {modality}
    {min_condition_cells}
    {preset}
    {key_added}
    {seed}
    {n_seeds}
    {write_genes}
    {clip}
    {allow_counts}
    plan_kwargs
        Settings that differ from the preset's, see :class:`rayot.solvers.ConditionalW1Settings`.
    {copy}
    {options}

    Returns
    -------
    The fitted :class:`rayot.model.ConditionalW1OT`: ``model.predict(cells, "A+B")``,
    ``model.predict(cells, "A", dose=10)``. Written to ``adata`` (with ``key`` for ``key_added``):

    - ``uns[key]["table"]``: one row a condition of training: its perturbation, dose and further
      categories, ``n_cells``, and the diagnostics of its map with a certificate, on ``n_held_out``
      cells apart, see :func:`rayot.solvers.diagnostics.diagnostics`.
    - ``uns[key]["left_out_errors"]``, where perturbations have vectors: how well these predict a
      mean response that is left out, for each kernel: the squared error over that of the mean of
      all others (``"none"``, 1). ``print(model)`` says which one is taken.
    - ``uns[key]``: control, columns, parameters, package version, seed and history.
    - with ``target_key`` also what :func:`rayot.tl.w1ot` writes, for that condition.

    Raises
    ------
    KeyError
        If a column, layer, representation or ``uns[embedding_key]`` is missing.
    ValueError
        If no condition has enough cells, a dose is not above 0, a category has no vector or one of
        another length, values are NaN or infinite, the expression holds raw counts, an option is
        out of range. ``adata`` is then as it was.
    OSError
        As :func:`rayot.tl.w1ot`.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated_screen(2, n_cells=60, n_genes=20, doses=[1, 10])
    >>> model = rt.tl.conditional_w1ot(
    ...     adata, "control", dose_key="dose", max_steps=10, show_progress_bar=False
    ... )
    >>> adata.uns["conditional_w1ot"]["table"][["perturbation", "dose"]].values.tolist()
    [['drug_000', 1.0], ['drug_000', 10.0], ['drug_001', 1.0], ['drug_001', 10.0]]
    >>> model.predict(adata[:5], "drug_000", dose=3).shape
    (5, 20)
    """
    from rayot.model import ConditionalW1OT
    from rayot.solvers import ConditionalW1Settings

    cells = modality_of(adata, modality)
    copy = asked_copy(copy)
    _check_key(cells, key_added, copy)
    numbers = {"dose": (target_dose, dose_key), "time": (target_time, time_key)}
    _check_target(cells, groupby, control, target_key, numbers)
    data, representation = described(
        ConditionalW1OT,
        cells,
        use_rep,
        groupby=groupby,
        layer=layer,
        split_key=split_key,
        allow_counts=allow_counts,
    )
    # Before anything is read for it.
    ConditionalW1Settings.from_preset(preset, **(plan_kwargs or {}))
    TrainingOptions.of(**options)
    with unchanged(cells) as check:
        model = ConditionalW1OT(
            cells,
            data,
            control,
            dose_key=dose_key,
            time_key=time_key,
            covariate_keys=covariate_keys,
            embedding_key=embedding_key,
            min_cells=min_cells,
            preset=preset,
            representation=representation,
            n_seeds=n_seeds,
            seed=seed,
            **(plan_kwargs or {}),
        )
        model.train(**options)
        check()
        if copy:
            cells = cells.to_memory() if cells.isbacked else cells.copy()
            model._adata = cells
        elif cells.is_view:
            # Writing to a view would copy it with a warning; scanpy's verbs copy it silently.
            cells._init_as_actual(cells.copy())
        if target_key is None:
            # An earlier fit of this name may have written cells, and this one does not.
            forget(cells, key_added)
        else:
            write_result(
                cells,
                model.at(target_key, dose=target_dose, time=target_time),
                key_added,
                write_genes=write_genes,
                clip=clip,
                copy=False,
                check=check,
            )
    cells.uns[Key.uns.result(key_added)] = {
        **(cells.uns[Key.uns.result(key_added)] if target_key is not None else {}),
        **_description(model, groupby),
    }
    return model


def _description(model: ConditionalW1OT, groupby: str) -> dict[str, Any]:
    """What ``uns[key]`` says of a conditional model."""
    table, is_time = model.table, model.conditions.is_time
    description = {
        Key.conditional.control: model.source_key,
        Key.conditional.groupby: groupby,
        Key.conditional.dose_key: None if is_time else model.conditions.dose_key,
        Key.conditional.time_key: model.conditions.dose_key if is_time else None,
        Key.conditional.covariate_keys: np.asarray(
            [column.column for column in model.conditions.covariates], dtype=str
        ),
        Key.conditional.table: table.set_index(table.index.astype(str)),
        Key.conditional.params: plain(model.parameters()),
        Key.conditional.version: rayot.__version__,
        Key.conditional.seed: model.seed,
        Key.conditional.history: curves(model.history),
    }
    if model.responses is not None:
        description[Key.conditional.left_out_errors] = model.responses.choice.errors
    return plain(description)


def _check_target(
    adata: AnnData,
    groupby: str,
    control: str,
    target_key: str | None,
    numbers: Mapping[str, tuple[float | None, str | None]],
) -> None:
    """Raise a ValueError if there is nothing to write for the target, before anything is fitted."""
    if target_key is None:
        for name, (value, _) in numbers.items():
            if value is not None:
                raise ValueError(f"target_{name} is {value!r} without a target_key.")
        return
    checks.different(control, target_key)
    checks.in_category(adata, groupby, target_key)
    for name, (value, key) in numbers.items():
        if (value is None) != (key is None):
            raise ValueError(
                f"target_{name} is {value!r} and {name}_key is {key!r}: a target needs a {name} "
                f"where, and only where, there are {name}s."
            )
        if value is not None:
            dose_of(value, f"target_{name}", is_time=name == "time")


def _check_key(adata: AnnData, key: str, copy: bool) -> None:
    """Raise a ValueError if the name holds something that no conditional model wrote."""
    entry = adata.uns.get(Key.uns.result(key))
    needed = (Key.conditional.control, Key.conditional.table)
    names_covariates = isinstance(entry, Mapping) and (
        Key.conditional.covariate_keys in entry or Key.conditional.condition_keys in entry
    )
    if not (names_covariates and all(name in entry for name in needed)):
        check_key(adata, key, copy)
    elif not copy:
        checks.writable(adata)
