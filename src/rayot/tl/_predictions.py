"""Predicted cells of any tool, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData, read_h5ad
from numpy.typing import NDArray

from rayot._public import is_mudata
from rayot.data import checks
from rayot.data.files import unchanged
from rayot.data.keys import Key
from rayot.data.matrix import expression_of
from rayot.data.modality import modality_of
from rayot.data.scale import (
    LARGEST_LOGARITHM,
    LINEAR,
    LOG1P,
    Scale,
    find_scale,
    log1p_of_base,
)
from rayot.metrics._arrays import pearson
from rayot.model.scored_cells import LOOKED_AT, expression
from rayot.tl._draws import shuffled

if TYPE_CHECKING:
    from mudata import MuData

FEWEST_CELLS = 10
"""Cells that a population needs to be scored."""

BASES = {LOG1P.name: 1.0, **{log1p_of_base(b).name: 1 / np.log(b) for b in (2, 10)}}
"""What log(1 + x) to each base is of the natural one."""

NEAR = 0.08
"""Up to which share the size of predicted means is that of another base."""

OTHER_SIZE = 2.0
"""Predicted means that are this many times as large, or as small, are on another scale."""

Cells = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Cellset:
    """Cells with their conditions, whose genes are found by name.

    Attributes
    ----------
    name
        Of the method, or what else messages call them.
    adata
        In memory or on disk.
    layer
        Of their expression; None is ``X``.
    columns
        Positions of the genes that are scored, (d,).
    labels
        Condition of each cell, (n,).
    strata
        Stratum of each cell, (n,); all the same where there are none.
    """

    name: str
    adata: AnnData
    layer: str | None
    columns: Rows
    labels: NDArray[np.object_]
    strata: NDArray[np.object_]

    def rows(self, label: str, stratum: str) -> Rows:
        """Cells of a condition in a stratum."""
        return np.flatnonzero((self.labels == label) & (self.strata == stratum))

    def expression(self, rows: Rows) -> Cells:
        """Expression (n, d) of some cells."""
        return expression(self.adata, self.layer, rows, self.columns)

    def scale(self) -> Scale:
        """Of the expression, as some of its cells with a condition show it."""
        rows = (
            np.flatnonzero(self.labels != "") if self.labels.any() else np.arange(len(self.labels))
        )
        block = expression_of(self.adata, self.layer, rows[:LOOKED_AT])
        return find_scale(block, self.adata.uns)

    def drawn(self, rows: Rows, n: int, seed: int) -> Cells:
        """Expression of at most n of these cells.

        Predicted cells often have the names of the control cells that they started from. Those that
        are drawn are not the control cells that are drawn, but the same of all methods.
        """
        order = shuffled(self.adata.obs_names, rows, seed, Key.table.predicted)
        return self.expression(order[:n])


@contextmanager
def opened(predicted: Any, modality: str | None) -> Iterator[dict[str, AnnData]]:  # noqa: ANN401
    """Predictions by the names of their methods; files are open, and not read, in this block.

    Raises
    ------
    TypeError
        If it is something else.
    FileNotFoundError
        If it is a folder that does not exist or has no h5ad file.
    """
    with ExitStack() as stack:
        if isinstance(predicted, str | Path):
            found: Mapping[str, Any] = {
                path.stem: stack.enter_context(_file(path)) for path in _files(Path(predicted))
            }
        elif isinstance(predicted, Mapping):
            found = predicted
        else:
            found = {Key.table.predicted: predicted}
        if not found:
            raise ValueError("predicted is an empty mapping; it needs at least one method.")
        cells = {str(name): _cells(str(name), each, modality) for name, each in found.items()}
        for each in cells.values():
            stack.enter_context(unchanged(each))
        yield cells


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{str(folder)!r} is no folder; predicted is a folder of h5ad files, one a method, an "
            "AnnData, or a mapping from the name of a method to its AnnData."
        )
    files = sorted(folder.glob("*.h5ad"))
    if not files:
        raise FileNotFoundError(f"The folder {str(folder)!r} has no file that ends in .h5ad.")
    return files


@contextmanager
def _file(path: Path) -> Iterator[AnnData]:
    adata = read_h5ad(path, backed="r")
    try:
        yield adata
    finally:
        adata.file.close()


def _cells(name: str, predicted: AnnData | MuData, modality: str | None) -> AnnData:
    if is_mudata(predicted):
        return modality_of(predicted, modality)
    if not isinstance(predicted, AnnData):
        raise TypeError(
            f"Predictions of {name!r} must be an AnnData or a MuData, found "
            f"{type(predicted).__name__}."
        )
    return predicted


def cellset(
    name: str,
    adata: AnnData,
    genes: pd.Index,
    *,
    groupby: str | None,
    strata_key: str | None,
    layer: str | None,
) -> Cellset:
    """Cells whose columns and genes are there, or one sentence why not.

    Parameters
    ----------
    name
        For messages.
    adata
        The cells.
    genes
        That are scored.
    groupby
        Column of the conditions; None where all cells are of one.
    strata_key
        Column of the strata, where there are any.
    layer
        Of the expression, where there is one of this name.

    Raises
    ------
    KeyError, ValueError
        If a column is missing, or genes are missing or there twice.
    """
    try:
        columns = _columns(adata.var_names, genes)
        blank = np.full(adata.n_obs, "", dtype=object)
        labels = blank if groupby is None else checks.labels(adata, groupby)
        strata = blank if strata_key is None else checks.labels(adata, strata_key)
    except KeyError as error:
        raise KeyError(f"The cells of {name!r}: {error.args[0]}") from None
    except ValueError as error:
        raise ValueError(f"The cells of {name!r}: {error.args[0]}") from None
    return Cellset(name, adata, layer if layer in adata.layers else None, columns, labels, strata)


def _columns(names: pd.Index, genes: pd.Index) -> Rows:
    """Positions of genes among names, of which all must be there once."""
    if not names.is_unique:
        twice = names[names.duplicated()][0]
        raise ValueError(
            f"they have the gene {twice!r} more than once; call adata.var_names_make_unique()."
        )
    positions = names.get_indexer(genes)
    missing = genes[positions < 0].astype(str).tolist()
    if missing:
        raise ValueError(
            f"they lack {len(missing)} of the {len(genes)} genes to be scored, {missing[0]!r} "
            "among them; pass genes= that all methods predict."
            + checks.naming_hint(names, missing, "in the observed cells")
        )
    return np.asarray(positions)


def problem(cells: Cells, uns: Mapping[str, Any], truth: Cells, scale: Scale) -> str:
    """What is wrong with the values of predicted cells, in a sentence; empty if nothing is seen.

    Parameters
    ----------
    cells
        Predicted, (n, d).
    uns
        Of the AnnData that they are from.
    truth
        Observed cells of the same condition, (m, d).
    scale
        That these are on.
    """
    finite = np.isfinite(cells).all(axis=1)
    if not finite.all():
        return f"NaN or infinite values in {int((~finite).sum())} of {len(cells)} cells"
    own = find_scale(cells.astype(np.float32), uns)
    if scale.is_known and own.is_known and own.name != scale.name:
        return _on(own.name, scale)
    mean, expected = cells.mean(axis=0), truth.mean(axis=0)
    if not scale.is_known or not expected.any() or truth.min() < 0:
        return ""
    if scale is not LINEAR and cells.max() > LARGEST_LOGARITHM:
        return _on(f"no logarithm (up to {cells.max():.3g})", scale)
    # Most genes respond little, so those that are expressed most have about the same mean in both.
    most = expected >= np.median(expected[expected > 0])
    times = float(np.median(mean[most] / expected[most]))
    if not 1 / OTHER_SIZE < times < OTHER_SIZE:
        return _on(f"{times:.2g} times as large", scale)
    for name, factor in BASES.items() if scale.name in BASES else ():
        ratio = factor / BASES[scale.name]
        if name != scale.name and abs(times / ratio - 1) < NEAR and pearson(mean, expected) > 0.9:
            return _on(f"{name}, as they are {times:.3g} times as large", scale)
    return ""


def _on(what: str, scale: Scale) -> str:
    return (
        f"values look like {what}, where observed cells are {scale.name}; bring both to one scale, "
        "or pass check_scale=False"
    )
