"""Reports, and what a reader of one sees."""

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import rayot as rt

EMPTY = {"meta", "img", "br", "hr"}


class Page(HTMLParser):
    """Tags, texts, tables and pictures of a page; raises if tags are not closed in order."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open, self.tags, self.captions, self.tables = [], [], [], []
        self.sections, self.section = {}, "header"
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in EMPTY:
            return
        self.open.append(tag)
        if tag == "section":
            self.section = dict(attributes)["id"]
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] == "style":
            return
        self.sections[self.section] = self.sections.get(self.section, "") + data
        if self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        if self.open[-1] == "caption":
            self.captions.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def table(self, caption):
        """The first table whose caption has this text in it."""
        place = next(i for i, name in enumerate(self.captions) if caption in name)
        return pd.DataFrame(self.tables[place][1:], columns=self.tables[place][0])


@pytest.fixture(scope="session")
def page():
    return Page


@pytest.fixture(scope="session")
def fitted():
    """Cells with a quick w1ot map and a mean shift, a split, and a UMAP of its own."""
    adata = rt.datasets.simulated(n_cells=120, n_genes=30, seed=0)
    adata.obsm["X_umap"] = np.asarray(adata.X[:, :2].todense())
    rt.pp.split(adata)
    options = {"preset": "fast", "max_steps": 20, "batch_size": 32, "n_folds": 1}
    rt.tl.w1ot(adata, "control", "perturbed", n_seeds=1, show_progress_bar=False, **options)
    rt.tl.mean_shift(adata, "control", "perturbed")
    return adata


@pytest.fixture
def scores():
    """A table of three methods and two controls, in which one cell has failed."""
    rng = np.random.default_rng(0)
    offsets = {"map": 0.2, "other <b>": 0.4, "identity": 1.0, "mean shift": 0.5, "observed": 0.0}
    rows = [
        {
            "perturbation": f"drug {number} & co",
            "method": method,
            "metric": metric,
            "value": offset + rng.uniform(0, 0.1),
            "n_cells": 50 + number,
            "status": "done",
            "reason": "",
        }
        for number in range(8)
        for method, offset in offsets.items()
        for metric in ("mmd", "energy_distance")
    ]
    table = pd.DataFrame(rows)
    failed = (table["perturbation"] == "drug 3 & co") & (table["method"] == "other <b>")
    table.loc[failed, ["value", "status", "reason"]] = [np.nan, "failed", "ValueError: x < 0 & y"]
    return table
