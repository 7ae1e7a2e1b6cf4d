"""What a map keeps of how its cells were split, so that it is judged by cells it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from rayot.data import checks
from rayot.data.keys import Key


@dataclass(frozen=True)
class Split:
    """Training and test cells of a map.

    Attributes
    ----------
    key
        Column of ``adata.obs`` with "train" and "test"; None where all cells are for training.
    holdout
        Columns of which whole groups were held out; empty where cells were drawn.
    control
        Condition whose cells stayed in training though their group was held out; None where they
        did not.
    hash
        Of which cells were for training and for testing, see :func:`hash_of`; None without a split.
    training_cells
        (n,) uint64, ascending, hashes of the names of the cells that the map was fitted on; None
        where it did not keep them.
    """

    key: str | None = None
    holdout: tuple[str, ...] = ()
    control: str | None = None
    hash: str | None = None
    training_cells: np.ndarray | None = field(default=None, compare=False)

    def is_trained_on(self, adata: AnnData) -> np.ndarray | None:
        """Which cells the map was fitted on, by their names: (n_obs,) bool; None if unknown.

        Cells of which no name is known are of other data, or were renamed.
        """
        if self.training_cells is None:
            return None
        trained = np.isin(hashes_of(adata.obs_names), self.training_cells)
        return trained if trained.any() else None

    def has_all_training_cells(self, adata: AnnData) -> bool:
        """Whether all cells that the map was fitted on are there, so that those lacking never were.

        False where the map did not keep them.
        """
        if self.training_cells is None:
            return False
        return bool(np.isin(self.training_cells, hashes_of(adata.obs_names)).all())

    def is_known_control(self, adata: AnnData, groupby: str, is_test: np.ndarray) -> np.ndarray:
        """Control cells in training of groups whose response was held out: (n_obs,) bool.

        Training has seen these cells and not what becomes of them. Groups are read from the cells
        as they are now, those of which all cells but the control's are for testing, so that a
        group may be renamed or left out.

        Raises
        ------
        KeyError
            If a column whose groups were held out is gone.
        """
        if self.control is None:
            return np.zeros(adata.n_obs, dtype=bool)
        control = checks.members(checks.column(adata, groupby), self.control)
        if groupby in self.holdout:
            # Whole conditions were held out; the control's cells are where all of them start.
            return control
        for column in self.holdout:
            if column not in adata.obs.columns:
                raise KeyError(
                    f"The split of the map held groups of adata.obs[{column!r}] out, a column that "
                    "is gone, so the control cells of these groups cannot be told; name it as it "
                    "was."
                )
        return control & in_held_out_groups(adata, self.holdout, control, is_test)


def hashes_of(names: pd.Index) -> np.ndarray:
    """Hashes of the names of cells, (n,) uint64, the same in every session."""
    return pd.util.hash_array(names.astype(str).to_numpy(dtype=object))


def hash_of(adata: AnnData, key: str) -> str:
    """Sixteen digits that tell one split from another, whatever the order of the cells.

    Two splits have the same hash if the same cells, by their names, are for training, and the same
    for testing.
    """
    labels = checks.labels(adata, key)
    hashes = hashes_of(adata.obs_names)
    digest = sha256()
    for side in (Key.obs.train, Key.obs.test):
        digest.update(np.sort(hashes[labels == side]).tobytes())
        digest.update(side.encode())
    return digest.hexdigest()[:16]


def names_kept(adata: AnnData, rows: np.ndarray) -> np.ndarray:
    """What is kept of the names of training cells: their hashes, (n,) uint64, ascending."""
    return np.unique(hashes_of(adata.obs_names[rows]))


def in_held_out_groups(
    adata: AnnData, columns: Sequence[str], control: np.ndarray, is_test: np.ndarray
) -> np.ndarray:
    """Which cells are of a group whose cells, but for the control's, are all for testing."""
    member = np.zeros(adata.n_obs, dtype=bool)
    for column in columns:
        labels = checks.labels(adata, column)
        seen = set(labels[~control & ~is_test])
        unseen = set(labels[~control & is_test]) - seen - {""}
        member |= pd.Index(labels).isin(unseen)
    return member


def split_of(adata: AnnData, key: str | None, groupby: str | None) -> Split:
    """What ``uns`` says of a split, as far as it is ours and agrees with the cells.

    An entry that :func:`rayot.pp.split` left is of no use once the column was written anew: then
    the column alone counts.
    """
    if key is None:
        return Split()
    told = adata.uns.get(key)
    unspecified = Split(key, hash=hash_of(adata, key))
    if groupby is None or told is None or not is_split(told):
        return unspecified
    columns = tuple(map(str, told[Key.split.holdout]))
    if not columns or any(column not in adata.obs.columns for column in columns):
        return unspecified
    control = told.get(Key.split.control)
    is_test = checks.labels(adata, key) == Key.obs.test
    is_control = np.zeros(adata.n_obs, dtype=bool)
    if control is not None:
        is_control = checks.members(checks.column(adata, groupby), str(control))
    held_out = in_held_out_groups(adata, columns, is_control, is_test)
    if not np.array_equal(is_test, held_out & ~is_control):
        return unspecified
    return replace(unspecified, holdout=columns, control=None if control is None else str(control))


def is_split(value: Any) -> bool:  # noqa: ANN401
    """Whether an entry of ``uns`` was written by :func:`rayot.pp.split`."""
    return (
        isinstance(value, Mapping)
        and Key.result.seed in value
        and isinstance(value.get(Key.split.holdout), Mapping)
    )
