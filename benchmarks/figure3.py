"""Scores of every method, after Figure 3 of Chen et al. 2025: python benchmarks/figure3.py.

Drawn from the rows of methods.py. MMD and l2 are ratios to those of doing nothing on the same
cells.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from rows import RESULTS

mpl.use("Agg")
from matplotlib import pyplot as plt

FIGURE = Path(__file__).parents[1] / "docs" / "_static" / "figure3.png"
METRICS = {
    "mmd": "MMD / identity",
    "r2": "r² of means",
    "l2": "l2 of means / identity",
}
WHERE = ["data", "setting", "seed"]


def relative(table: pd.DataFrame) -> pd.DataFrame:
    """Rows with distances divided by those of identity on the same cells."""
    identity = table[table["method"] == "identity"].set_index(WHERE)
    own = pd.MultiIndex.from_frame(table[WHERE])
    found = table.copy()
    for metric in METRICS:
        if metric != "r2":
            found[metric] = table[metric].to_numpy() / identity[metric].reindex(own).to_numpy()
    return found


def panel(axes: plt.Axes, rows: pd.DataFrame, metric: str, order: list[str]) -> None:
    """Quartiles of each method, and its rows coloured by set."""
    values = [rows.loc[rows["method"] == name, metric].dropna() for name in order]
    axes.boxplot(
        values,
        widths=0.6,
        showfliers=False,
        medianprops={"color": "black"},
        zorder=1,
        whis=(0, 100),
    )
    rng = np.random.default_rng(0)
    for number, data in enumerate(sorted(rows["data"].unique())):
        own = rows[rows["data"] == data]
        places = own["method"].map({name: place + 1 for place, name in enumerate(order)})
        jitter = rng.uniform(-0.2, 0.2, len(own))
        axes.scatter(places + jitter, own[metric], s=9, color=f"C{number}", label=data, alpha=0.8)
    axes.set_xticks(range(1, len(order) + 1), order, rotation=60, ha="right")
    axes.set_ylabel(METRICS[metric])
    if metric != "r2":
        axes.set_yscale("log")
        axes.axhline(1, color="0.6", linewidth=0.8, zorder=0)


def draw() -> None:
    """One column a setting, one row a metric; methods from the nearest to the farthest."""
    table = pd.read_csv(RESULTS / "methods.csv")
    rows = relative(table[~table["method"].str.endswith(", paper")])
    settings = ["i.i.d.", "unseen"]
    figure, axes = plt.subplots(
        len(METRICS), len(settings), figsize=(12, 11), layout="constrained", sharey="row"
    )
    for column, setting in enumerate(settings):
        own = rows[(rows["setting"] == setting) & (rows["method"] != "identity")]
        order = own.groupby("method")["mmd"].median().sort_values().index.tolist()
        for row, metric in enumerate(METRICS):
            panel(axes[row, column], own, metric, order)
        axes[0, column].set_title(setting)
        axes[0, column].legend(title="data", ncols=2, fontsize=8)
    figure.savefig(FIGURE, dpi=120)


if __name__ == "__main__":
    draw()
