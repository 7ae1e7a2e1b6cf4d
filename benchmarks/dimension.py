"""Time of W1OT and W2OT against dimension: python benchmarks/dimension.py.

The published networks and batches of both (``preset="paper"``) on two Gaussian populations, one
thread: seconds for 10,000 iterations of each, from 100 measured ones of W1OT (a step of the
potential and one of the step size) and 20 of W2OT (ten of one potential and one of the other).
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

from rows import run

from rayot.reproduce._figure4 import DIMENSIONS, ITERATIONS, measure

if __name__ == "__main__":
    cases = [{"method": m, "dimension": d} for d in DIMENSIONS for m in ITERATIONS]
    run("dimension", cases, measure)
