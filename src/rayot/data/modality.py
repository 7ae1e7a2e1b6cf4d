"""The AnnData that a verb works on, also inside a MuData."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anndata import AnnData

if TYPE_CHECKING:
    from mudata import MuData


def modality_of(data: AnnData | MuData, modality: str | None) -> AnnData:
    """Return the AnnData to work on.

    Parameters
    ----------
    data
        An AnnData, or a MuData with a ``modality`` named.
    modality
        Name of a modality of a MuData.

    Raises
    ------
    TypeError
        If ``data`` is neither.
    KeyError
        If the MuData has no such modality.
    ValueError
        If a modality is missing for a MuData, or given for an AnnData.
    """
    if isinstance(data, AnnData):
        if modality is not None:
            raise ValueError(f"modality={modality!r} is for a MuData; this is an AnnData.")
        return data
    # Importing mudata takes a while; whoever passes one has it loaded already.
    if not hasattr(data, "mod"):
        raise TypeError(f"Expected an AnnData or a MuData, found {type(data).__name__}.")
    names = sorted(data.mod)
    if modality is None:
        raise ValueError(f"Name the modality of the MuData to work on: one of {names}.")
    if modality not in data.mod:
        raise KeyError(f"The MuData has no modality {modality!r}; it has {names}.")
    return data.mod[modality]
