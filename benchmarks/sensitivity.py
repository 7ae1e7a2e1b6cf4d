"""Five genes doubled: python benchmarks/sensitivity.py [--methods NAMES] [--seeds 0,1,2,3,4].

The paper's sensitivity test (supplementary figure 3) on the control cells of kang18, 1,000 variable
genes: one half is the control, the other the treated cells, in which five well expressed genes are
doubled on the scale of counts. ``error``: mean absolute error of the log2 fold-change of these
genes on held-out cells, where 1 is the truth; ``others``: that of all other genes that are
expressed, where 0 is.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

from rows import run, summarise
from sets import DELTA

from rayot.reproduce import _supplement3

METHODS = {
    "w1ot": {"preset": "fast", "n_seeds": 1},
    "w1ot, paper": {"preset": "paper"},
    "w2ot": {},
    "otcfm": {},
    "genot": {},
    "scgen": {},
    "cpa": {},
    "biolord": {},
    "cinemaot": {},
    "discrete_ot": {},
    "gaussian_ot": {},
    "fixed_step": {},
    "celltype_shift": {"strata_key": "cell_type"},
    "mean_shift": {},
    "identity": {},
}


def measure(method: str, seed: int) -> dict:
    options = {**({} if "paper" in method else DELTA), **METHODS[method]}
    return _supplement3.measure(method.partition(",")[0], seed, options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default=";".join(METHODS), help="joined by semicolons")
    parser.add_argument("--seeds", default="0,1,2,3,4", help="joined by commas")
    options = parser.parse_args()
    cases = [
        {"method": method, "seed": seed}
        for seed in map(int, options.seeds.split(","))
        for method in options.methods.split(";")
    ]
    run("sensitivity", cases, measure)
    summarise("sensitivity", "error")
