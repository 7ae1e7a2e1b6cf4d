"""Vectors of drugs, by their structure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rayot._arguments import whole_number
from rayot._docs import shared
from rayot._public import public, warn
from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.pp._molecules import molecules, smiles_of, whole_names
from rayot.pp._vectors import check_key, perturbations, table_of, write

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@public(radius=partial(whole_number, least=0, most=16), n_bits=partial(whole_number, most=2**16))
@shared
def fingerprints(
    adata: AnnData | MuData,
    smiles: str | Mapping[str, str] | pd.Series,
    *,
    groupby: str = Key.obs.perturbation,
    control: str = Key.obs.control,
    radius: int = 2,
    n_bits: int = 1024,
    modality: str | None = None,
    key_added: str = Key.uns.fingerprints,
) -> None:
    """Describe drugs by their structure, so that unseen ones can be predicted.

    Morgan fingerprints (extended-connectivity fingerprints; Rogers & Hahn 2010): how often a
    molecule has each neighbourhood of atoms, up to ``radius`` bonds around an atom. They are
    counts and not bits, which would be the same for chains of other lengths. Neighbourhoods share
    ``n_bits`` places, where a few may meet.

    Of a salt or a mixture the largest organic part counts, with its charges neutralised. Stereo is
    kept as far as SMILES say it, as mirror images can act differently. Needs RDKit,
    ``pip install 'rayot[chem]'``.

    Parameters
    ----------
    {adata}
    smiles
        SMILES of each condition: a column of ``obs``, or a dictionary or Series from condition to
        SMILES, which may have drugs that no cell was exposed to.
    {groupby}
    control
        Category of ``groupby`` without a perturbation. It needs no SMILES and gets no row.
    radius
        Largest neighbourhood, in bonds; 2 are the fingerprints known as ECFP4.
    n_bits
        Length of a vector.
    {modality}
    {key_added}

    Returns
    -------
    None. Writes ``uns[key_added]``, a DataFrame (conditions, n_bits) float32 in alphabetical order,
    for ``embedding_key`` of :func:`rayot.tl.conditional_w1ot`, :func:`rayot.tl.nearest` and
    :func:`rayot.tl.ridge`. Combinations ``"A+B"`` get no row: their parts describe them. Earlier
    vectors of this name are replaced.

    Warns
    -----
    UserWarning
        If drugs have the same fingerprint, which models cannot tell apart.

    Raises
    ------
    ImportError
        If RDKit is not installed.
    KeyError
        If a column is missing.
    ValueError
        If a condition has several SMILES, none, or one that cannot be read or has no atoms, the
        control does not exist, a number is out of range, or ``key_added`` is the name of something
        else.

    References
    ----------
    Rogers D, Hahn M. J Chem Inf Model 50:742-754 (2010).

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated_screen(2, n_cells=60, n_genes=20)
    >>> smiles = {"drug_000": "CC(=O)Oc1ccccc1C(=O)O", "drug_001": "CN1CCC[C@H]1c1cccnc1"}
    >>> rt.pp.fingerprints(adata, smiles)
    >>> adata.uns["fingerprints"].shape
    (2, 1024)
    """
    cells, control = modality_of(adata, modality), str(control)
    check_key(cells, key_added)
    checks.in_category(cells, groupby, control)
    given = smiles_of(cells, smiles, groupby, control)
    whole = whole_names(given, control)
    names = sorted(whole.union(perturbations(cells, groupby, control, whole)))
    counts = _counts({name: given.get(name) for name in names}, radius, n_bits)
    _warn_of_equal(counts, names)
    write(cells, key_added, table_of(counts, names, [str(bit) for bit in range(n_bits)]))


def _counts(smiles: Mapping[str, str | None], radius: int, n_bits: int) -> np.ndarray:
    """Fingerprints (n, n_bits) of molecules.

    Raises
    ------
    ImportError, ValueError
        As :func:`rayot.pp._molecules.molecules`.
    """
    parents = molecules(smiles, "rayot.pp.fingerprints")
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=radius, fpSize=n_bits, includeChirality=True)
    return np.stack([generator.GetCountFingerprintAsNumPy(each) for each in parents.values()])


def _warn_of_equal(counts: np.ndarray, names: list[str]) -> None:
    """Warn of conditions that have the same fingerprint."""
    found: dict[bytes, list[str]] = {}
    for name, row in zip(names, counts, strict=True):
        found.setdefault(row.tobytes(), []).append(name)
    if equal := [checks.listed(group) for group in found.values() if len(group) > 1]:
        warn(
            f"Drugs with the same fingerprint, which models cannot tell apart: "
            f"{'; '.join(equal[:5])}{'; …' if len(equal) > 5 else ''}."
        )
