"""What a model needs of an AnnData, written down so that it can be saved and checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.matrix import chunk_rows, expression_of, row_chunks
from rayot.data.scale import SAMPLE_CELLS, UNKNOWN, find_scale
from rayot.data.split import split_of
from rayot.data.strata import weights_of

SAMPLE_ROWS = 2000
"""Cells looked at to tell counts from log-normalised values."""


TUPLES = ("var_names", "covariate_keys", "holdout")
"""Fields that are lists in JSON."""


@dataclass(frozen=True)
class DataSpec:
    """Where in an AnnData a model finds its cells.

    Attributes
    ----------
    groupby
        Column of ``obs`` with the conditions; None where conditions do not matter.
    layer
        Layer with the expression; None is ``X``.
    use_rep
        Entry of ``obsm`` the map works on; None is the expression itself.
    split_key
        Column of ``obs`` with "train" and "test"; None if all cells are for training.
    var_names
        Genes, in the order of the model.
    allow_counts
        Whether expression that looks like raw counts is taken.
    strata_key
        Column of ``obs`` with the strata that cells are matched within; None matches all.
    weights_key
        Column of ``obs`` with the weights of cells; None weighs all alike.
    covariate_keys
        Columns of ``obs`` with what joint methods know of every cell.
    dose_key
        Column of ``obs`` with the doses of treated cells; None where there are none.
    dose
        Dose that is predicted, in the units of that column; None without doses.
    time
        Time that is predicted; None where it is that of the target.
    times
        Those of source and target, in the same units; None where none is asked for.
    time_name
        Category of the cells that were measured at that time; None where there are none.
    nonnegative
        Whether the training cells' expression has no negative value; the model finds out.
    scale
        Name of the scale of the expression, see ``rayot.data.scale``.
    holdout, holdout_control
        Columns of which the split held out whole groups, and the condition whose cells stayed, see
        ``rayot.data.split.Split``.
    split_hash
        Tells that split from others, see ``rayot.data.split.hash_of``; None without one.
    """

    groupby: str | None
    layer: str | None
    use_rep: str | None
    split_key: str | None
    var_names: tuple[str, ...]
    allow_counts: bool = False
    strata_key: str | None = None
    weights_key: str | None = None
    covariate_keys: tuple[str, ...] = ()
    dose_key: str | None = None
    dose: float | None = None
    nonnegative: bool = False
    scale: str = UNKNOWN.name
    holdout: tuple[str, ...] = ()
    holdout_control: str | None = None
    time: float | None = None
    times: tuple[float, float] | None = None
    time_name: str | None = None
    split_hash: str | None = None

    @classmethod
    def from_anndata(
        cls,
        adata: AnnData,
        *,
        groupby: str | None = Key.obs.perturbation,
        layer: str | None = None,
        use_rep: str | None = None,
        split_key: str | None = Key.obs.split,
        allow_counts: bool = False,
        strata_key: str | None = None,
        weights_key: str | None = None,
    ) -> DataSpec:
        """Check an AnnData and describe it; nothing in it is changed.

        Raises
        ------
        KeyError
            If a column, layer or representation is missing.
        ValueError
            If a split has no training cells, there is no expression to work on, a gene or a column
            is there twice, or one column has two uses.
        """
        checks.aligned_genes(adata.var_names, (), "The cells")
        checks.different_columns(
            groupby=groupby, strata_key=strata_key, weights_key=weights_key, split_key=split_key
        )
        for name in (groupby, strata_key, weights_key):
            if name is not None:
                checks.column(adata, name)
        # Data without the default column have no split; a column that was asked for must exist.
        if split_key == Key.obs.split and split_key not in adata.obs.columns:
            split_key = None
        if split_key is not None:
            checks.in_category(adata, split_key, Key.obs.train)
        if use_rep is None or layer is not None:
            expression_of(adata, layer, np.arange(min(1, adata.n_obs)))
        if use_rep is not None:
            check_representation(adata, use_rep)
        split = split_of(adata, split_key, groupby)
        return cls(
            groupby,
            layer,
            use_rep,
            split_key,
            tuple(map(str, adata.var_names)),
            allow_counts,
            strata_key,
            weights_key,
            holdout=split.holdout,
            holdout_control=split.control,
            split_hash=split.hash,
        )

    @property
    def share(self) -> float:
        """Share of its way from source to target that a cell has gone at the predicted time."""
        if self.time is None or self.times is None:
            return 1.0
        first, last = self.times
        return (self.time - first) / (last - first)

    @property
    def where(self) -> str:
        """The slot of the expression, for messages."""
        return "adata.X" if self.layer is None else f"adata.layers[{self.layer!r}]"

    def expression(self, adata: AnnData, rows: np.ndarray) -> np.ndarray | sparse.csr_matrix:
        """Expression (n, genes) of these cells, float32, genes in the order of the model.

        Raises
        ------
        ValueError
            If genes are missing.
        """
        block = expression_of(adata, self.layer, rows)
        if tuple(adata.var_names) != self.var_names:
            block = block[:, checks.aligned_genes(adata.var_names, self.var_names)]
        # Sums over genes have the same bits only if they go over them in the same order in memory.
        if isinstance(block, np.ndarray):
            return np.ascontiguousarray(block)
        return block if block.has_sorted_indices else block.sorted_indices()

    def in_gene_order(self, adata: AnnData) -> AnnData:
        """The cells with the genes of the model alone, in its order; a view where they have others.

        Raises
        ------
        ValueError
            If genes are missing.
        """
        if tuple(adata.var_names) == self.var_names:
            return adata
        return adata[:, checks.aligned_genes(adata.var_names, self.var_names)]

    def with_scale_of(self, adata: AnnData, rows: np.ndarray) -> DataSpec:
        """The same with the scale of these cells' expression, by a sample of them.

        Cells that are known by an entry of ``obsm`` alone have none.
        """
        if self.layer is None and adata.X is None:
            return self
        chosen = np.sort(np.random.default_rng(0).permutation(rows)[:SAMPLE_CELLS])
        return replace(self, scale=find_scale(self.expression(adata, chosen), adata.uns).name)

    def check_expression(self, adata: AnnData, rows: np.ndarray) -> None:
        """Raise a ValueError if these cells' expression has NaN or is raw counts."""
        self.check_counts(adata, rows)
        self.check_finite(adata, rows)

    def check_counts(self, adata: AnnData, rows: np.ndarray) -> None:
        """Raise a ValueError if the first of these cells have raw counts, where none may be."""
        if not self.allow_counts:
            checks.not_counts(self.expression(adata, rows[:SAMPLE_ROWS]), self.where)

    def check_finite(self, adata: AnnData, rows: np.ndarray) -> None:
        """Raise a ValueError if these cells' expression has values that one cannot compute with."""
        size = chunk_rows(adata.n_vars)
        blocks = (self.expression(adata, chunk) for chunk in row_chunks(rows, size))
        checks.finite(blocks, self.var_names, self.where)

    def finite_expression(self, adata: AnnData, rows: np.ndarray) -> np.ndarray | sparse.csr_matrix:
        """Expression of a sample of cells, which may not have been checked; else a ValueError."""
        expression = self.expression(adata, rows)
        checks.finite([expression], self.var_names, self.where)
        return expression

    def training_rows(self, adata: AnnData, category: str) -> np.ndarray:
        """Row numbers of the training cells of a condition, without those of weight zero.

        Raises
        ------
        KeyError, ValueError
            If the condition is missing or has too few training cells, or a weight is none.
        """
        rows = self._training(adata, category)
        what = f"{category!r} in adata.obs[{self.groupby!r}]"
        checks.enough_cells(len(rows), what)
        if self.weights_key is None:
            return rows
        weights = weights_of(adata, self.weights_key, rows)
        # A split could otherwise leave a part with no mass at all.
        checks.enough_cells(
            int((weights > 0).sum()),
            f"With the weights of adata.obs[{self.weights_key!r}] above zero, {what}",
        )
        return rows[weights > 0]

    def some_training_rows(self, adata: AnnData, category: str) -> np.ndarray:
        """The same of a condition that may have few training cells, or none."""
        rows = self._training(adata, category)
        return rows[self.weights(adata, rows) > 0]

    def _training(self, adata: AnnData, category: str) -> np.ndarray:
        assert self.groupby is not None
        member = checks.in_category(adata, self.groupby, category)
        if self.split_key is not None:
            member &= checks.labels(adata, self.split_key) == Key.obs.train
        return np.nonzero(member)[0]

    def weights(self, adata: AnnData, rows: np.ndarray) -> np.ndarray:
        """Weights of cells, (n,) float32; 1 where none are named."""
        if self.weights_key is None:
            return np.ones(len(rows), dtype=np.float32)
        return weights_of(adata, self.weights_key, rows)

    def rows(self, adata: AnnData, category: str) -> np.ndarray:
        """Row numbers of all cells of a condition, trained on or not."""
        assert self.groupby is not None
        return np.nonzero(checks.in_category(adata, self.groupby, category))[0]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> DataSpec:
        """Inverse of :meth:`to_json`."""
        tuples: dict[str, Any] = {name: tuple(values.get(name, ())) for name in TUPLES}
        if values.get("times") is not None:
            tuples["times"] = tuple(values["times"])
        return cls(**{**values, **tuples})


def check_representation(adata: AnnData, use_rep: str) -> None:
    """Raise if ``obsm[use_rep]`` is absent or does not fit the cells."""
    if use_rep not in adata.obsm:
        names = sorted(adata.obsm)
        raise KeyError(
            f"adata.obsm has no {use_rep!r}; it has {names or 'nothing'}. Compute it first, or "
            "leave use_rep out to work on the expression itself."
        )
    shape = adata.obsm[use_rep].shape
    if len(shape) != 2 or shape[0] != adata.n_obs:
        raise ValueError(
            f"adata.obsm[{use_rep!r}] has shape {shape}; it needs one row for each of the "
            f"{adata.n_obs} cells."
        )
