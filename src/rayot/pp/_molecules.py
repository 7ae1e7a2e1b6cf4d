"""Drugs of conditions as molecules of RDKit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from anndata import AnnData

from rayot._arguments import refused
from rayot._combinations import parts_of
from rayot.data import checks


def smiles_of(
    adata: AnnData, smiles: str | Mapping[str, str] | pd.Series, groupby: str, control: str
) -> dict[str, str]:
    """SMILES of each condition that has one.

    Raises
    ------
    KeyError, ValueError
        If the column is missing, or a condition has several.
    """
    if isinstance(smiles, str):
        where, pairs = f"adata.obs[{smiles!r}]", _of_cells(adata, groupby, smiles)
    elif isinstance(smiles, Mapping | pd.Series):
        where, pairs = "smiles", _of_names(smiles)
    else:
        raise refused("smiles", "a column of obs, a dictionary or a Series", smiles)
    given: dict[str, str] = {}
    for name, text in pairs:
        parts = parts_of(name, (), control)
        # "A+control" is A.
        name = parts[0] if len(parts) == 1 else name
        if name in ("", control):
            continue
        if given.setdefault(name, text) != text:
            raise ValueError(
                f"{name!r} has several SMILES in {where}, such as {given[name]!r} and {text!r}; "
                "give one."
            )
    return given


def whole_names(given: Mapping[str, str], control: str) -> set[str]:
    """Names that are one drug, plus or not, as they are described and none of their parts is."""
    return {
        name
        for name in given
        if not any(part in given for part in parts_of(name, (), control) if part != name)
    }


def _of_cells(adata: AnnData, groupby: str, smiles: str) -> Iterator[tuple[str, str]]:
    """Conditions and the SMILES of their cells; those without any are left out."""
    columns = checks.labels(adata, groupby), checks.labels(adata, smiles)
    pairs = sorted(set(zip(*columns, strict=True)))
    described = {name for name, text in pairs if text.strip()}
    return ((name, text.strip()) for name, text in pairs if name in described)


def _of_names(smiles: Mapping[str, str] | pd.Series) -> Iterator[tuple[str, str]]:
    """Conditions and their SMILES; those whose value is missing are left out."""
    return ((str(name), str(text).strip()) for name, text in smiles.items() if pd.notna(text))


def molecules(smiles: Mapping[str, str | None], function: str) -> dict[str, Any]:
    """The largest organic part of each drug, with its charges neutralised.

    Parameters
    ----------
    smiles
        Of each condition.
    function
        What asks for them, for messages.

    Raises
    ------
    ImportError
        If RDKit is not installed.
    ValueError
        If a SMILES is missing, cannot be read or has no atoms; lists them.
    """
    try:
        from rdkit import Chem, rdBase
        from rdkit.Chem.MolStandardize import rdMolStandardize
    except ImportError as error:
        raise ImportError(
            f"{function} needs RDKit, which is not installed: pip install 'rayot[chem]'."
        ) from error
    largest = rdMolStandardize.LargestFragmentChooser(preferOrganic=True)
    uncharger = rdMolStandardize.Uncharger()
    found = {}
    # What RDKit logs of SMILES that it cannot read is in our error.
    with rdBase.BlockLogs():
        for name, text in smiles.items():
            molecule = Chem.MolFromSmiles(text or "")
            if molecule is not None and molecule.GetNumAtoms():
                found[name] = uncharger.uncharge(largest.choose(molecule))
    if bad := [name for name in smiles if name not in found]:
        shown = ", ".join(f"{name!r}: {smiles[name]!r}" for name in bad[:5])
        raise ValueError(
            f"{len(bad)} of {len(smiles)} conditions have no SMILES that RDKit can read: {shown}"
            f"{', …' if len(bad) > 5 else ''}; give each a valid one, or leave these cells out."
        )
    return found
