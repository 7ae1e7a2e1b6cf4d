"""Splits into training and test cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from rayot._docs import shared
from rayot._public import public
from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.data.split import hash_of, in_held_out_groups, is_split
from rayot.pp._unseen import PARTS_SEEN, RULES, SCAFFOLD, by_parts_seen, by_scaffold

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

TOGETHER = " & "
"""Joins the names of columns, and of groups, that are held out together, in ``uns``."""

Holdout: TypeAlias = Mapping[str | tuple[str, ...], Sequence[Any]]
Groups: TypeAlias = dict[tuple[str, ...], list[tuple[str, ...]]]
"""From columns to the labels of groups that are held out, one of each column."""


@public()
@shared
def split(
    adata: AnnData | MuData,
    *,
    groupby: str = Key.obs.perturbation,
    test_size: float = 0.2,
    test_limits: tuple[int, int] = (500, 1000),
    stratify: str | None = None,
    holdout: Holdout | str | None = None,
    control: str | None = None,
    smiles: str | Mapping[str, str] | pd.Series | None = None,
    split_rest: bool = False,
    modality: str | None = None,
    seed: int = 0,
    key_added: str = Key.obs.split,
) -> None:
    """Set cells apart for testing, condition by condition.

    Either at random within each condition (i.i.d.), or whole groups that training never sees
    (``holdout``), such as a cell type, a patient, a dose, or drugs of new scaffolds; or both.

    Parameters
    ----------
    {adata}
    {groupby}
    test_size
        Share of each condition's cells that are for testing. Of a rule (``holdout``) the share of
        the perturbations that are held out.
    test_limits
        Limits of the number of test cells of a condition, as in the paper. The lower one holds
        where it leaves three quarters of the condition for training.
    stratify
        Column of ``obs`` whose groups keep their share in both parts.
    holdout
        From columns of ``obs`` to groups that are for testing, whatever their condition; all
        other cells are for training. With several columns a cell is for testing if it is in a
        group of any of them. Groups of several columns together are named by tuples,
        ``{("drug", "dose"): [("A", 10)]}``. Numbers are compared as numbers, 10 is 10.0. The groups
        need cells of two conditions, as there is otherwise nothing to compare predictions with.
        ``test_size`` and ``stratify`` then have no effect, unless the rest is split.

        Or the name of a rule by which perturbations are held out whole. ``"scaffold"``: no
        Bemis-Murcko scaffold has drugs on both sides (``smiles``). ``"combo_seen2"``,
        ``"combo_seen1"``, ``"combo_seen0"``: combinations ``"A+B"`` of which two, one or no parts
        are in training, as GEARS names them. A part is seen if cells of it alone are in training.
        Of an unseen part all cells are for testing, also those of it alone and of other
        combinations, which ``uns`` tells apart.
    control
        Category of ``groupby`` whose cells stay in training though their group is held out: of
        these groups training sees the control cells and not the response, as in the tests of
        scGen and CellOT. :func:`rayot.tl.evaluate` scores what is predicted for them. Rules need
        it, as it is no perturbation.
    smiles
        For ``"scaffold"``, as in :func:`rayot.pp.fingerprints`: a column of ``obs``, or a
        dictionary or Series from condition to SMILES. Needs RDKit,
        ``pip install 'rayot[chem]'``.
    split_rest
        Whether cells that are not held out are split at random, too, as without ``holdout``. A dose
        can so be held out while source cells are set apart.
    {modality}
    {seed}
    {key_added}

    Returns
    -------
    None. Writes ``obs[key_added]``, categorical with "train" and "test", and ``uns[key_added]``
    with the seed, what was held out, and a ``"hash"`` that tells this split from others, which
    models keep (``model.split.hash``); of a rule its name, and a table ``"perturbations"`` with
    the side of each and its ``"scaffold"``, or how many of its parts are in training
    (``"parts_seen"``).
    An earlier split of this name is replaced. Cells without a condition, and those without a group
    of ``stratify``, are drawn among themselves.

    Raises
    ------
    ImportError
        If RDKit is needed and not installed.
    KeyError
        If a column is missing.
    ValueError
        If a group to hold out or the control does not exist or has nothing to be compared with,
        ``control`` is given without ``holdout``, nothing is left for training, there is no
        combination of a rule, a drug has no SMILES that can be read (they are listed), a number is
        out of range, or ``key_added`` is the name of something else.

    References
    ----------
    Bemis GW, Murcko MA. J Med Chem 39:2887-2893 (1996), scaffolds.
    Roohani Y, Huang K, Leskovec J. Nat Biotechnol 42:927-935 (2024), parts that are seen.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=100)
    >>> rt.pp.split(adata)
    >>> adata.obs["split"].value_counts().to_dict()
    {'train': 160, 'test': 40}

    Two genes together, of which both were seen alone:

    >>> adata = rt.datasets.simulated_screen(n_perturbations=4, n_genes=30)
    >>> names = ["control", "A", "B", "A+B", "B+C"]
    >>> adata.obs["perturbation"] = adata.obs["perturbation"].cat.rename_categories(names)
    >>> rt.pp.split(adata, holdout="combo_seen2", control="control")
    >>> adata.uns["split"]["holdout"]
    {'perturbation': ['A+B']}
    """
    cells = modality_of(adata, modality)
    check_key(cells, key_added)
    if control is not None and holdout is None:
        raise ValueError(f"control={control!r} needs holdout, the groups whose response is unseen.")
    if smiles is not None and holdout != SCAFFOLD:
        raise ValueError(f"smiles are for holdout={SCAFFOLD!r}, found holdout={holdout!r}.")
    if split_rest and holdout is None:
        raise ValueError("split_rest=True needs holdout; without it all cells are split at random.")
    told: dict[str, Any] = {}
    groups: Groups = {}
    test = np.zeros(cells.n_obs, dtype=bool)
    if isinstance(holdout, str):
        table = _by_rule(cells, holdout, groupby, control, smiles, test_size, seed)
        groups = {(groupby,): [(name,) for name in table.index[table[Key.obs.split] == "test"]]}
        told = {Key.split.rule: holdout, Key.split.perturbations: table}
    elif holdout is not None:
        groups = _groups(cells, holdout)
    if holdout is not None:
        test = _held_out(cells, groups, groupby, control, split_rest)
    if holdout is None or split_rest:
        test |= _drawn(cells, groupby, test_size, _limits(test_limits), stratify, seed, ~test)
    values = np.where(test, Key.obs.test, Key.obs.train)
    cells.obs[key_added] = pd.Categorical(values, categories=[Key.obs.train, Key.obs.test])
    cells.uns[key_added] = {
        Key.result.seed: seed,
        Key.split.holdout: {
            TOGETHER.join(columns): [TOGETHER.join(group) for group in of_columns]
            for columns, of_columns in groups.items()
        },
        **({} if control is None else {Key.split.control: str(control)}),
        **told,
        Key.split.hash: hash_of(cells, key_added),
    }


def check_key(adata: AnnData, key: str) -> None:
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
    among: np.ndarray,
) -> np.ndarray:
    """Test cells that are drawn within each condition from some cells, (n_obs,) bool."""
    condition = checks.labels(adata, groupby)
    stratum = condition if stratify is None else checks.labels(adata, stratify)
    test = np.zeros(adata.n_obs, dtype=bool)
    for name in np.unique(condition[among]):
        members = np.nonzero((condition == name) & among)[0]
        n_test = _test_cells(len(members), test_size, *limits)
        # Keyed by the condition's name: a condition that is added leaves the others alone.
        rng = np.random.default_rng([seed, *name.encode()])
        test[_draw(members, stratum[members], n_test, rng)] = True
    return test


def _by_rule(
    adata: AnnData,
    rule: str,
    groupby: str,
    control: str | None,
    smiles: str | Mapping[str, str] | pd.Series | None,
    share: float,
    seed: int,
) -> pd.DataFrame:
    """Table of the perturbations that a rule holds out."""
    if rule not in RULES:
        raise ValueError(
            f"holdout must name columns of obs and their groups, {{'cell_type': ['B']}}, or be one "
            f"of {RULES}, found {rule!r}."
        )
    if control is None:
        raise ValueError(f"holdout={rule!r} needs control, the condition without a perturbation.")
    if rule != SCAFFOLD:
        return by_parts_seen(adata, groupby, str(control), PARTS_SEEN[rule], share, seed)
    if smiles is None:
        raise ValueError("holdout='scaffold' needs smiles, a column of obs or a dictionary.")
    return by_scaffold(adata, smiles, groupby, str(control), share, seed)


def _groups(adata: AnnData, holdout: Holdout) -> Groups:
    """What is held out, by columns, as the labels that cells have.

    Raises
    ------
    TypeError, KeyError, ValueError
        If it does not name columns and groups that are there.
    """
    if not isinstance(holdout, Mapping):
        raise TypeError(
            f"holdout must name columns of obs and their groups, {{'cell_type': ['B']}}, found "
            f"{holdout!r}."
        )
    found: Groups = {}
    for name, groups in holdout.items():
        if isinstance(groups, str):
            raise ValueError(
                f"holdout[{name!r}] must be a list of groups, found the text {groups!r}."
            )
        if not isinstance(groups, Iterable):
            raise ValueError(f"holdout[{name!r}] must be a list of groups, found {groups!r}.")
        columns = name if isinstance(name, tuple) else (name,)
        for group in groups:
            values = group if isinstance(name, tuple) else (group,)
            if not isinstance(values, tuple) or len(values) != len(columns):
                raise ValueError(
                    f"holdout[{name!r}] must list tuples with a group of each column, found "
                    f"{group!r}."
                )
            labels = [
                checks.labels_meant(adata, *pair) for pair in zip(columns, values, strict=True)
            ]
            found.setdefault(columns, []).extend(product(*labels))
    return found


def _held_out(
    adata: AnnData, groups: Groups, groupby: str, control: str | None, split_rest: bool
) -> np.ndarray:
    """Test cells, those of the groups that are held out: (n_obs,) bool."""
    test = np.zeros(adata.n_obs, dtype=bool)
    for columns, of_columns in groups.items():
        labels = [checks.labels(adata, column) for column in columns]
        of_each = [_of_group(labels, group) for group in of_columns]
        for group, member in zip(of_columns, of_each, strict=True):
            if not member.any():
                raise ValueError(f"No cell has {group} in adata.obs[{list(columns)}].")
            test |= member
    if not test.any() or test.all():
        shown = {TOGETHER.join(columns): of_columns for columns, of_columns in groups.items()}
        raise ValueError(f"holdout={shown!r} leaves no cells for training or for testing.")
    if control is None and groupby not in adata.obs.columns:
        return test
    is_control = np.zeros(adata.n_obs, dtype=bool)
    if control is not None:
        is_control = checks.in_category(adata, groupby, control)
        test &= ~is_control
        if not test.any():
            raise ValueError(f"The groups held out have no cells other than {control!r}.")
    # Of a condition that is held out, the control's cells are what it is compared with, and where
    # the rest is split others are set apart.
    names = [columns[0] for columns in groups if len(columns) == 1]
    if not split_rest and not any(groupby in columns for columns in groups):
        held_control = is_control & in_held_out_groups(adata, names, is_control, test)
        _check_comparable(adata, groupby, control, test | held_control)
    return test


def _of_group(labels: Sequence[np.ndarray], group: tuple[str, ...]) -> np.ndarray:
    """Which cells have these labels in all columns: (n_obs,) bool."""
    same = [of_column == label for of_column, label in zip(labels, group, strict=True)]
    return np.logical_and.reduce(same)


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
        "group with both, or several that have them together, leave these cells out of adata, or "
        "pass split_rest=True, which sets cells of other groups apart to start from."
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
