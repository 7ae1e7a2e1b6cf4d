"""Milliseconds of a step of each phase: python benchmarks/step.py [--w1ot PATH].

50 dimensions, batches of 256. With --w1ot, the path of a checkout of the published
implementation, it is timed beside ours in the same run, in turns.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import torch

from rayot.solvers import Population, W1Map, W1Settings
from rayot.train import TrainingOptions, train_transport

N_CELLS, N_FEATURES, N_STEPS = 4000, 50, 2000


def cells() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    source = rng.normal(size=(N_CELLS, N_FEATURES)).astype(np.float32)
    return source, source[::-1] + np.float32(0.5)


def ours(potential_steps: int, step_steps: int) -> float:
    source, target = map(torch.from_numpy, map(np.ascontiguousarray, cells()))
    settings = W1Settings(potential_steps=potential_steps, step_steps=step_steps)
    transport = W1Map(N_FEATURES, ["target"], settings, seed=0)
    populations = [
        Population.from_groups(each, [torch.arange(N_CELLS)]) for each in (source, target)
    ]
    start = time.perf_counter()
    train_transport(transport, *populations, TrainingOptions(progress=False))
    return time.perf_counter() - start


def published(path: str) -> Callable[[int, int], float]:
    sys.path.insert(0, path)
    from w1ot.ot import w1ot

    def run(potential_steps: int, step_steps: int) -> float:
        source, target = map(torch.from_numpy, map(np.ascontiguousarray, cells()))
        with tempfile.TemporaryDirectory() as folder:
            model = w1ot(source, target, device="cpu", path=folder)
            start = time.perf_counter()
            model.fit_potential_function(num_iters=potential_steps)
            model.fit_distance_function(num_iters=step_steps)
            return time.perf_counter() - start

    return run


def per_step(fit: Callable[[int, int], float]) -> tuple[float, float]:
    """Milliseconds of each phase, from fits that differ in one phase's number of steps."""
    base = fit(100, 100)
    return (
        1e3 * (fit(100 + N_STEPS, 100) - base) / N_STEPS,
        1e3 * (fit(100, 100 + N_STEPS) - base) / N_STEPS,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--w1ot", help="checkout of the published implementation")
    options = parser.parse_args()
    fits = {"rayot": ours}
    if options.w1ot:
        fits["published"] = published(options.w1ot)
    for _repeat in range(3):
        for name, fit in fits.items():
            potential, step = per_step(fit)
            print(
                f"{name}: potential {potential:.2f} ms, step size {step:.2f} ms, "
                f"together {potential + step:.2f} ms"
            )
