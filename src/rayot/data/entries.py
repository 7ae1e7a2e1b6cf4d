"""Which entry of ``uns`` a function reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anndata import AnnData


def entry_key(
    adata: AnnData, key: str | None, is_wanted: Callable[[Any], bool], kind: str, writer: str
) -> str:
    """Name of the entry that is asked for, or of the only one of its kind.

    Parameters
    ----------
    adata
        With entries of all kinds in ``uns``, also those of others.
    key
        Name that is asked for; None takes the only entry there is.
    is_wanted
        Whether an entry is of this kind.
    kind, writer
        What such an entry is called, and the verb that writes one.

    Raises
    ------
    KeyError
        If there is no entry of this kind, or none of this name.
    ValueError
        If there are several and none is named.

    Examples
    --------
    >>> import anndata as ad, numpy as np
    >>> from rayot.data.entries import entry_key
    >>> adata = ad.AnnData(np.eye(2), uns={"neighbors": {}, "mine": 5})
    >>> entry_key(adata, None, lambda value: value == 5, "five", "rayot.tl.five")
    'mine'
    """
    keys = [name for name, value in adata.uns.items() if is_wanted(value)]
    if key is None and len(keys) == 1:
        return str(keys[0])
    if key is not None and key in keys:
        return key
    names = ", ".join(map(repr, keys))
    if key is None and keys:
        raise ValueError(
            f"adata.uns has several {kind}s, {names}; name one of them, as in key={keys[0]!r}."
        )
    missing = kind if key is None else f"{kind} {key!r}"
    hint = f"{kind}s found: {names}" if keys else f"{writer} writes one"
    raise KeyError(f"There is no {missing} in adata.uns; {hint}.")
