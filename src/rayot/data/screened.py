"""What a screen left in an AnnData, read back and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rayot.data.keys import Key

if TYPE_CHECKING:
    from anndata import AnnData


def is_screen(value: Any) -> bool:  # noqa: ANN401
    """Whether an entry of ``uns`` was written by :func:`rayot.tl.screen`."""
    needed = (Key.screen.control, Key.screen.table, Key.screen.displacement)
    return isinstance(value, Mapping) and all(name in value for name in needed)


def read_screen(adata: AnnData, key: str) -> Mapping[str, Any]:
    """Read ``adata.uns[key]``.

    Raises
    ------
    KeyError
        If there is no screen of this name.
    """
    found = adata.uns.get(key)
    if not is_screen(found):
        known = [repr(name) for name, value in adata.uns.items() if is_screen(value)]
        raise KeyError(
            f"There is no screen {key!r} in adata.uns; it has: {', '.join(known) or 'none'}."
        )
    return found
