"""Tables of scores: what a verb writes to ``uns``, and its figure reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from rayot.data.entries import entry_key
from rayot.data.keys import Key
from rayot.data.modality import modality_of

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@dataclass(frozen=True)
class Scores:
    """One kind of table, known by rows and columns that all of its tables have.

    Attributes
    ----------
    verb
        Name of the function of :mod:`rayot.tl` that makes such tables.
    columns, rows
        Names that no table of this kind lacks.

    Examples
    --------
    >>> import anndata as ad, numpy as np, pandas as pd
    >>> from rayot.data.scores import CALIBRATION
    >>> adata = ad.AnnData(np.eye(2))
    >>> table = pd.DataFrame({"coverage": [0.7], "width": 1.0, "n_points": 50}, index=[0.8])
    >>> CALIBRATION.write(adata, "calibration", table)
    >>> float(CALIBRATION.read(adata)["coverage"].iloc[0])
    0.7
    """

    verb: str
    columns: tuple[str, ...]
    rows: tuple[str, ...] = ()

    def check_key(self, adata: AnnData, key: str) -> None:
        """Raise a ValueError if a table cannot be written under this name.

        An earlier table of this kind is replaced; anything else that has the name is kept.
        """
        if key in adata.uns and not self._holds(adata.uns[key]):
            raise ValueError(
                f"key_added={key!r} would overwrite uns[{key!r}], which is no table of "
                f"rayot.tl.{self.verb}; choose another name."
            )

    def write(self, adata: AnnData, key: str, table: pd.DataFrame) -> None:
        """Keep a table of its own in ``uns[key]``; a view keeps none."""
        # Writing to a view would copy all of its cells for the sake of a few numbers.
        if not adata.is_view:
            adata.uns[key] = table.copy()

    def read(
        self,
        source: pd.DataFrame | AnnData | MuData,
        key: str | None = None,
        modality: str | None = None,
        needed: tuple[str, ...] = (),
    ) -> pd.DataFrame:
        """A table as it is, or the one in ``uns[key]``; the only one where ``key`` is None.

        Raises
        ------
        KeyError
            If there is no table of this name, or none at all, or it lacks a column that is needed.
        ValueError
            If there are several and none is named, or ``key`` or ``modality`` is given with a
            table.
        """
        if not isinstance(source, pd.DataFrame):
            table = self._kept(source, key, modality)
        elif key is None and modality is None:
            table = source
        else:
            raise ValueError("key and modality are for an AnnData or a MuData; this is a table.")
        for name in needed:
            if name not in table:
                raise KeyError(
                    f"The table has no column {name!r}; pass what tl.{self.verb} returned (columns "
                    f"found: {', '.join(map(repr, table.columns))})."
                )
        return table

    def _kept(self, data: AnnData | MuData, key: str | None, modality: str | None) -> pd.DataFrame:
        """The table in ``uns[key]``, in memory."""
        adata = modality_of(data, modality)
        writer = f"rayot.tl.{self.verb}{', but not to a view,' if adata.is_view else ''}"
        name = entry_key(adata, key, self._holds, f"tl.{self.verb} table", writer)
        table = adata.uns[name]
        # Of a file that is read lazily, so are the tables in it.
        return table if isinstance(table, pd.DataFrame) else table.to_memory()

    def _holds(self, value: Any) -> bool:  # noqa: ANN401
        """Whether a value is a table of this kind, in memory or lazy."""
        if not (hasattr(value, "columns") and hasattr(value, "index")):
            return False
        return set(self.columns) <= set(value.columns) and set(self.rows) <= set(value.index)


EVALUATE = Scores(
    Key.uns.evaluate,
    (Key.table.n_cells,),
    (Key.table.identity, Key.table.mean_shift, Key.table.observed),
)
LOG_FOLD_CHANGE = Scores(
    Key.uns.log_fold_change, (Key.table.observed, Key.table.predicted, Key.table.measure)
)
CALIBRATION = Scores(Key.uns.calibration, (Key.table.coverage, Key.table.width, Key.table.n_points))
