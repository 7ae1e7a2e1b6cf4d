"""Several splits of the same cells, in which each is for testing once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rayot import _arguments as arguments
from rayot._docs import shared
from rayot._public import public
from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.data.split import hash_of
from rayot.pp._split import check_key

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

OUTER = "outer test"
"""Label of cells in an inner fold that are for testing in the outer one."""


@public(
    n_folds=partial(arguments.whole_number, least=2),
    n_inner_folds=partial(arguments.whole_number, least=2),
)
@shared
def folds(
    adata: AnnData | MuData,
    *,
    n_folds: int = 5,
    groups: str | None = None,
    groupby: str = Key.obs.perturbation,
    control: str | None = None,
    n_inner_folds: int | None = None,
    modality: str | None = None,
    seed: int = 0,
    key_added: str = "fold",
) -> list[str]:
    """Set cells apart for testing several times, each cell once.

    At random within each condition, or whole groups of ``groups``, such as patients or cell types,
    so that each group is unseen once. With ``n_inner_folds`` the training cells of each fold are
    split again in the same way: choose settings on the inner folds, and test what was chosen on the
    outer one.

    Parameters
    ----------
    {adata}
    n_folds
        Number of folds. As many as there are groups leaves out one at a time.
    groups
        Column of ``obs`` whose groups stay together; None draws cells within conditions.
    {groupby}
    control
        Category of ``groupby`` whose cells stay in training though their group is left out, as in
        :func:`split`. Only with ``groups``.
    n_inner_folds
        Number of inner folds of each fold; None for none.
    {modality}
    {seed}
    key_added
        What names of columns start with.

    Returns
    -------
    Cells without a group, or without a condition where there are none, are for training throughout.
    Names of the columns of ``obs`` that were written, one a fold, ``"fold_0"`` and so on, each to
    be passed as ``split_key``: categorical with "train" and "test", and ``uns`` entries of the same
    names, as :func:`split` leaves them. Inner folds are columns beside them, ``"fold_0_inner_0"``
    and so on, in which cells for testing in the outer fold are "outer test", which is neither.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If there are fewer groups, or cells of a condition, than folds, ``control`` is given without
        ``groups`` or is no condition, or a name is that of something else. Nothing is then written.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated(n_cells=200, n_genes=20)
    >>> names = rt.pp.folds(adata, groups="cell_type", n_folds=3)
    >>> [adata.obs.loc[adata.obs[name] == "test", "cell_type"].nunique() for name in names]
    [1, 1, 1]
    """
    cells = modality_of(adata, modality)
    if control is not None and groups is None:
        raise ValueError(f"control={control!r} needs groups, those whose response is unseen.")
    numbers = range(n_folds)
    names = [f"{key_added}_{number}" for number in numbers]
    inner = [[f"{name}_inner_{number}" for number in range(n_inner_folds or 0)] for name in names]
    for name in (*names, *(name for of_fold in inner for name in of_fold)):
        check_key(cells, name)
    is_control = (
        np.zeros(cells.n_obs, dtype=bool)
        if control is None
        else checks.in_category(cells, groupby, control)
    )
    everything = np.ones(cells.n_obs, dtype=bool)
    fold_of = _assigned(cells, everything, is_control, groups, groupby, n_folds, seed)
    columns: dict[str, np.ndarray] = {}
    for number, name in enumerate(names):
        member = fold_of == number
        test = member & ~is_control
        columns[name] = np.where(test, Key.obs.test, Key.obs.train).astype(object)
        rest = ~member
        if n_inner_folds is not None:
            inner_of = _assigned(cells, rest, is_control, groups, groupby, n_inner_folds, seed)
        for inner_number, inner_name in enumerate(inner[number]):
            inner_test = rest & (inner_of == inner_number) & ~is_control
            labels = np.where(inner_test, Key.obs.test, Key.obs.train).astype(object)
            labels[test] = OUTER
            columns[inner_name] = labels
    for name, labels in columns.items():
        _write(cells, name, labels, groups, control, seed)
    return names


def _assigned(
    adata: AnnData,
    among: np.ndarray,
    is_control: np.ndarray,
    groups: str | None,
    groupby: str,
    n_folds: int,
    seed: int,
) -> np.ndarray:
    """Number of the fold of each cell, (n_obs,); −1 of cells that are not among them."""
    fold_of = np.full(adata.n_obs, -1)
    labels = checks.labels(adata, groupby if groups is None else groups)
    if groups is None:
        for name in np.unique(labels[among & (labels != "")]):
            rows = np.flatnonzero((labels == name) & among)
            if len(rows) < n_folds:
                raise ValueError(
                    f"{name!r} has {len(rows)} cells in obs[{groupby!r}], fewer than the "
                    f"{n_folds} folds."
                )
            # Keyed by the condition's name: a condition that is added leaves the others alone.
            rng = np.random.default_rng([seed, *name.encode()])
            fold_of[rng.permutation(rows)] = np.arange(len(rows)) % n_folds
        return fold_of
    # Control cells stay in training, so that a group of these alone is none to be left out.
    counted = among & (labels != "") & ~is_control
    names, sizes = np.unique(labels[counted], return_counts=True)
    if len(names) < n_folds:
        raise ValueError(
            f"obs[{groups!r}] has {len(names)} groups to be split, fewer than the {n_folds} folds."
        )
    # The largest group first, each to the fold with the fewest cells yet.
    rng = np.random.default_rng(seed)
    filled = np.zeros(n_folds)
    for place in np.lexsort((rng.permutation(len(names)), -sizes)):
        fold = int(np.argmin(filled))
        fold_of[(labels == names[place]) & among] = fold
        filled[fold] += sizes[place]
    return fold_of


def _write(
    adata: AnnData,
    name: str,
    labels: np.ndarray,
    groups: str | None,
    control: str | None,
    seed: int,
) -> None:
    sides = [Key.obs.train, Key.obs.test]
    adata.obs[name] = pd.Categorical(
        labels, categories=[*sides, OUTER] if OUTER in labels else sides
    )
    held_out = {}
    if groups is not None:
        of_groups = checks.labels(adata, groups)
        held_out = {groups: sorted(set(of_groups[labels == Key.obs.test]))}
    adata.uns[name] = {
        Key.result.seed: seed,
        Key.split.holdout: held_out,
        **({} if control is None else {Key.split.control: str(control)}),
        Key.split.hash: hash_of(adata, name),
    }
