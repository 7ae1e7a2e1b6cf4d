"""Splits into training and test cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rayot._docs import shared
from rayot._public import public
from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.data.split import in_held_out_groups, is_split

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@public()
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
        group of any of them. The groups need cells of two conditions, as there is otherwise nothing
        to compare predictions with. ``test_size`` and ``stratify`` then have no effect.
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
    with the seed and what was held out. An earlier split of this name is replaced. Cells without
    a condition, and those without a group of ``stratify``, are drawn among themselves.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If a group to hold out or the control does not exist or has nothing to be compared with,
        ``control`` is given without ``holdout``, a number is out of range, or ``key_added`` is the
        name of something else.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=100)
    >>> rt.pp.split(adata)
    >>> adata.obs["split"].value_counts().to_dict()
    {'train': 160, 'test': 40}
    """
    cells = modality_of(adata, modality)
    _check_key(cells, key_added)
    if control is not None and holdout is None:
        raise ValueError(f"control={control!r} needs holdout, the groups whose response is unseen.")
    if holdout is not None:
        holdout = _groups(holdout)
        test = _held_out(cells, holdout, groupby, control)
    else:
        test = _drawn(cells, groupby, test_size, _limits(test_limits), stratify, seed)
    values = np.where(test, Key.obs.test, Key.obs.train)
    cells.obs[key_added] = pd.Categorical(values, categories=[Key.obs.train, Key.obs.test])
    cells.uns[key_added] = {
        Key.result.seed: seed,
        Key.split.holdout: {name: list(groups) for name, groups in (holdout or {}).items()},
        **({} if control is None else {Key.split.control: str(control)}),
    }


def _check_key(adata: AnnData, key: str) -> None:
    """Raise a ValueError if the name holds something that is no split of ours."""
    taken = [
        f"{slot}[{key!r}]"
        for slot, held in (("obs", adata.obs.columns), ("uns", adata.uns))
        if key in held
    ]
    if taken and not is_split(adata.uns.get(key)):
        raise ValueError(
            f"key_added={key!r} would overwrite {' and '.join(taken)}, which rayot.pp.split did "
            "not write; choose another name, or remove it first."
        )


def _limits(limits: object) -> tuple[int, int]:
    """Limits of the number of test cells, checked to be two counts."""
    pair = tuple(limits) if isinstance(limits, Sequence) and not isinstance(limits, str) else ()
    whole = all(isinstance(number, Integral) and not isinstance(number, bool) for number in pair)
    if len(pair) != 2 or not whole or not 0 < pair[0] <= pair[1]:
        raise ValueError(f"test_limits must be two counts, the smaller first, found {limits!r}.")
    return int(pair[0]), int(pair[1])


def _drawn(
    adata: AnnData,
    groupby: str,
    test_size: float,
    limits: tuple[int, int],
    stratify: str | None,
    seed: int,
) -> np.ndarray:
    """Test cells that are drawn within each condition, (n_obs,) bool."""
    condition = checks.labels(adata, groupby)
    stratum = condition if stratify is None else checks.labels(adata, stratify)
    test = np.zeros(adata.n_obs, dtype=bool)
    for name in np.unique(condition):
        members = np.nonzero(condition == name)[0]
        n_test = _test_cells(len(members), test_size, *limits)
        # Keyed by the condition's name: a condition that is added leaves the others alone.
        rng = np.random.default_rng([seed, *name.encode()])
        test[_draw(members, stratum[members], n_test, rng)] = True
    return test


def _groups(holdout: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """What is held out, as text.

    Raises
    ------
    TypeError, ValueError
        If it does not name columns and groups.
    """
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
        if not isinstance(groups, Iterable):
            raise ValueError(f"holdout[{name!r}] must be a list of groups, found {groups!r}.")
    return {name: [str(group) for group in groups] for name, groups in holdout.items()}


def _held_out(
    adata: AnnData, holdout: Mapping[str, Sequence[str]], groupby: str, control: str | None
) -> np.ndarray:
    """Test cells, those of the groups that are held out: (n_obs,) bool."""
    test = checks.in_groups(adata, holdout)
    if not test.any() or test.all():
        raise ValueError(f"holdout={dict(holdout)!r} leaves no cells for training or for testing.")
    if control is None and groupby not in adata.obs.columns:
        return test
    is_control = np.zeros(adata.n_obs, dtype=bool)
    if control is not None:
        is_control = checks.in_category(adata, groupby, control)
        test &= ~is_control
        if not test.any():
            raise ValueError(f"The groups held out have no cells other than {control!r}.")
    # Of a condition that is held out whole, the control's cells are what it is compared with.
    if groupby not in holdout:
        held_control = is_control & in_held_out_groups(adata, list(holdout), is_control, test)
        _check_comparable(adata, groupby, control, test | held_control)
    return test


def _check_comparable(
    adata: AnnData, groupby: str, control: str | None, scored: np.ndarray
) -> None:
    """Raise a ValueError if predictions for the groups held out could never be scored."""
    conditions = checks.labels(adata, groupby)[scored]
    names, counts = np.unique(conditions[conditions != ""], return_counts=True)
    enough = set(names[counts >= 2])
    if len(enough) >= 2 and (control is None or str(control) in enough):
        return
    counted = ", ".join(f"{count} of {name!r}" for name, count in zip(names, counts, strict=True))
    wanted = "two conditions" if control is None else f"{str(control)!r} and of another condition"
    raise ValueError(
        f"What is predicted for the groups in holdout could never be scored: that takes two cells "
        f"of {wanted} in obs[{groupby!r}], and the groups have {counted or 'none'}. Hold out a "
        "group with both, or several that have them together, or leave these cells out of adata."
    )


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
