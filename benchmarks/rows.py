"""Result tables that grow row by row, so that a long benchmark can be stopped and continued."""

import csv
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

RESULTS = Path(__file__).parent / "results"


def run(name: str, cases: Iterable[Mapping[str, Any]], measure: Callable[..., dict]) -> list[dict]:
    """Measure each case that ``results/<name>.csv`` does not hold yet, and append its row.

    Figures that the rows there lack become further columns, which are empty in these.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.csv"
    rows = list(csv.DictReader(path.open())) if path.exists() else []
    for case in cases:
        done = [row for row in rows if all(row[key] == str(case[key]) for key in case)]
        if not done:
            row = {key: str(value) for key, value in {**case, **measure(**case)}.items()}
            columns = list({**(rows[0] if rows else {}), **row})
            rows.append(row)
            done = [row]
            is_wider = len(rows) == 1 or len(columns) > len(rows[0])
            with path.open("w" if is_wider else "a", newline="") as file:
                writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
                if is_wider:
                    writer.writeheader()
                writer.writerows(rows if is_wider else [row])
            if is_wider:
                rows = [{column: known.get(column, "") for column in columns} for known in rows]
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
