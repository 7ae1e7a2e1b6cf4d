"""Genes of a model that cells to predict lack, and what they are taken for."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from rayot._public import warn
from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.spec import DataSpec
from rayot.model.saved import Arrays, check_array
from rayot.representation import Representation

LARGEST_SHARE = 0.5
"""Of a model's genes, up to which they may be missing: of more, predictions would be of others."""

ERROR, ZERO, MEAN = "error", "zero", "mean"

CHOICES = (ERROR, ZERO, MEAN)
"""What can be done where genes are missing."""

SAVED = "source_mean"
"""Array of a saved model; files of earlier versions lack it."""


@dataclass(frozen=True)
class FilledSpec(DataSpec):
    """Where cells are found that lack some genes of the model, which are filled in.

    Attributes
    ----------
    filled_by
        ``"zero"`` or ``"mean"``.
    values
        (genes,) float32, what each gene is taken for where it is missing.
    is_missing
        (genes,) bool.
    """

    filled_by: str = ZERO
    values: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32), compare=False)
    is_missing: np.ndarray = field(default_factory=lambda: np.zeros(0, bool), compare=False)

    @cached_property
    def known(self) -> DataSpec:
        """The same of the genes that the cells have."""
        values = {of.name: getattr(self, of.name) for of in fields(DataSpec)}
        names = np.array(self.var_names, dtype=object)[~self.is_missing]
        return DataSpec(**{**values, "var_names": tuple(names)})

    def expression(self, adata: AnnData, rows: np.ndarray) -> np.ndarray | sparse.csr_matrix:
        """Expression (n, genes) of these cells, float32, genes in the order of the model."""
        block = self.known.expression(adata, rows)
        n_genes, missing = len(self.var_names), np.flatnonzero(self.is_missing)
        if isinstance(block, np.ndarray):
            expression = np.empty((len(rows), n_genes), dtype=np.float32)
            expression[:, ~self.is_missing] = block
            expression[:, missing] = self.values[missing]
            return expression
        filled = np.broadcast_to(self.values[missing], (len(rows), len(missing)))
        order = np.argsort(np.concatenate([np.flatnonzero(~self.is_missing), missing]))
        columns = sparse.hstack([block, sparse.csr_matrix(filled)], format="csr", dtype=np.float32)
        return columns[:, order].sorted_indices()

    def in_gene_order(self, adata: AnnData) -> AnnData:
        """The cells as they are, where genes are missing.

        Spaces that read more of them than expression are refused then.
        """
        return adata if self.is_missing.any() else super().in_gene_order(adata)

    def check_counts(self, adata: AnnData, rows: np.ndarray) -> None:
        """Raise a ValueError if the genes that are there are raw counts, where none may be."""
        self.known.check_counts(adata, rows)

    def result(self) -> dict[str, str | int]:
        """What ``uns`` says of a prediction."""
        return {
            Key.result.missing_genes: self.filled_by,
            Key.result.n_missing_genes: int(self.is_missing.sum()),
        }


def filled(
    data: DataSpec,
    adata: AnnData,
    missing_genes: str,
    source_mean: np.ndarray | None,
    representation: Representation,
) -> DataSpec:
    """Where a model finds cells, with genes filled in that they lack, if that was asked for.

    Parameters
    ----------
    data
        Of the model.
    adata
        Cells to predict.
    missing_genes
        One of :data:`CHOICES`.
    source_mean
        (genes,) mean of the source cells of training; None of models that did not keep it.
    representation
        Space of the model.

    Raises
    ------
    ValueError
        If more than half of the genes are missing, the mean of a gene is not known, or the space
        reads more of cells than their expression.
    """
    # Without a decoder no gene is looked at.
    if missing_genes == ERROR or not representation.has_decoder:
        return data
    is_missing = missing_among(adata.var_names, data.var_names)
    n_missing = int(is_missing.sum())
    if n_missing and representation.reads_cells:
        raise ValueError(
            f"These cells lack {n_missing} genes, and {representation.name!r} encodes cells by "
            "their counts, which are not filled in; add the genes to the cells."
        )
    values = values_for(missing_genes, n_missing, source_mean, len(data.var_names))
    of_data = {of.name: getattr(data, of.name) for of in fields(DataSpec)}
    return FilledSpec(**of_data, filled_by=missing_genes, values=values, is_missing=is_missing)


def missing_among(genes: pd.Index, wanted: tuple[str, ...] | list[str]) -> np.ndarray:
    """Which genes of a model cells lack, (genes,) bool, with a warning if there are any.

    Raises
    ------
    ValueError
        If they are more than half, or the cells have none, or one twice.
    """
    checks.aligned_genes(genes, ())
    names = pd.Index(wanted)
    is_missing = ~names.isin(genes)
    missing = list(map(str, names[is_missing]))
    if len(missing) > LARGEST_SHARE * len(names):
        raise ValueError(
            f"These cells lack {len(missing)} of the {len(names)} genes the model was fitted on, "
            f"more than half, which cannot be filled in: {checks.listed(missing, 3)}."
            f"{checks.naming_hint(genes, missing, 'in the model')}"
        )
    if missing:
        warn(
            f"These cells lack {len(missing)} of the {len(names)} genes of the model, which are "
            f"filled in: {checks.listed(missing, 3)}."
            f"{checks.naming_hint(genes, missing, 'in the model')}"
        )
    return is_missing


def values_for(
    missing_genes: str, n_missing: int, source_mean: np.ndarray | None, n_genes: int
) -> np.ndarray:
    """What genes are taken for where they are missing, (genes,) float32.

    Raises
    ------
    ValueError
        If that is a mean which the model did not keep.
    """
    if missing_genes == ZERO or not n_missing:
        return np.zeros(n_genes, dtype=np.float32)
    if source_mean is None:
        raise ValueError(
            "The model was saved by a version that kept no means of its source cells; pass "
            "missing_genes='zero', or fit it again."
        )
    return source_mean


def source_mean_of(arrays: Arrays, n_genes: int) -> np.ndarray | None:
    """Mean of the source cells of training, taken out of the arrays of a saved model.

    Raises
    ------
    ValueError
        If it is not of so many genes.
    """
    mean = arrays.pop(SAVED, None)
    if mean is not None:
        check_array(mean, SAVED, (n_genes,))
    return mean


class MeanExpression:
    """Mean of cells that come block by block.

    Parameters
    ----------
    n_genes
        Columns of the blocks.
    """

    def __init__(self, n_genes: int) -> None:
        self._total, self._n_cells = np.zeros(n_genes), 0

    def look_at(self, block: np.ndarray | sparse.csr_matrix, taken: np.ndarray) -> None:
        """Take in those cells of a block (n, genes) that ``taken`` (n,), bool, says."""
        # What is infinite is said elsewhere.
        with np.errstate(invalid="ignore", over="ignore"):
            self._total += taken.astype(np.float32) @ block
        self._n_cells += int(taken.sum())

    def mean(self) -> np.ndarray | None:
        """(genes,) float32; None of no cells."""
        return (self._total / self._n_cells).astype(np.float32) if self._n_cells else None
