"""``rayot demo``: all presets on any of the data sets, with figures."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from rayot.cli._command import ErrorsInOneLine, WholeNumber, seed_option
from rayot.cli._files import Folder
from rayot.cli.datasets import names
from rayot.data.keys import Key

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

PRESETS = ("paper", "adversarial", "fast")
N_HIGHLY_VARIABLE = 1000
N_GENES_SHOWN = 10
MAX_GENES_DIRECT = 100
"""Up to this many features a map works on them directly, as the paper does on 4i."""


@click.command(
    "demo", cls=ErrorsInOneLine, short_help="Fit all presets on a data set, and draw figures."
)
@click.option(
    "--data",
    default="simulated",
    type=click.Choice(names()),
    metavar="NAME",
    help=f"Data set, by default simulated; one of {', '.join(names())}.",
)
@click.option("--target", help="Condition to predict; the largest by default.")
@click.option("--out", type=Folder(), default="demo", help="Folder for results, by default demo.")
@seed_option
@click.option(
    "--max-steps",
    type=WholeNumber(),
    help="Steps of each phase, for a quick look; the preset's if unset.",
)
def command(data: str, target: str | None, out: Path, seed: int, max_steps: int | None) -> None:
    """Fit all presets on a data set, score them on held-out cells, and draw figures."""
    demo(data, target, out, seed, max_steps)


def demo(
    data: str, target: str | None, out: Path, seed: int = 0, max_steps: int | None = None
) -> None:
    """Split, fit all presets, predict held-out cells, and write what came of it.

    Parameters
    ----------
    data
        Name of a function of :mod:`rayot.datasets`.
    target
        Condition to predict; None takes the largest beside the control.
    out
        Folder for an ``.h5ad``, tables and figures.
    seed
        Keys every draw.
    max_steps
        Steps of each phase; None takes the preset's.
    """
    import rayot as rt
    from rayot.data import checks
    from rayot.model.scored_cells import read_held_out, read_maps
    from rayot.tl._counterfactual import counterfactual_distance

    adata, groupby, source = _load(data)
    target = _largest(adata, groupby, source) if target is None else target
    for category in (source, target):
        checks.in_category(adata, groupby, category)
    adata = adata[adata.obs[groupby].isin([source, target])].copy()
    print(
        f"{data}: {adata.n_obs} cells x {adata.n_vars} features, {source} to {target} "
        f"(obs[{groupby!r}])."
    )
    stratify = Key.obs.cell_type if Key.obs.cell_type in adata.obs else None
    if stratify == groupby:
        stratify = None
    rt.pp.split(adata, groupby=groupby, stratify=stratify, seed=seed)
    use_rep = _represent(adata)
    print(f"Fitting on {(adata.obs['split'] == 'train').sum()} training cells.")
    for preset in PRESETS:
        start = time.perf_counter()
        model = rt.tl.w1ot(
            adata,
            source,
            target,
            groupby=groupby,
            use_rep=use_rep,
            preset=preset,
            key_added=preset,
            seed=seed,
            max_steps=max_steps,
        )
        seconds, report = time.perf_counter() - start, model.diagnostics
        print(f"{preset}: {seconds:.0f} s in {use_rep or 'all features'}.")
        print(f"{preset}: certificate {report['certificate']!r}. {report['reason']}")
    out.mkdir(parents=True, exist_ok=True)
    model.save(out / "model", overwrite=True)
    table = rt.tl.evaluate(adata, list(PRESETS), seed=seed)
    scored = read_held_out(adata, read_maps(adata, PRESETS)).features.tolist()
    changes = {
        preset: rt.tl.log_fold_change(adata, preset, scored, key_added=f"log_fold_change_{preset}")
        for preset in PRESETS
    }
    has_counterfactual = Key.layers.counterfactual in adata.layers
    distances = counterfactual_distance(adata, PRESETS) if has_counterfactual else None
    _print_tables(table, distances, changes)
    table.to_csv(out / "evaluation.csv")
    adata.write_h5ad(out / f"{data}.h5ad")
    figures = _draw(adata, table, changes, out)
    print(
        f"\nWritten to {out}/: {data}.h5ad (cells and predictions), evaluation.csv, model/ "
        f"(rayot.model.W1OT.load), and the figures {', '.join(figures)}."
    )


def _load(data: str) -> tuple[AnnData, str, str]:
    """A data set, its column of conditions, and the one to start from."""
    from rayot import datasets

    loaded = getattr(datasets, data)()
    # Data of several modalities: the first, which is RNA.
    adata = loaded if not hasattr(loaded, "mod") else loaded.mod[next(iter(loaded.mod))]
    if Key.obs.perturbation in adata.obs:
        return adata, Key.obs.perturbation, Key.obs.control
    # Nothing was perturbed: learn how the largest cell type differs from the next.
    return adata, Key.obs.cell_type, str(adata.obs[Key.obs.cell_type].value_counts().index[0])


def _largest(adata: AnnData, groupby: str, source: str) -> str:
    counts = adata.obs[groupby].value_counts()
    return str(counts.drop(source).index[0])


def _represent(adata: AnnData) -> str | None:
    """Select genes and compute principal components on training cells, if there are many genes."""
    import numpy as np
    import scanpy as sc

    if adata.n_vars <= MAX_GENES_DIRECT:
        return None
    is_train = (adata.obs[Key.obs.split] == Key.obs.train).to_numpy()
    # Components say nothing of a gene that no training cell expresses.
    seen, _ = sc.pp.filter_genes(adata[is_train], min_cells=1, inplace=False)
    adata._inplace_subset_var(seen)
    training = adata[is_train].copy()
    if adata.n_vars > N_HIGHLY_VARIABLE:
        sc.pp.highly_variable_genes(training, n_top_genes=N_HIGHLY_VARIABLE)
        adata._inplace_subset_var(training.var["highly_variable"].to_numpy())
        training = training[:, training.var["highly_variable"]].copy()
    sc.pp.pca(training, mask_var=None)
    loadings = training.varm[Key.varm.loadings]
    mean = np.asarray(training.X.mean(0)).ravel()
    adata.varm[Key.varm.loadings] = loadings
    scores = adata.X @ loadings - mean @ loadings
    adata.obsm[Key.obsm.pca] = np.asarray(scores, dtype=np.float32)
    return Key.obsm.pca


def _print_tables(
    table: pd.DataFrame, distances: pd.DataFrame | None, changes: dict[str, pd.DataFrame]
) -> None:
    print(
        "\nHeld-out cells, top differentially expressed genes. way: share of the way from identity "
        "(0)\nto other observed cells (1); negative is farther from the truth than doing nothing. "
        "r2 and l2\ncompare means alone, which a mean shift gets right; mmd and energy distance "
        "compare whole\npopulations, and small effects in few cells leave little way to measure."
    )
    print(table.round(4).to_string())
    if distances is not None:
        print(
            "\nEvery held-out control cell, same genes: distance from the prediction to what this "
            "very cell would\nhave become, which only a simulation knows. Smaller is better; "
            "another draw is the same cell again:\nwhat chance alone leaves."
        )
        print(distances.round(3).to_string())
    import numpy as np
    import pandas as pd

    first = next(iter(changes.values()))
    columns = {
        "observed": first["observed"],
        **{preset: scores["predicted error"] for preset, scores in changes.items()},
        "mean shift": first["mean shift error"],
    }
    errors = pd.DataFrame(columns).sort_values("observed", key=np.abs, ascending=False)
    shown = errors.head(N_GENES_SHOWN).copy()
    shown.loc["mean absolute error"] = errors.drop(columns="observed").abs().mean()
    print(
        f"\nLog2 fold change against control, predicted minus observed: the {len(shown) - 1} "
        f"largest changes,\nand the mean over all {len(errors)} of these genes"
    )
    print(shown.round(3).to_string(na_rep=""))


def _draw(
    adata: AnnData, table: pd.DataFrame, changes: dict[str, pd.DataFrame], out: Path
) -> list[str]:
    """Save the figures and return their names."""
    import matplotlib.pyplot as plt
    import scanpy as sc

    from rayot import pl

    if adata.n_vars > 2:
        representation = Key.obsm.pca if Key.obsm.pca in adata.obsm else "X"
        sc.pp.neighbors(adata, use_rep=representation, random_state=0)
        sc.tl.umap(adata, random_state=0)

    basis = None if adata.n_vars == 2 else "umap"
    of_presets: dict[str, Callable[[str], object]] = {
        "transport_rays": lambda preset: pl.transport_rays(adata, preset, basis, show=False),
        "history": lambda preset: pl.history(adata, preset, show=False),
        "log_fold_change": lambda preset: pl.log_fold_change(changes[preset], show=False),
    }
    drawn: dict[str, Callable[[], object]] = {
        f"{kind}_{preset}": partial(draw, preset)
        for kind, draw in of_presets.items()
        for preset in PRESETS
    }
    drawn["evaluate"] = lambda: pl.evaluate(table, show=False)
    names = []
    for name, draw in drawn.items():
        draw()
        plt.savefig(out / f"{name}.png", dpi=150, bbox_inches="tight")
        plt.close()
        names.append(f"{name}.png")
    return names
