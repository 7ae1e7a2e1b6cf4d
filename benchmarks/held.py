"""Held-out cells of one split, and figures that pooled distances of genes hardly see."""

import numpy as np
import scanpy as sc
from anndata import AnnData
from sets import embed

from rayot.metrics import energy_distance, way

CELLS = 1000
LEAST = 10


def varying(cells: np.ndarray) -> np.ndarray:
    """The half of the genes that varies most."""
    variance = cells.var(0)
    return variance > np.median(variance)


def correlation_error(cells: np.ndarray, truth: np.ndarray) -> float:
    """Mean error of the correlations of genes, among the half of them that vary most."""
    varies = varying(truth)
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = np.corrcoef(cells[:, varies].T) - np.corrcoef(truth[:, varies].T)
    return float(np.nanmean(np.abs(errors)))


class Held:
    """Held-out cells as arrays, with their strata; ``group`` is the column that holds these.

    Observed treated cells come in halves: ``observed``, a row of its own, and ``reference``, which
    all rows are compared with. Of control cells as many are predicted, so that sizes agree: of test
    cells, or of those that ``is_source`` marks.
    """

    def __init__(
        self,
        adata: AnnData,
        target: str,
        group: str | None,
        seed: int,
        is_source: np.ndarray | None = None,
    ) -> None:
        names = np.asarray(adata.obs["perturbation"].astype(str))
        is_test = np.asarray(adata.obs["split"] == "test")
        self.adata, self.group = adata, group
        if "PCs" not in adata.varm:
            embed(adata)
        rng = np.random.default_rng(seed)
        halves = rng.permutation(np.flatnonzero(is_test & (names == target)))
        self.observed, self.reference = halves[::2], halves[1::2]
        is_source = is_test if is_source is None else is_source
        source = rng.permutation(np.flatnonzero(is_source & (names == "control")))
        self.source = np.sort(source[: len(self.observed)])
        self.spare = rng.permutation(np.flatnonzero(~is_source & (names == "control")))
        self.strata = np.asarray(adata.obs[group].astype(str)) if group else np.full(len(names), "")

    def genes(self, rows: np.ndarray, layer: str | None = None) -> np.ndarray:
        block = (self.adata.X if layer is None else self.adata.layers[layer])[rows]
        return np.asarray(block.toarray() if hasattr(block, "toarray") else block)

    def distance(self, cells: np.ndarray, rows: np.ndarray, stratum: str | None = None) -> float:
        """Energy distance to the reference, of all cells or of one stratum."""
        mine = np.arange(len(rows)) if stratum is None else self.strata[rows] == stratum
        theirs = self.reference
        if stratum is not None:
            theirs = theirs[self.strata[theirs] == stratum]
        return float(energy_distance(cells[mine][:CELLS], self.genes(theirs)[:CELLS]))

    def within(self, cells: np.ndarray, rows: np.ndarray) -> float:
        """The same, stratum by stratum, added up where all have cells."""
        parts = (self.source, self.observed, self.reference)
        names = [
            name
            for name in sorted(set(self.strata[self.source]))
            if min(np.sum(self.strata[part] == name) for part in parts) >= LEAST
        ]
        return sum(self.distance(cells, rows, name) for name in names)

    def in_components(self, cells: np.ndarray) -> np.ndarray:
        """Coordinates, from a centre that all sides share."""
        return cells @ self.adata.varm["PCs"]

    def truth(self) -> tuple[np.ndarray, np.ndarray]:
        """Observed cells, and which of their genes are the half that varies most."""
        cells = self.genes(np.concatenate([self.observed, self.reference]))
        return cells, varying(cells)

    def structure(self, cells: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        """What distances of all genes over all cells hardly see, of predicted or observed cells.

        ``left within``: distances to held-out cells of the same stratum, over all strata together,
        as a share of those of untouched cells, both above those of observed cells; 0 is as good as
        these. ``components``: the way in energy distance in 50 principal components.
        ``correlations``: mean error of the correlations of genes, among those that vary most.
        """
        identity, observed = self.genes(self.source), self.genes(self.observed)
        left = np.nan
        if self.group:
            ends = self.within(identity, self.source), self.within(observed, self.observed)
            left = 1 - way(ends[0], self.within(cells, rows), ends[1])
        theirs = self.in_components(self.genes(self.reference)[:CELLS])
        parts = [
            float(energy_distance(self.in_components(each[:CELLS]), theirs))
            for each in (identity, cells, observed)
        ]
        return {
            "left within": round(left, 4),
            "components": round(way(*parts), 4),
            "correlations": round(correlation_error(cells, self.truth()[0]), 4),
        }

    def found(self, cells: np.ndarray) -> set[str]:
        """Genes that scanpy finds, against as many control cells that were not transported."""
        n = min(len(cells), len(self.spare), CELLS)
        both = AnnData(np.concatenate([cells[:n], self.genes(self.spare[:n])]))
        both.var_names = self.adata.var_names
        both.obs["of"] = np.repeat(["cells", "control"], n)
        both.obs["of"] = both.obs["of"].astype("category")
        sc.tl.rank_genes_groups(
            both, "of", groups=["cells"], reference="control", method="wilcoxon"
        )
        table = sc.get.rank_genes_groups_df(both, "cells")
        return set(table.loc[table["pvals_adj"] < 0.05, "names"])
