"""What a screen left in an AnnData, read back and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rayot.data.entries import entry_key
from rayot.data.keys import Key

if TYPE_CHECKING:
    from anndata import AnnData


def is_screen(value: Any) -> bool:  # noqa: ANN401
    """Whether an entry of ``uns`` was written by :func:`rayot.tl.screen`."""
    if not isinstance(value, Mapping) or not isinstance(value.get(Key.screen.control), str):
        return False
    return Key.screen.table in value and Key.screen.displacement in value


def read_screen(adata: AnnData, key: str | None) -> tuple[str, Mapping[str, Any]]:
    """Name of a screen and ``adata.uns[key]``; of the only one there is where ``key`` is None.

    Raises
    ------
    KeyError
        If there is no screen of this name, or none at all.
    ValueError
        If there are several and none is named.
    """
    key = entry_key(adata, key, is_screen, "screen", "rayot.tl.screen")
    return key, adata.uns[Key.uns.result(key)]
