"""Result tables that grow row by row, so that a long benchmark can be stopped and continued."""

import csv
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

RESULTS = Path(__file__).parent / "results"


def run(name: str, cases: Iterable[Mapping[str, Any]], measure: Callable[..., dict]) -> list[dict]:
    """Measure each case that ``results/<name>.csv`` does not hold yet, and append its row."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.csv"
    rows = list(csv.DictReader(path.open())) if path.exists() else []
    for case in cases:
        done = [row for row in rows if all(row[key] == str(case[key]) for key in case)]
        if not done:
            row = {**case, **measure(**case)}
            with path.open("a", newline="") as file:
                writer = csv.DictWriter(file, row, lineterminator="\n")
                if not rows:
                    writer.writeheader()
                writer.writerow(row)
            row = {key: str(value) for key, value in row.items()}
            rows.append(row)
            done = [row]
        print("  ".join(f"{key}={value}" for key, value in done[0].items()), flush=True)
    return rows


def summarise(name: str, by: str) -> None:
    """Means over seeds, and their number, as ``results/<name>_summary.csv``."""
    table = pd.read_csv(RESULTS / f"{name}.csv")
    groups = table.groupby("method", sort=False)
    means = groups.mean(numeric_only=True).drop(columns="seed").round(3)
    means[f"{by}, sd"] = groups[by].std().round(3)
    means["seeds"] = groups["seed"].nunique()
    means.sort_values(by).to_csv(RESULTS / f"{name}_summary.csv")
