"""What functions that describe conditions by vectors have in common."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from rayot._combinations import parts_of
from rayot.data import checks
from rayot.data.keys import Key


def perturbations(
    adata: AnnData, groupby: str, control: str, whole: Collection[str] = ()
) -> list[str]:
    """Single perturbations of the cells, in alphabetical order.

    They are known by their names; no cell is looked at.

    Parameters
    ----------
    adata, groupby, control
        As in :mod:`rayot.pp`.
    whole
        Names that are no combinations whatever they look like.

    Raises
    ------
    KeyError, ValueError
        If the column or the control is missing, or there is nothing but the control.
    """
    checks.in_category(adata, groupby, control)
    names = [name for name in checks.categories(adata, groupby) if name != control]
    if not names:
        raise ValueError(f"adata.obs[{groupby!r}] has no condition other than {control!r}.")
    return sorted({part for name in names for part in parts_of(name, whole, control)})


def check_key(adata: AnnData, key: str) -> None:
    """Raise a ValueError if vectors cannot be written under this name.

    Earlier vectors are replaced; anything else that has the name is kept.
    """
    checks.writable(adata)
    index = getattr(adata.uns.get(key), "index", None)
    if key in adata.uns and getattr(index, "name", None) != Key.vectors.condition:
        raise ValueError(
            f"key_added={key!r} would overwrite uns[{key!r}], which holds no vectors that rayot.pp "
            "wrote; choose another name, or remove it first."
        )


def table_of(values: np.ndarray, names: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Vectors (n, d) of conditions as they are written, float32."""
    index = pd.Index(names, dtype=object, name=Key.vectors.condition)
    return pd.DataFrame(np.float32(values), index=index, columns=pd.Index(columns, dtype=object))


def write(adata: AnnData, key: str, table: pd.DataFrame) -> None:
    """Keep vectors in ``uns[key]``."""
    if adata.is_view:
        # Assigning to a view would copy it with a warning; scanpy's functions copy it silently.
        adata._init_as_actual(adata.copy())
    adata.uns[key] = table
