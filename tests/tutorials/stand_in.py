"""A small archive of simulated cells, in the form in which CellOT's authors publish theirs.

The real one has several GB and is downloaded by hand. The tutorials are tested and shown on this
one: members, columns, names of drugs, doses and scales are those that public code reads; the cells
are drawn at random, and what the drugs do to them is invented.

Attested are the members, `obs["drug"]` with "control" and `varm` with ranks of marker genes
(bunnech/cellot), `obs["dose"]` in nM up to 10,000 and `obs["cell_type"]` (bunnech/condot), names of
drugs and cell lines (poseidonchan/w1ot and its published scores). Five names of the 48 features of
4i are in print; the others have the form that `cellot/preprocess.py` gives them.
"""

import zipfile
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

ARCHIVE = "processed_datasets_all.zip"
TUTORIALS = ["sciplex3.ipynb", "four_i.ipynb"]
LINES = ["A549", "K562", "MCF7"]
DOSES = [10.0, 100.0, 1000.0, 10000.0]
CELLS_OF_DOSE = [20, 20, 40, 170]

FEW_STEPS = {"max_steps": 30, "autoencoder_steps": 300}

# Drugs that share a target do much the same here, and the last three do nothing.
SCIPLEX3 = {
    "belinostat": "hdac",
    "dacinostat": "hdac",
    "givinostat": "hdac",
    "hesperadin": "aurora",
    "tak_901": "aurora",
    "alvespimycin_hcl": "hsp90",
    "tanespimycin": "hsp90",
    "flavopiridol_hcl": "cdk",
    "jnj_26854165": "mdm2",
    "capecitabine": None,
    "meprednisone": None,
    "tranylcypromine": None,
}
FOUR_I = {
    "cisplatin": "dna",
    "cisplatin_olaparib": "dna",
    "cl": None,
    "crizotinib": "rtk",
    "dabrafenib": "mapk",
    "dacarbazine": None,
    "dasatinib": "src",
    "decitabine": None,
    "dexamethasone": None,
    "erlotinib": "rtk",
    "everolimus": "mtor",
    "hydroxyurea": "dna",
    "imatinib": None,
    "ixazomib": "proteasome",
    "ixazomib_lenalidomide_dexamethasone": "proteasome",
    "lenalidomide": None,
    "melphalan": "dna",
    "midostaurin": "src",
    "mln2480": "mapk",
    "olaparib": None,
    "paclitaxel": "tubulin",
    "palbociclib": "cdk",
    "panobinostat": "hdac",
    "pomalidomide_carfilzomib_dexamethasone": "proteasome",
    "regorafenib": "rtk",
    "sec.abcl": None,
    "sorafenib": "rtk",
    "staurosporine": "src",
    "temozolomide": None,
    "trametinib": "mapk",
    "trametinib_dabrafenib": "mapk",
    "trametinib_erlotinib": "mapk",
    "trametinib_midostaurin": "mapk",
    "trametinib_panobinostat": "hdac",
    "ulixertinib": "mapk",
    "vemurafenib_cobimetinib": "mapk",
    "vindesine": "tubulin",
}
PROTEINS = (
    "CD45 ClCASP3 DAPI MelA Tubulin pAKT pEGFR pS6k1 pMET PCNA Sox9 Total_protein "
    "pERK Ki67 CyclinD1 p53 pSTAT3 Vimentin"
).split()
SHAPES = "area convexity eccentricity extent perimeter roundness".split()


def write_archive(folder: Path) -> Path:
    """Write the archive to a folder, unless it is there, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ARCHIVE
    if not path.exists():
        four_i, features = _four_i()
        partial = path.with_suffix(".part")
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr("datasets/scrna-sciplex3/hvg-top1k.h5ad", _bytes(_sciplex3(), folder))
            zipped.writestr("datasets/4i/8h.h5ad", _bytes(four_i, folder))
            zipped.writestr("datasets/4i/features.txt", "\n".join(features))
        partial.replace(path)
    return path


def on_stand_in(notebook: dict, folder: str | None) -> dict:
    """A notebook that reads the archive in `folder` and fits for seconds, and says so on top.

    What replaces the values of the cell that is tagged "parameters" stands in the cell behind it.
    """
    settings = "\n".join(
        f"{name} = {value!r}" for name, value in {"folder": folder, **FEW_STEPS}.items()
    )
    title, *rest = notebook["cells"]
    cells = [title, _cell("markdown", BANNER, "stand-in-banner")]
    for cell in rest:
        cells.append(cell)
        if "parameters" in cell["metadata"].get("tags", []):
            cells.append(_cell("code", settings, "stand-in-settings", tags=["remove-cell"]))
    return {**notebook, "cells": cells}


BANNER = """\
:::{warning}
**This page was run on simulated cells, and the numbers in its outputs mean nothing.** The archive
cannot be had where the page is built. In its place stands a small one of the same form, with
invented effects of the drugs, and fits have a few steps only. With the archive, the same notebook
gives the figures of the real cells.
:::"""


def _cell(kind: str, source: str, name: str, **metadata: object) -> dict:
    cell = {"cell_type": kind, "id": name, "metadata": metadata, "source": source}
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}


def _bytes(adata: ad.AnnData, folder: Path) -> bytes:
    path = folder / "member.h5ad"
    adata.write_h5ad(path)
    content = path.read_bytes()
    path.unlink()
    return content


def _programs(rng: np.random.Generator, drugs: dict, share: float, n: int) -> np.ndarray:
    """What each drug does to each feature: that of its target, and a little of its own."""
    targets = sorted({target for target in drugs.values() if target})
    common = {target: rng.normal(size=n) * (rng.random(n) < share) for target in targets}
    own = {drug: rng.normal(size=n) * (rng.random(n) < share / 3) for drug in drugs}
    return np.array(
        [
            common[target] + 0.5 * own[drug] if target else np.zeros(n)
            for drug, target in drugs.items()
        ]
    )


def _sciplex3(n_genes: int = 1000, n_control: int = 600) -> ad.AnnData:
    rng = np.random.default_rng(0)
    base = rng.normal(0, 1.2, n_genes)
    of_line = rng.normal(0, 1, (len(LINES), n_genes)) * (rng.random((len(LINES), n_genes)) < 0.3)
    effects = 1.8 * _programs(rng, SCIPLEX3, 0.15, n_genes)
    sensitivity = rng.uniform(0.6, 1.1, (len(SCIPLEX3), len(LINES)))
    half = 10 ** rng.uniform(1.5, 3, len(SCIPLEX3))

    conditions = [(-1, 0.0, n_control)]
    for drug in range(len(SCIPLEX3)):
        conditions += [(drug, dose, n) for dose, n in zip(DOSES, CELLS_OF_DOSE, strict=True)]
    drug, dose, numbers = zip(*conditions, strict=True)
    drug, dose = np.repeat(drug, numbers), np.repeat(dose, numbers)
    line = rng.integers(len(LINES), size=len(drug))
    strength = dose / (dose + half[drug]) * sensitivity[drug, line] * (drug >= 0)
    log_rate = base + of_line[line] + strength[:, None] * effects[drug]
    rate = np.exp(log_rate) * rng.gamma(4, 1 / 4, log_rate.shape)
    depth = rng.lognormal(np.log(4000), 0.3, len(drug))
    counts = rng.poisson(rate / rate.sum(1, keepdims=True) * depth[:, None])
    x = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)

    names = np.array([*SCIPLEX3, "control"])[drug]
    obs = pd.DataFrame(
        {
            "drug": pd.Categorical(names),
            "dose": dose,
            "drug-dose": pd.Categorical([f"{n}-{d:g}" for n, d in zip(names, dose, strict=True)]),
            "cell_type": pd.Categorical(np.array(LINES)[line]),
        },
        index=[f"cell_{i:05d}" for i in range(len(drug))],
    )
    genes = pd.Index([f"GENE{i:04d}" for i in range(n_genes)])
    order = rng.permutation(len(drug))
    adata = ad.AnnData(sparse.csr_matrix(x.astype(np.float32)), obs, pd.DataFrame(index=genes))
    control = x[drug == -1]
    ranks = {}
    for number, name in enumerate(SCIPLEX3):
        treated = x[drug == number]
        spread = np.sqrt(treated.var(0) / len(treated) + control.var(0) / len(control)) + 1e-9
        distance = np.abs(treated.mean(0) - control.mean(0)) / spread
        ranks[name] = pd.Series(-distance).rank(method="first").astype(int).to_numpy()
    adata.varm["marker_genes-drug-rank"] = pd.DataFrame(ranks, index=genes)
    return adata[order].copy()


def _four_i(n_control: int = 500, n_treated: int = 140) -> tuple[ad.AnnData, list[str]]:
    rng = np.random.default_rng(1)
    var = [("intensity", part, name, "mean") for part in ("cell", "nuclei") for name in PROTEINS]
    var += [("morphology", part, name, None) for part in ("cell", "nuclei") for name in SHAPES]
    features = ["-".join(filter(None, parts)) for parts in var]
    n = len(features)
    melanocytic = np.array([{"MelA": 1.0, "Sox9": -0.7}.get(name, 0.0) for _, _, name, _ in var])
    base = rng.uniform(0.4, 1.6, n)
    mixing = rng.normal(0, 0.08, (4, n))
    effects = 0.45 * _programs(rng, FOUR_I, 0.3, n)

    drug = np.repeat(np.arange(-1, len(FOUR_I)), [n_control, *[n_treated] * len(FOUR_I)])
    kind = rng.random(len(drug)) < 0.5
    strength = np.where(drug >= 0, rng.beta(5, 2, len(drug)) * np.where(kind, 1, 0.6), 0)
    x = base + 0.6 * kind[:, None] * melanocytic + rng.normal(size=(len(drug), 4)) @ mixing
    x += strength[:, None] * effects[drug] + rng.normal(0, 0.12, x.shape)
    x = np.clip(x, 0, None)

    order = rng.permutation(len(drug))
    sums = [(m, part, name, "sum") for m, part, name, stat in var if stat]
    names = features + ["-".join(parts) for parts in sums]
    areas = 200 * rng.lognormal(0, 0.2, len(drug))[:, None]
    whole = np.hstack([x, x[:, : len(sums)] * areas])
    obs = pd.DataFrame(
        {"drug": pd.Categorical(np.array([*FOUR_I, "control"])[drug])},
        index=[f"cell_{i:05d}" for i in range(len(drug))],
    )
    columns = ["measurement", "cell_part", "feature", "stat"]
    table = pd.DataFrame([*var, *sums], columns=columns, index=names).fillna("none")
    return ad.AnnData(whole, obs, table)[order].copy(), features
