"""Perturbations that a split holds out whole, by a rule: new scaffolds, or new combinations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from anndata import AnnData

from rayot._combinations import parts_of
from rayot.data import checks
from rayot.data.keys import Key
from rayot.pp._molecules import molecules, smiles_of, whole_names

SCAFFOLD = "scaffold"

PARTS_SEEN = {"combo_seen0": 0, "combo_seen1": 1, "combo_seen2": 2}
"""How many parts of a combination are in training, by the names that GEARS gives such splits."""

RULES = (SCAFFOLD, *PARTS_SEEN)
"""Rules by which perturbations are held out."""


def by_scaffold(
    adata: AnnData,
    smiles: str | Mapping[str, str] | pd.Series,
    groupby: str,
    control: str,
    share: float,
    seed: int,
) -> pd.DataFrame:
    """Hold drugs out so that no scaffold is on both sides (Bemis & Murcko 1996).

    Scaffolds are drawn one after the other, those left out with which the share would be exceeded,
    but for the smallest where no other is drawn. Drugs without a ring share one. A combination is
    held out with any of its parts.

    Parameters
    ----------
    adata, smiles, groupby, control
        As in :func:`rayot.pp.split`.
    share
        Of the drugs, at most, that are held out.
    seed
        Keys the draw.

    Returns
    -------
    One row a perturbation: ``scaffold``, the SMILES of it, of a combination those of its parts
    joined by a point, and ``split``, "train" or "test".

    Raises
    ------
    ImportError
        If RDKit is not installed.
    KeyError, ValueError
        If a column or the control is missing, a drug has no SMILES that can be read (they are
        listed), or all have one scaffold.
    """
    given = smiles_of(adata, smiles, groupby, control)
    parts = _parts(adata, groupby, control, whole_names(given, control))
    drugs = sorted({drug for of_name in parts.values() for drug in of_name})
    of_drug = _scaffolds({drug: given.get(drug) for drug in drugs})
    sizes = Counter(of_drug.values())
    if len(sizes) == 1:
        raise ValueError(
            f"All {len(drugs)} drugs of adata.obs[{groupby!r}] have one scaffold, "
            f"{next(iter(sizes))!r}, so none can be held out from the others."
        )
    held: set[str] = set()
    n_held = 0
    for scaffold in keyed_order(sizes, seed):
        if n_held + sizes[scaffold] <= share * len(drugs):
            held.add(scaffold)
            n_held += sizes[scaffold]
    held = held or {min(keyed_order(sizes, seed), key=lambda scaffold: sizes[scaffold])}
    is_held = [any(of_drug[drug] in held for drug in of_name) for of_name in parts.values()]
    scaffolds = [".".join(of_drug[drug] for drug in of_name) for of_name in parts.values()]
    return _table(parts, is_held, Key.split.scaffold, scaffolds)


def _scaffolds(smiles: Mapping[str, str | None]) -> dict[str, str]:
    """SMILES of the Bemis–Murcko scaffold of each drug, without stereo; empty without a ring."""
    parents = molecules(smiles, "rayot.pp.split(holdout='scaffold')")
    from rdkit import Chem
    from rdkit.Chem.Scaffolds import MurckoScaffold

    return {
        name: Chem.MolToSmiles(MurckoScaffold.GetScaffoldForMol(parent), isomericSmiles=False)
        for name, parent in parents.items()
    }


def by_parts_seen(
    adata: AnnData, groupby: str, control: str, n_seen: int, share: float, seed: int
) -> pd.DataFrame:
    """Hold combinations out of which so many parts are known from training.

    A part is seen if cells of it alone are in training, and unseen if no cell of it is, alone or in
    a combination (Roohani et al. 2024, GEARS). So what has an unseen part is held out, too.

    Parameters
    ----------
    adata, groupby, control
        As in :func:`rayot.pp.split`.
    n_seen
        Parts that are seen, of each combination that is drawn.
    share
        Of the perturbations up to which further combinations are drawn.
    seed
        Keys the draw.

    Returns
    -------
    One row a perturbation: ``parts_seen``, how many of its parts are in training, alone or in a
    combination, and ``split``, "train" or "test".

    Raises
    ------
    KeyError, ValueError
        If the column or the control is missing, or there is no such combination.
    """
    parts = _parts(adata, groupby, control)
    alone = {of_name[0] for of_name in parts.values() if len(of_name) == 1}
    candidates = [name for name, of_name in parts.items() if len(of_name) >= max(2, n_seen)]
    unseen: set[str] = set()
    kept: set[str] = set()
    drawn: set[str] = set()
    for name in keyed_order(candidates, seed):
        if drawn and _n_held(parts, unseen, drawn) >= share * len(parts):
            break
        own = keyed_order(parts[name], seed)
        lacking = {part for part in own if part in unseen or part not in alone}
        open_parts = [part for part in own if part not in lacking and part not in kept]
        n_more = len(own) - n_seen - len(lacking)
        if not 0 <= n_more <= len(open_parts):
            continue
        more = lacking | set(open_parts[:n_more])
        if _n_held(parts, unseen | more, drawn | {name}) < len(parts):
            unseen |= more
            kept |= set(own) - more
            drawn.add(name)
    if not drawn:
        raise ValueError(
            f"No combination in adata.obs[{groupby!r}] can be held out with {n_seen} of its parts "
            f"seen: a part is seen where cells of it alone are in training. Perturbations alone: "
            f"{checks.listed(sorted(alone), 5) or 'none'}; combinations: "
            f"{checks.listed(candidates, 5) or 'none'}."
        )
    is_held = [name in drawn or bool(unseen & set(of_name)) for name, of_name in parts.items()]
    training = [set(own) for own, held in zip(parts.values(), is_held, strict=True) if not held]
    counts = [len(set(own) & set().union(*training)) for own in parts.values()]
    return _table(parts, is_held, Key.split.parts_seen, counts)


def _n_held(parts: Mapping[str, list[str]], unseen: set[str], drawn: set[str]) -> int:
    """Perturbations that are held out for these unseen parts."""
    return sum(name in drawn or bool(unseen & set(own)) for name, own in parts.items())


def _parts(
    adata: AnnData, groupby: str, control: str, whole: Collection[str] = ()
) -> dict[str, list[str]]:
    """Parts of each perturbation, without the control, in alphabetical order."""
    checks.in_category(adata, groupby, control)
    names = [name for name in checks.categories(adata, groupby) if name != control]
    if not names:
        raise ValueError(f"adata.obs[{groupby!r}] has no condition other than {control!r}.")
    return {name: sorted(set(parts_of(name, whole, control))) for name in names}


def _table(
    parts: Mapping[str, list[str]], is_held: list[bool], column: str, values: list[str] | list[int]
) -> pd.DataFrame:
    index = pd.Index(list(parts), dtype=object, name=Key.obs.perturbation)
    split = np.where(is_held, Key.obs.test, Key.obs.train).astype(object)
    return pd.DataFrame({column: values, Key.obs.split: split}, index=index)


def keyed_order(names: Collection[str], seed: int) -> list[str]:
    """Names in an order that follows from the seed and each name, and not from the others."""
    ordered = sorted(names)
    keys = pd.util.hash_array(np.array(ordered, dtype=object), hash_key=f"{seed:016d}")
    return [ordered[place] for place in np.argsort(keys, kind="stable")]
