"""Short tables of the long ones, for the documentation: python benchmarks/summarise.py."""

import numpy as np
import pandas as pd
from rows import RESULTS

WAYS = ["way mmd", "way energy_distance"]
STRUCTURE = ["left within", "components", "correlations"]
"""What held.py explains."""

TIMED_SEED = 0
"""Times are quoted of these rows: those of other seeds were in part taken beside other work."""


def pairs() -> None:
    """Mean over seeds of each method on each set, and over sets."""
    table = pd.read_csv(RESULTS / "pairs.csv")
    shift = table[table["method"] == "fast"].copy()
    for way in WAYS:
        shift[way] = shift[f"mean shift {way}"]
    shift = shift.drop(columns=STRUCTURE)
    table = pd.concat([table, shift.assign(method="mean shift", seconds=0.0)])
    setting = ["method", "space", "data"]
    means = table.groupby(setting, sort=False)[[*WAYS, *STRUCTURE]].mean()
    timed = table[table["seed"] == TIMED_SEED].groupby(setting)["seconds"].mean()
    seeds = table.groupby(["method", "space"])["seed"].nunique()
    n_sets = table["data"].nunique()
    rows = []
    for (method, space), found in means.groupby(level=["method", "space"], sort=False):
        if len(found) < n_sets:
            continue
        row = {"method": method, "space": space, "seeds": seeds[method, space]}
        for way in WAYS:
            row[f"{way}, mean"] = f"{found[way].mean():.3f}"
        for name in STRUCTURE:
            row[name] = "" if found[name].isna().all() else f"{found[name].mean():.3f}"
        row[f"seconds, seed {TIMED_SEED}"] = f"{timed[method, space].mean():.1f}"
        for data in found.index.get_level_values("data"):
            one = found.xs(data, level="data").iloc[0]
            row[data] = f"{one['way mmd']:.3f} / {one['way energy_distance']:.3f}"
        rows.append(row)
    pd.DataFrame(rows).sort_values(["space", "method"]).to_csv(
        RESULTS / "pairs_summary.csv", index=False
    )


def side_by_side() -> None:
    """The preset "fast" over the published implementation and over "paper", seed by seed."""
    table = pd.read_csv(RESULTS / "pairs.csv").set_index(["data", "space", "seed", "method"])
    rows = []
    for other in table.index.unique("method").intersection(["published", "paper"]):
        both = table.xs("fast", level="method").join(
            table.xs(other, level="method"), rsuffix=" other", how="inner"
        )
        for (data, space), found in both.groupby(level=["data", "space"], sort=False):
            row = {"beside": other, "data": data, "space": space, "seeds": len(found)}
            timed = found.xs(TIMED_SEED, level="seed").iloc[0]
            row["times faster"] = round(timed["seconds other"] / timed["seconds"], 1)
            for metric in ("mmd", "energy_distance"):
                row[metric] = round(found[metric].mean(), 4)
                row[f"{metric}, {other}"] = round(found[f"{metric} other"].mean(), 4)
            rows.append(
                {name.replace(f", {other}", ", other"): value for name, value in row.items()}
            )
    pd.DataFrame(rows).to_csv(RESULTS / "pairs_side_by_side.csv", index=False)


def unseen() -> None:
    """Mean and worst way over the groups of each set."""
    table = pd.read_csv(RESULTS / "unseen.csv")
    shift = table[table["method"] == table["method"].iloc[0]].copy()
    for way in WAYS:
        shift[way] = shift[f"mean shift {way}"]
    structure = STRUCTURE[1:]
    table = pd.concat([table, shift.drop(columns=structure).assign(method="mean shift")])
    setting = ["data", "controls", "method"]
    by_group = table.groupby([*setting, "unseen"], sort=False)[[*WAYS, *structure]].mean()
    grouped = by_group.groupby(level=setting, sort=False)
    worst = grouped[WAYS].min().round(3).add_prefix("worst ")
    found = grouped.mean().round(3).join(worst)
    seeds = table.groupby(setting)["seed"].nunique().rename("seeds")
    found = found.join(seeds).dropna(axis=1, how="all")
    found.reset_index().to_csv(RESULTS / "unseen_summary.csv", index=False)


def unseen_word() -> None:
    """What fits said of new groups beside the truth, means over groups, and how often each word."""
    table = pd.read_csv(RESULTS / "unseen_word.csv")
    setting = ["data", "strata"]
    figures = ["share left", "expected share left", "share left, seen"]
    distances = ["distance", "farthest stratum", "distance, seen", "distance, shuffled"]
    grouped = table.groupby(setting, sort=False)
    found = grouped[[*figures, *distances]].mean().round(2)
    for column in ("word", "word, seen"):
        counts = grouped[column].value_counts().unstack(fill_value=0)
        words = [word for word in ("good", "check", "poor") if word in counts]
        found[column] = [
            ", ".join(f"{row[word]} {word}" for word in words if row[word])
            for _, row in counts.loc[found.index].iterrows()
        ]
    seconds = grouped[["seconds", "seconds without"]].mean()
    found["times the time"] = (seconds["seconds"] / seconds["seconds without"]).round(1)
    found.join(grouped["seed"].nunique().rename("seeds")).reset_index().to_csv(
        RESULTS / "unseen_word_summary.csv", index=False
    )


def conditional() -> None:
    """Mean over seeds and held-out conditions, and the worst condition, of each task and method."""
    table = pd.read_csv(RESULTS / "conditional.csv")
    ways = ["way mmd", "way energy_distance", "way mean"]
    setting = ["task", "method"]
    conditions = table.groupby([*setting, "held_out"], sort=False)
    grouped = conditions[[*ways, *STRUCTURE[1:]]].mean().groupby(level=setting, sort=False)
    found = grouped.mean().round(3).join(grouped[ways].min().round(3).add_prefix("worst "))
    of_setting = table.groupby(setting)
    # Conditions that one model predicts are fitted once.
    found["seconds"] = of_setting["seconds"].max().round(1)
    found["conditions"] = of_setting["held_out"].nunique()
    found["seeds"] = of_setting["seed"].nunique()
    found.reset_index().sort_values(setting).to_csv(
        RESULTS / "conditional_summary.csv", index=False
    )
    doubles(table[table["task"] == "double"])


def doubles(table: pd.DataFrame) -> None:
    """How far the conditional model is ahead of each other on doubles, bootstrapped over these.

    Seeds differ in the fit alone, the cells are the same.
    """
    ways = ["way mmd", "way energy_distance", "way mean", "components"]
    means = table.groupby(["method", "held_out"])[ways].mean()
    own = means.loc["conditional"]
    drawn = np.random.default_rng(0).integers(0, len(own), (10_000, len(own)))
    rows = []
    for method in ("additive", "mean shift", "quantile map", "ridge", "nearest", "untouched"):
        ahead = own - means.loc[method].loc[own.index]
        row = {"beside": method}
        for way in ways:
            values = ahead[way].to_numpy()
            low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
            row[way] = f"{values.mean():.3f} ({low:.3f} to {high:.3f})"
        rows.append(row)
    pd.DataFrame(rows).to_csv(RESULTS / "conditional_doubles.csv", index=False)


def drugs() -> None:
    """Share of the way over all held-out drugs, and how far the conditional model is ahead.

    Differences are paired: resampled are drugs, which all methods share. Simulated ones are others
    for each seed.
    """
    table = pd.read_csv(RESULTS / "drugs.csv")
    metrics = {"way energy_distance": "energy_distance", "way mmd": "mmd"}
    rows, ahead = [], []
    for (data, vectors), of_vectors in table.groupby(["data", "vectors"], sort=False):
        units = ["drug"] if data == "norman19" else ["seed", "drug"]
        figures = {
            method: of_method.groupby(units).mean(numeric_only=True)
            for method, of_method in of_vectors.groupby("method", sort=False)
        }
        n_drugs = len(figures["conditional"])
        drawn = np.random.default_rng(0).integers(0, n_drugs, (10_000, n_drugs))
        # The drugs themselves come first.
        drawn = np.concatenate([np.arange(n_drugs)[None], drawn])
        resampled = {
            method: {
                **{way: way_of(own, metric, drawn) for way, metric in metrics.items()},
                "delta": own["delta"].to_numpy()[drawn].mean(1),
            }
            for method, own in figures.items()
        }
        for method in figures:
            row: dict[str, str | float | int] = {"data": data, "vectors": vectors, "method": method}
            row |= {name: round(float(values[0]), 3) for name, values in resampled[method].items()}
            row["drugs"] = n_drugs
            rows.append(row)
            if method == "conditional":
                continue
            beside: dict[str, str | float | int] = {
                "data": data,
                "vectors": vectors,
                "beside": method,
            }
            for figure, of_conditional in resampled["conditional"].items():
                gain = of_conditional - resampled[method][figure]
                low, high = np.quantile(gain[1:], [0.025, 0.975])
                beside[figure] = f"{gain[0]:.3f} ({low:.3f} to {high:.3f})"
            ahead.append(beside)
    pd.DataFrame(rows).to_csv(RESULTS / "drugs_summary.csv", index=False)
    pd.DataFrame(ahead).to_csv(RESULTS / "drugs_ahead.csv", index=False)


def way_of(table: pd.DataFrame, metric: str, drawn: np.ndarray) -> np.ndarray:
    """Share of the way from untouched to observed cells, of several targets together."""
    own, identity, observed = (
        table[f"{name} {metric}"].to_numpy()[drawn].sum(1)
        for name in ("own", "identity", "observed")
    )
    return (identity - own) / (identity - observed)


def knockouts() -> None:
    """Mean over seeds of each knock-out, sorted by effect."""
    table = pd.read_csv(RESULTS / "knockouts.csv")
    table["no detectable effect"] = (table["p_value"] > 0.05).astype(int)
    table["beyond noise"] = (
        table["w1ot energy_distance"] - table["identity energy_distance"] > 2 * table["noise"]
    ).astype(int)
    columns = [
        f"{method} {metric}"
        for metric in ("mmd", "energy_distance")
        for method in ("w1ot", "w1ot, not clipped", "mean shift", "identity", "observed")
    ]
    found = table.groupby("target")
    summary = found[columns].mean().round(4)
    summary.insert(0, "seeds", found["seed"].nunique())
    summary.insert(1, "no detectable effect", found["no detectable effect"].sum())
    summary.insert(2, "beyond noise", found["beyond noise"].sum())
    summary.sort_values("identity energy_distance", ascending=False).reset_index().to_csv(
        RESULTS / "knockouts_summary.csv", index=False
    )


def composition() -> None:
    """Mean over seeds."""
    table = pd.read_csv(RESULTS / "composition.csv")
    means = table.drop(columns="seed").groupby(["data", "method"], sort=False).mean().round(3)
    means.reset_index().to_csv(RESULTS / "composition_summary.csv", index=False)


if __name__ == "__main__":
    for name, write in (
        ("pairs", pairs),
        ("pairs", side_by_side),
        ("unseen", unseen),
        ("unseen_word", unseen_word),
        ("conditional", conditional),
        ("drugs", drugs),
        ("knockouts", knockouts),
        ("composition", composition),
    ):
        if (RESULTS / f"{name}.csv").exists():
            write()
