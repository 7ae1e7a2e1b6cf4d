"""What a map says of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from rayot._public import warn
from rayot.data import checks
from rayot.data.keys import Key

MATRICES = ("representation", "genes", "genes_sd")
"""What predictions say in more than one number a cell."""


@dataclass(frozen=True)
class Prediction:
    """Predicted cells as arrays.

    Attributes
    ----------
    representation
        (n, d) float32, T(x) in the space of the map; None where it was not asked for.
    step
        (n,) float32, ‖T(x) − x‖ there.
    potential
        (n,) float32, f(x) of the first ray, the mean over an ensemble; None for methods without.
    combined
        (n,) bool, cells predicted by the combination of separate strata's maps.
    n_clipped
        How many of the predicted values were negative and set to zero.
    genes
        (n, genes) float32 predicted expression, sparse where that of the cells is and genes are
        calibrated, so that most are zero; None where the representation has no decoder or genes
        were not asked for.
    spread
        (n,) float32, spread of the samples that a prediction is the mean of, the root mean square
        of their standard deviation over features; None where there are none.
    step_sd
        (n,) float32, standard deviation of ‖T(x) − x‖ between maps; None where there is one map.
    distance
        (n,) float32, distance of x to the nearest source cell of the fit but itself, over the
        median distance between these; None for models that did not keep these cells.
    genes_sd
        (n, genes) float32, standard deviation of the predicted expression between maps, sparse as
        ``genes``; None where there is one map, or no genes, or members were not asked for.
    """

    representation: np.ndarray | None
    step: np.ndarray
    potential: np.ndarray | None
    combined: np.ndarray
    n_clipped: int = 0
    genes: np.ndarray | sparse.csr_matrix | None = None
    spread: np.ndarray | None = None
    step_sd: np.ndarray | None = None
    distance: np.ndarray | None = None
    genes_sd: np.ndarray | sparse.csr_matrix | None = None

    @classmethod
    def joined(cls, parts: Sequence[Prediction]) -> Prediction:
        """Predictions of successive cells as one."""
        values: dict[str, Any] = {"n_clipped": sum(part.n_clipped for part in parts)}
        for field in fields(cls):
            if field.name != "n_clipped":
                blocks = [getattr(part, field.name) for part in parts]
                values[field.name] = None if blocks[0] is None else _stacked(blocks)
        return cls(**values)

    @property
    def share_clipped(self) -> float:
        """Share of the predicted values that were set to zero."""
        return 0.0 if self.genes is None else self.n_clipped / np.prod(self.genes.shape)

    def with_spread(self) -> Prediction:
        """The same, with a spread that is NaN where there is one map."""
        if self.step_sd is not None:
            return self
        genes_sd = None if self.genes is None else np.full(self.genes.shape, np.nan, np.float32)
        return replace(self, step_sd=np.full_like(self.step, np.nan), genes_sd=genes_sd)

    def obs(self, key: str) -> dict[str, np.ndarray]:
        """Columns of ``obs``, by name."""
        columns = {Key.obs.step(key): self.step}
        if self.potential is not None:
            columns[Key.obs.potential(key)] = self.potential
        if self.distance is not None:
            columns[Key.obs.distance(key)] = self.distance
        if self.spread is not None:
            columns[Key.obs.spread(key)] = self.spread
        if self.step_sd is not None:
            columns[Key.obs.step_sd(key)] = self.step_sd
        return columns

    def to_anndata(self, obs: pd.DataFrame, var: pd.DataFrame, key: str) -> AnnData:
        """The predicted cells as a plain AnnData, with ``obs`` of :func:`predicted_obs`."""
        predicted = AnnData(X=self.genes, obs=obs, var=var if self.genes is not None else None)
        if self.representation is not None:
            predicted.obsm[Key.obsm.predicted(key)] = self.representation
        for name, values in self.obs(key).items():
            predicted.obs[name] = values
        if self.genes_sd is not None:
            predicted.layers[Key.layers.spread(key)] = self.genes_sd
        return predicted


class Columns:
    """What predictions of successive cells say in one number a cell, in arrays that are made once.

    Small arrays that stay, one after each block's large ones that go, would split memory so that
    it cannot be used again.

    Parameters
    ----------
    n_cells
        Of all predictions together.
    """

    def __init__(self, n_cells: int) -> None:
        self.n_cells = n_cells
        self._values: dict[str, np.ndarray] = {}
        self._n_clipped = 0
        self._n_filled = 0

    def append(self, part: Prediction) -> None:
        """Fill in the next cells."""
        rows = slice(self._n_filled, self._n_filled + len(part.step))
        for field in fields(part):
            block = getattr(part, field.name)
            if field.name in MATRICES or not isinstance(block, np.ndarray):
                continue
            if field.name not in self._values:
                # What only later cells had would leave earlier ones without a value.
                assert not self._n_filled, field.name
                self._values[field.name] = np.empty(self.n_cells, block.dtype)
            self._values[field.name][rows] = block
        self._n_clipped += part.n_clipped
        self._n_filled = rows.stop

    def prediction(self) -> Prediction:
        """All of them, without matrices."""
        assert self._n_filled == self.n_cells, self._n_filled
        nothing: dict[str, Any] = dict.fromkeys(("representation", "potential"))
        return Prediction(**nothing | self._values, n_clipped=self._n_clipped)


def _stacked(parts: Sequence[Any]) -> Any:  # noqa: ANN401
    """Arrays, or sparse matrices, of successive cells as one."""
    if any(map(sparse.issparse, parts)):
        return sparse.vstack(parts, format="csr")
    return np.concatenate(parts)


def warn_of_treated(adata: AnnData, rows: np.ndarray, groupby: str | None, source: str) -> None:
    """Say so if cells to predict are of another condition than the map starts from."""
    if groupby is None or groupby not in adata.obs.columns:
        return
    labels = checks.labels(adata, groupby, rows)
    treated = (labels != "") & (labels != source)
    if treated.any():
        shown = ", ".join(map(repr, sorted(set(labels[treated]))[:3]))
        warn(
            f"{int(treated.sum())} of {len(labels)} cells are of {shown} in adata.obs[{groupby!r}],"
            f" and the map starts from {source!r}: it has learned nothing of cells that are treated"
            " already."
        )


def predicted_obs(
    adata: AnnData, rows: np.ndarray, key: str, groupby: str | None, target: str
) -> pd.DataFrame:
    """``obs`` of the cells that are predicted, where a condition, if they have one, is predicted.

    Parameters
    ----------
    adata, rows
        The cells.
    key
        Name of the map, whose columns are left out.
    groupby
        Column of the conditions; cells without it get none.
    target
        Condition that is predicted.
    """
    taken = list(Key.obs.of_map(key))
    obs = checks.table_of(adata).iloc[rows].drop(columns=taken, errors="ignore")
    if groupby in obs:
        # Under the name of their source, they would be taken for observed cells.
        obs[groupby] = pd.Categorical([Key.obs.predicted(target)] * len(obs))
    return obs
