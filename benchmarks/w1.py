"""The continuous Wasserstein-1 benchmark (Korotin et al. 2022): python benchmarks/w1.py.

28 pairs, each potential fitted on fresh samples. As published: the cosine and the squared distance
of its gradient to the true one at source points, and the dual value on fresh points, W1. With
--published PATH, the file of published figures, the tables of the documentation are written too.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from gradient_penalty import gradient_penalty
from norm_network import NormNetwork
from rows import RESULTS, run
from torch import nn

from rayot.datasets._min_funnels import MinFunnels
from rayot.datasets._w1_benchmark import DIMENSIONS, FUNNELS
from rayot.nn import FunnelPotential, LipschitzNetwork, Potential
from rayot.reproduce._supplement1 import batches, score
from rayot.solvers import dual_value, generator

BY_CONSTRUCTION = "funnel"


@dataclass(frozen=True)
class Fit:
    """How one of our potentials is fitted.

    ``lr`` is for two dimensions and grows with the ``lr_growth``-th power of their number;
    ``average`` is the decay of the averaged weights that are scored; ``penalty`` holds the gradient
    of free weights.
    """

    build: Callable[[int, torch.Generator], nn.Module]
    steps: int
    batch: int = 512
    lr: float = 1e-2
    lr_growth: float = 0.0
    lr_end: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    average: float = 0.0
    penalty: float = 0.0
    reverse: bool = False


def norm_network(dim: int, draws: torch.Generator, per_norm: int) -> nn.Module:
    # Small norms where there are few features to take them over, and more of them.
    group_size = max(1, min(8, dim // per_norm))
    return NormNetwork(dim, [draws], width=max(64, 256 // group_size), group_size=group_size)


FITS = {
    "norm-short": Fit(
        lambda dim, draws: norm_network(dim, draws, 2),
        steps=2500,
        lr=3e-3,
        lr_end=1e-5,
        average=0.99,
        penalty=10.0,
    ),
    "norm": Fit(
        lambda dim, draws: norm_network(dim, draws, 4),
        steps=10_000,
        lr=1e-3,
        lr_growth=0.5,
        lr_end=1e-5,
        average=0.99,
        penalty=10.0,
    ),
    # Its centres lie where mass goes to, so it sees source and target in each other's place.
    "funnel": Fit(
        lambda dim, draws: FunnelPotential(dim, [draws], n_funnels=512),
        steps=500,
        batch=256,
        reverse=True,
    ),
    "maxmin": Fit(
        lambda dim, draws: LipschitzNetwork(dim, [draws], width=64, n_groups=None), steps=2500
    ),
    "groupsort": Fit(
        lambda dim, draws: LipschitzNetwork(dim, [draws]),
        steps=10_000,
        batch=256,
        betas=(0.5, 0.5),
    ),
}


def fit(pair: MinFunnels, how: Fit, seed: int) -> nn.Module:
    """Maximise E_source f − E_target f, less the penalty; returns f or its negative."""
    draws = generator(seed, "potential")
    dim = pair.centres.shape[1]
    potential = how.build(dim, draws)
    rng = np.random.default_rng(seed)
    if isinstance(potential, Potential) and potential.n_start_cells:
        potential.start_at(torch.from_numpy(pair.source(potential.n_start_cells, rng))[None])
    parameters = list(potential.parameters())
    averages = [parameter.detach().clone() for parameter in parameters]
    lr = how.lr * (dim / 2) ** how.lr_growth
    optimizer = torch.optim.Adam(parameters, lr=lr, betas=how.betas, fused=True)
    stream = batches(pair, how.batch, rng)
    for step in range(how.steps):
        share = step / how.steps
        rate = how.lr_end + (lr - how.lr_end) * (1 + math.cos(math.pi * share)) / 2
        optimizer.param_groups[0]["lr"] = rate
        if isinstance(potential, Potential):
            potential.anneal(share, [True])
        source, target = next(stream)
        values = potential(torch.cat([source, target], dim=1)).chunk(2, dim=1)
        loss = -dual_value(*values) * (-1 if how.reverse else 1)
        if how.penalty:
            between = torch.rand(1, how.batch, generator=draws)
            loss = loss + how.penalty * gradient_penalty(potential, source, target, between)
        gradients = torch.autograd.grad(loss.sum(), parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            # Fused Adam reads gradients in the order of memory.
            parameter.grad = gradient.contiguous()
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(averages, parameters, 1 - how.average)
    with torch.no_grad():
        torch._foreach_copy_(parameters, averages)
    return potential


def measure(potential: str, dim: int, funnels: int, seed: int) -> dict:
    pair, how = MinFunnels.drawn(dim, funnels), FITS[potential]
    start = time.process_time()
    fitted = fit(pair, how, seed)
    seconds = time.process_time() - start
    return {**score(pair, fitted, -1 if how.reverse else 1), "seconds": round(seconds, 1)}


def tables(rows: list[dict], published: str) -> None:
    """Means and wins by solver, and the cosine of every pair, ours beside the published."""
    ours = pd.DataFrame(rows).rename(columns={"potential": "solver"})
    ours = ours.astype({"dim": int, "funnels": int, "cosine": float, "l2": float, "w1": float})
    # A mean over some of the pairs compares with nothing.
    n_pairs = len(DIMENSIONS) * len(FUNNELS)
    ours = ours.groupby("solver").filter(lambda found: len(found) == n_pairs)
    theirs = pd.read_csv(published).rename(columns={"method": "solver"})
    pairs, scores = ["dim", "funnels"], ["cosine", "l2", "w1"]
    truth = theirs[theirs["solver"] == "true"].set_index(pairs)["w1"]
    theirs = theirs[theirs["solver"] != "true"]
    best = theirs.set_index([*pairs, "solver"])["cosine"].unstack()
    summary = []
    for mine, table in ((True, ours), (False, theirs)):
        for solver, found in table.groupby("solver"):
            found = found.set_index(pairs)[scores]
            rivals = best.drop(columns=solver, errors="ignore").max(axis=1)
            error = (found["w1"] / truth.loc[found.index] - 1).abs()
            summary.append(
                {
                    "solver": f"rayot, {solver}" if mine else solver,
                    "cosine": found["cosine"].mean(),
                    "squared distance": found["l2"].mean(),
                    "error of W1": error.mean(),
                    "wins": int((found["cosine"] > rivals.loc[found.index]).sum()),
                    "by construction": "yes" if mine and solver == BY_CONSTRUCTION else "",
                }
            )
    summary = pd.DataFrame(summary).sort_values("cosine", ascending=False)
    summary.round(3).to_csv(RESULTS / "w1_summary.csv", index=False)
    each = ours.pivot(index=pairs, columns="solver", values="cosine")
    each["best published"] = best.max(axis=1)
    each["which"] = best.idxmax(axis=1)
    each.round(3).to_csv(RESULTS / "w1_pairs.csv")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--potentials", nargs="+", default=list(FITS), choices=list(FITS))
    parser.add_argument("--published", help="w1_benchmark_published.csv, to write the tables")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = [
        {"potential": potential, "dim": dim, "funnels": funnels, "seed": 0}
        for potential in options.potentials
        for funnels in FUNNELS
        for dim in DIMENSIONS
    ]
    found = run("w1", cases, measure)
    if options.published:
        tables(found, options.published)
