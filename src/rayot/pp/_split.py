"""Splits into training and test cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rayot._docs import shared
from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.modality import modality_of

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@shared
def split(
    adata: AnnData | MuData,
    *,
    groupby: str = Key.obs.perturbation,
    test_size: float = 0.2,
    test_limits: tuple[int, int] = (500, 1000),
    stratify: str | None = None,
    holdout: Mapping[str, Sequence[str]] | None = None,
    control: str | None = None,
    modality: str | None = None,
    seed: int = 0,
    key_added: str = Key.obs.split,
) -> None:
    """Set cells apart for testing, condition by condition.

    Either at random within each condition (i.i.d.), or whole groups that training never sees
    (``holdout``), such as a cell type or a patient.

    Parameters
    ----------
    {adata}
    {groupby}
    test_size
        Share of each condition's cells that are for testing.
    test_limits
        Limits of the number of test cells of a condition, as in the paper. The lower one holds
        where it leaves three quarters of the condition for training.
    stratify
        Column of ``obs`` whose groups keep their share in both parts.
    holdout
        From columns of ``obs`` to groups that are for testing, whatever their condition; all
        other cells are for training. With several columns a cell is for testing if it is in a
        group of any of them. ``test_size`` and ``stratify`` then have no effect.
    control
        Category of ``groupby`` whose cells stay in training though their group is held out: of
        these groups training sees the control cells and not the response, as in the tests of
        scGen and CellOT. :func:`rayot.tl.evaluate` scores what is predicted for them.
    {modality}
    {seed}
    {key_added}

    Returns
    -------
    None. Writes ``obs[key_added]``, categorical with "train" and "test", and ``uns[key_added]``
    with the seed and what was held out.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If a group to hold out or the control does not exist, ``control`` is given without
        ``holdout``, or a number is out of range.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=100)
    >>> rt.pp.split(adata)
    >>> adata.obs["split"].value_counts().to_dict()
    {'train': 160, 'test': 40}
    """
    cells = modality_of(adata, modality)
    if control is not None and holdout is None:
        raise ValueError(f"control={control!r} needs holdout, the groups whose response is unseen.")
    if holdout is not None:
        test = _held_out(cells, holdout)
        if control is not None:
            test &= ~checks.in_category(cells, groupby, control)
            if not test.any():
                raise ValueError(f"The groups held out have no cells other than {control!r}.")
    else:
        condition = checks.column(cells, groupby).astype(str).to_numpy()
        if not 0 < test_size < 1:
            raise ValueError(f"test_size must be between 0 and 1, found {test_size}.")
        low, high = test_limits
        if not 0 < low <= high:
            raise ValueError(
                f"test_limits must be two counts, the smaller first, found {test_limits}."
            )
        if stratify is None:
            stratum = np.full(cells.n_obs, "")
        else:
            stratum = checks.column(cells, stratify).astype(str).to_numpy()
        test = np.zeros(cells.n_obs, dtype=bool)
        for name in np.unique(condition):
            members = np.nonzero(condition == name)[0]
            n_test = _test_cells(len(members), test_size, low, high)
            # Keyed by the condition's name: a condition that is added leaves the others alone.
            rng = np.random.default_rng([seed, *name.encode()])
            test[_draw(members, stratum[members], n_test, rng)] = True
    values = np.where(test, Key.obs.test, Key.obs.train)
    cells.obs[key_added] = pd.Categorical(values, categories=[Key.obs.train, Key.obs.test])
    cells.uns[key_added] = {
        Key.result.seed: seed,
        Key.split.holdout: {name: list(groups) for name, groups in (holdout or {}).items()},
        **({} if control is None else {Key.split.control: control}),
    }


def _held_out(adata: AnnData, holdout: Mapping[str, Sequence[str]]) -> np.ndarray:
    if not isinstance(holdout, Mapping):
        raise TypeError(
            f"holdout must name columns of obs and their groups, {{'cell_type': ['B']}}, found "
            f"{holdout!r}."
        )
    for name, groups in holdout.items():
        if isinstance(groups, str):
            raise ValueError(
                f"holdout[{name!r}] must be a list of groups, found the text {groups!r}."
            )
    test = checks.in_groups(adata, holdout)
    if not test.any() or test.all():
        raise ValueError(f"holdout={dict(holdout)!r} leaves no cells for training or for testing.")
    return test


def _test_cells(n_cells: int, test_size: float, low: int, high: int) -> int:
    """Number of test cells of a condition."""
    n_test = round(test_size * n_cells)
    if n_cells >= 4 * low:
        n_test = max(n_test, low)
    return min(n_test, high)


def _draw(
    members: np.ndarray, stratum: np.ndarray, n_test: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw test cells, each stratum in proportion; remainders go to the largest fractions."""
    names, sizes = np.unique(stratum, return_counts=True)
    exact = n_test * sizes / len(members)
    n_each = np.floor(exact).astype(int)
    largest = np.argsort(n_each - exact, kind="stable")[: n_test - n_each.sum()]
    n_each[largest] += 1
    return np.concatenate(
        [
            rng.choice(members[stratum == name], n, replace=False)
            for name, n in zip(names, n_each, strict=True)
        ]
    )
