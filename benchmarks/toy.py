"""The paper's toy data sets with ``preset="paper"``: python benchmarks/toy.py [--figure PATH].

32,768 training cells of each population; scores on fresh samples: energy distance from transported
to target cells; on the bookshelf the rank correlation of the order of the books; on the circles
the share of the inner source circle that lands on the inner target circle.
"""

import argparse
import time

from rows import run

from rayot.reproduce._figure2 import SETS, drawn, fit, scores

SEEDS = (0, 1, 2)


def measure(data: str, seed: int) -> dict:
    start = time.perf_counter()
    _, model = fit(data, seed)
    seconds = time.perf_counter() - start
    found = scores(model, data, seed)
    return {
        "energy_distance": found.pop("energy_distance"),
        "seconds": round(seconds, 1),
        **{"order": "", "inner_to_inner": "", **found},
    }


def figure(path: str) -> None:
    drawn({name: fit(name, 0)[0] for name in SETS}).savefig(path, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", help="also redraw the paper's Figure 2 to this file")
    options = parser.parse_args()
    run("toy", [{"data": name, "seed": seed} for seed in SEEDS for name in SETS], measure)
    if options.figure:
        figure(options.figure)
