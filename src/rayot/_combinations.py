"""Names of combined perturbations."""

from __future__ import annotations

from collections.abc import Collection

COMBINED_BY = "+"
"""Joins the parts of a combined perturbation."""


def parts_of(name: str, names: Collection[str] = (), control: str | None = None) -> list[str]:
    """Parts of a combined perturbation, without the control.

    A name that is known whole is one part, and so is one with a plus at its end or two in a row,
    which are then letters of a name, as in "CD4+" or "Ca2++".

    Parameters
    ----------
    name
        Of a perturbation.
    names
        Names that are no combinations whatever they look like.
    control
        A part that changes nothing.

    Examples
    --------
    >>> from rayot._combinations import parts_of
    >>> parts_of("A+B"), parts_of("A+"), parts_of("A+control", control="control")
    (['A', 'B'], ['A+'], ['A'])
    """
    parts = [part.strip() for part in name.split(COMBINED_BY)]
    if name in names or not all(parts):
        return [name]
    # Of nothing but the control itself there is no part to leave out.
    return [part for part in parts if part != control] or [name]
