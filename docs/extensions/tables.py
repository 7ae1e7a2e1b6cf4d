"""Tables of the documentation, written from the code so that they cannot differ from it."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from inspect import getdoc
from pathlib import Path

from sphinx.application import Sphinx

from rayot import datasets, metrics
from rayot.data.keys import Key
from rayot.solvers import W1Settings

WRITTEN = {
    'layers["{}"]': [Key.layers.predicted, Key.layers.spread],
    'obsm["{}"]': Key.obsm.predicted,
    'obs["{}"]': [Key.obs.step, Key.obs.potential, Key.obs.step_sd, Key.obs.weight],
    'uns["{}"]': Key.uns.result,
}
READ = {
    'obs["{}"]': {
        Key.obs.perturbation: "The condition of each cell: the default of `groupby`.",
        Key.obs.split: f'"{Key.obs.train}" or "{Key.obs.test}": the default of `split_key`.',
        Key.obs.cell_type: "Cell type: the default of `covariate_keys`; counted alike by scGen.",
    },
    'obsm["{}"]': {
        Key.obsm.pca: "Principal components, with `use_rep`.",
        Key.obsm.umap: "Coordinates that figures are drawn in.",
    },
    'varm["{}"]': {Key.varm.loadings: "Loadings, by which principal components are decoded."},
    'var["{}"]': {
        Key.var.perturbed: "Genes that a simulation perturbed; scored by `tl.log_fold_change`."
    },
}
RESULT = {
    Key.result.source: "Category that cells start from.",
    Key.result.target: "Category whose response was learned.",
    Key.result.groupby: "Column of the conditions.",
    Key.result.use_rep: "Representation, where one was used.",
    Key.result.layer: "Layer, where one was used.",
    Key.result.split_key: "Column of the split, where one was used.",
    Key.result.params: "Every setting of the fit.",
    Key.result.version: "Version of rayot.",
    Key.result.seed: "Seed.",
    Key.result.history: "Training curves: for each phase a dictionary of columns.",
    Key.result.diagnostics: "Held-out figures of the map, and its certificate.",
    Key.result.strata: "Names of the strata, and how maps of separate ones were combined.",
    Key.result.member_means: "Of an ensemble, what each member predicts on average, by cell type.",
    Key.result.potential_grid: "For two-dimensional data the potential on a grid.",
    Key.result.method: "Name of the method, that of its verb.",
    Key.result.share_clipped: "Share of predicted values that were clipped at zero.",
}


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


def first_line(thing: object) -> str:
    """The first paragraph of a docstring, without roles."""
    paragraph = (getdoc(thing) or "").split("\n\n")[0]
    return " ".join(paragraph.split()).replace("``", "`")


def written() -> str:
    """What a fitted map writes."""
    rows = []
    for slot, names in WRITTEN.items():
        for name in names if isinstance(names, list) else [names]:
            rows.append([f"`{slot.format(name('<key>'))}`", first_line(name)])
    return table(["entry", "what it holds"], rows)


def read() -> str:
    """What verbs read by default."""
    rows = [
        [f"`{slot.format(name)}`", text]
        for slot, names in READ.items()
        for name, text in names.items()
    ]
    return table(["entry", "what it is"], rows)


def result() -> str:
    """Entries of ``uns[key]``."""
    return table(["entry", "what it holds"], [[f'`"{k}"`', text] for k, text in RESULT.items()])


def presets() -> str:
    """Settings of each preset that any preset changes."""
    paper = W1Settings()
    named = {preset: W1Settings(**changes) for preset, changes in W1Settings.presets.items()}
    rows = []
    for field in fields(W1Settings):
        values = {preset: getattr(settings, field.name) for preset, settings in named.items()}
        if any(value != getattr(paper, field.name) for value in values.values()):
            rows.append([f"`{field.name}`", *(f"`{value!r}`" for value in values.values())])
    return table(["setting", *(f'`"{preset}"`' for preset in named)], rows)


def scores() -> str:
    """All metrics."""
    described = metrics.describe()
    rows = [
        [
            f"`{name}`",
            row["kind"],
            f"nearest to {row['best']:g}" if row["direction"] == "nearest" else row["direction"],
            row["formula"],
            row["needs"],
            row["description"],
            row["source"],
        ]
        for name, row in described.iterrows()
    ]
    header = ["name", "compares", "better", "formula", "needs", "what it sees", "source"]
    return table(header, rows)


def cells() -> str:
    """All real data sets."""
    listed = datasets.available()
    rows = []
    for name, row in listed.iterrows():
        shape = "" if row[["n_obs", "n_vars"]].isna().any() else f"{row['n_obs']} × {row['n_vars']}"
        doi = f"[{row['doi']}](https://doi.org/{row['doi']})"
        rows.append([f"{{func}}`~rayot.datasets.{name}`", shape, row["note"], doi])
    return table(["loader", "cells × features", "what it is", "publication"], rows)


TABLES = {
    "written": written,
    "read": read,
    "result": result,
    "presets": presets,
    "metrics": scores,
    "datasets": cells,
}


def write_tables(app: Sphinx) -> None:
    """Write each table to a file that pages include."""
    folder = Path(app.srcdir) / "generated" / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in TABLES.items():
        path, text = folder / f"{name}.md", make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write_tables)
    return {"parallel_read_safe": True}
