"""The cells that a map is fitted on, as tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.matrix import chunk_rows, row_chunks
from rayot.data.spec import DataSpec
from rayot.data.strata import weights_of
from rayot.model.components import Components, in_components
from rayot.model.encoding import Block, Encode, held
from rayot.model.missing_genes import MeanExpression
from rayot.model.problems import Problems
from rayot.representation import Representation
from rayot.representation.resolve import has_decoder
from rayot.solvers import Attributes, Population, Settings


@dataclass(frozen=True)
class TrainingCells:
    """Both sides of the problems.

    Attributes
    ----------
    source, target
        Cells of each problem, in the space of the map, or their coordinates in ``components``.
    labels
        (n,) int64, cell type of each of their cells, −1 where it is missing; None without types.
    nonnegative
        Whether the cells' expression has no negative value.
    components
        What is held of the cells, where they are too many to hold them whole.
    source_mean
        (genes,) float32, mean expression of the source cells; None where the space has no genes.
    """

    source: Population
    target: Population
    labels: torch.Tensor | None
    nonnegative: bool
    components: Components | None
    source_mean: np.ndarray | None


@contextmanager
def checked_expression(
    adata: AnnData,
    data: DataSpec,
    rows: np.ndarray,
    training: np.ndarray,
    passed: Representation | None,
) -> Iterator[DataSpec | None]:
    """Check expression, that of training cells in the one pass which :func:`training_cells` makes.

    Spaces that an AnnData does not hold may fail on cells that cannot be computed with; these have
    to be checked before.

    Parameters
    ----------
    adata, data
        Where the expression is.
    rows
        Cells that will be fitted or transported.
    training
        Those that will be fitted.
    passed
        A representation that is no entry of the AnnData.

    Yields
    ------
    What :func:`training_cells` takes as ``unchecked``; None where all have to be checked yet.

    Raises
    ------
    ValueError
        If the expression is raw counts, or has values that cannot be computed with.
    """
    if passed is not None or not has_decoder(adata, data.use_rep):
        yield None
        return
    data.check_counts(adata, rows)
    try:
        # What the values are multiplied by says nothing new of those that are infinite.
        with np.errstate(invalid="ignore", over="ignore"):
            data.check_finite(adata, np.setdiff1d(rows, training))
            yield data
    except checks.NotFinite:
        # The sentence counts all of them.
        data.check_finite(adata, rows)
        raise


def training_cells(
    adata: AnnData,
    groups: Sequence[Sequence[np.ndarray]],
    problems: Problems,
    encode: Encode,
    weights_key: str | None,
    settings: Settings,
    seed: int,
    *,
    others: np.ndarray | None = None,
    attributes_of: Callable[[AnnData, np.ndarray], Attributes | None] | None = None,
    unchecked: DataSpec | None = None,
) -> TrainingCells:
    """Take the training cells out of an AnnData, in one pass over them.

    Parameters
    ----------
    adata
        The user's object, which is not kept.
    groups
        Rows of source and target of each stratum.
    problems
        What is fitted on them.
    encode
        Cells in the space of the map, and their expression where the space has genes.
    weights_key
        Column of ``obs`` with the weights of cells.
    settings
        Of the map; they say whether it works in components.
    seed
        Keys the cells that components are found on.
    others
        Rows of cells that are neither, but are held with them.
    attributes_of
        Attributes of cells, where the method asks for them.
    unchecked
        Says where the expression is, if it still has to be checked; of :func:`checked_expression`.

    Raises
    ------
    ValueError
        If unchecked expression has values that cannot be computed with.
    """
    of_source, of_target = zip(*groups, strict=True)
    rows = np.concatenate([*of_source, *of_target])
    weights = None
    if weights_key is not None:
        weights = torch.from_numpy(weights_of(adata, weights_key, rows))
    # Cells are held once, in the order of the file, where conditions often lie mixed.
    ascending = np.unique(rows if others is None else np.concatenate([rows, others]))
    components = None
    n_features = encode(adata, rows[:1])[0].shape[1]
    if in_components(settings, len(ascending), n_features):
        assert settings.n_components is not None
        of_sample = encode if unchecked is None else _checked(encode, unchecked)
        components = Components.from_sample(adata, groups, of_sample, settings.n_components, seed)
        encode = components.encoder(encode)
    nonnegative = True
    values = None if unchecked is None else checks.Finite(unchecked.var_names, unchecked.where)
    is_source = np.isin(ascending, np.concatenate(of_source))
    source_mean: MeanExpression | None = None

    def blocks() -> Iterator[Block]:
        nonlocal nonnegative, source_mean
        for places in row_chunks(np.arange(len(ascending)), chunk_rows(adata.n_vars)):
            encoded, expression = encode(adata, ascending[places])
            if expression is not None:
                nonnegative &= bool(expression.min() >= 0)
                source_mean = source_mean or MeanExpression(expression.shape[1])
                source_mean.look_at(expression, is_source[places])
                if values is not None:
                    values.look_at(expression)
            yield encoded

    cells = held(blocks())
    if values is not None:
        values.check()
    sizes = [len(rows_of_group) for rows_of_group in (*of_source, *of_target)]
    places = torch.from_numpy(np.searchsorted(ascending, rows)).split(sizes)
    weighed = None if weights is None else weights.split(sizes)
    attributes = None if attributes_of is None else attributes_of(adata, ascending)
    source, target = (
        problems.population(
            cells, places[half], None if weighed is None else weighed[half]
        ).with_attributes(attributes)
        for half in (slice(len(groups)), slice(len(groups), None))
    )
    mean = None if source_mean is None else source_mean.mean()
    return TrainingCells(source, target, _labels(adata, ascending), nonnegative, components, mean)


def _checked(encode: Encode, data: DataSpec) -> Encode:
    """The same, raising a ValueError at once where expression cannot be computed with."""

    def encode_and_check(adata: AnnData, rows: np.ndarray) -> tuple[Block, Block | None]:
        cells, expression = encode(adata, rows)
        assert expression is not None
        checks.finite([expression], data.var_names, data.where)
        return cells, expression

    return encode_and_check


def _labels(adata: AnnData, rows: np.ndarray) -> torch.Tensor | None:
    if Key.obs.cell_type not in adata.obs.columns:
        return None
    types = checks.labels(adata, Key.obs.cell_type, rows)
    codes = pd.Categorical(types, categories=sorted(set(types) - {""})).codes
    return torch.from_numpy(codes.astype(np.int64))
