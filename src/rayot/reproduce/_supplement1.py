"""Supplementary figure S1: GroupSort potentials on the continuous Wasserstein-1 benchmark."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from rayot._docs import shared
from rayot._public import public
from rayot.datasets._min_funnels import MinFunnels
from rayot.nn import LipschitzNetwork
from rayot.reproduce._cases import FEW_STEPS, measured, seeds_of, whole_numbers, write
from rayot.reproduce._table import beside_paper, published, runs
from rayot.solvers import dual_value, generator
from rayot.train.threads import threads_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_TEST = 2**14
BLOCK_STEPS = 25
STEPS = 10_000
BATCH = 256
LR, LR_END = 1e-2, 1e-4
BETAS = (0.5, 0.5)
PAIR = ["dimension", "funnels", "groups"]


@public(
    seeds=seeds_of,
    dimensions=partial(whole_numbers, least=2),
    funnels=partial(whole_numbers, least=2),
    groups=whole_numbers,
)
@shared
def supplement1(
    folder: str | Path,
    *,
    dimensions: Sequence[int] = (32, 64, 128, 256),
    funnels: Sequence[int] = (2, 8, 32, 128),
    groups: Sequence[int] = (1, 2, 4, 8, 16),
    seeds: Sequence[int] = (0,),
    quick: bool = False,
    show_progress_bar: bool = True,
) -> pd.DataFrame:
    """Supplementary figure S1 of the paper: how accurate are GroupSort potentials?

    Pairs of the continuous Wasserstein-1 benchmark (Korotin et al. 2022), whose potential is known.
    The paper's potential (four layers of 64 units, Cayley transform, 10,000 steps of 256 fresh
    points) is fitted with each number of groups. ``cosine`` and ``l2``: cosine, and mean squared
    distance, of its gradient to the true one at 16,384 points of the source; ``w1_error``: relative
    error of the Wasserstein-1 distance. The pairs are of the paper's kind; its seed of centres is
    not known, so that these are others.

    Parameters
    ----------
    dimensions, funnels
        Of the pairs, powers of two.
    groups
        Of the activation, a divisor of 64 each. The paper's text calls it the grouping size.
    {reproduced}

    Returns
    -------
    Columns ``experiment``, ``data``, ``method``, ``metric``, ``paper``, ``ours``, ``difference``
    (ours minus the paper's), ``seconds`` of the processor and ``note``. Writes
    ``supplement1.png``.

    Raises
    ------
    BlockingIOError
        If another process works in the folder.
    OSError
        If nothing can be written to it.
    ValueError
        If it holds other results, or an argument is something else.

    References
    ----------
    Chen Y, Hu Z, Chen W, Huang H. Bioinformatics (2025). Korotin A, Kolesov A, Burnaev E. NeurIPS
    (2022).

    Examples
    --------
    >>> import tempfile
    >>> import rayot as rt
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = rt.reproduce.supplement1(
    ...         folder,
    ...         dimensions=[32],
    ...         funnels=[2],
    ...         groups=[4],
    ...         quick=True,
    ...         show_progress_bar=False,
    ...     )
    >>> table[["metric", "paper"]].values.tolist()
    [['cosine', 0.9994], ['l2', 0.001], ['w1_error', 0.0227]]
    """
    _check(dimensions, funnels, groups)
    folder = Path(folder)
    cases = [
        {"dimension": dimension, "funnels": n_funnels, "groups": n_groups, "seed": seed}
        for seed in seeds
        for dimension in dimensions
        for n_funnels in funnels
        for n_groups in groups
    ]
    found = measured(
        folder,
        {"experiment": "supplement1", "quick": quick},
        cases,
        partial(measure, steps=FEW_STEPS if quick else STEPS),
        show_progress_bar,
    )
    table = _table(found, quick)
    write(folder, table, {"supplement1": _drawn(found)})
    return table


def _check(dimensions: Sequence[int], funnels: Sequence[int], groups: Sequence[int]) -> None:
    for name, values in (("dimensions", dimensions), ("funnels", funnels)):
        for value in values:
            # The order in which parameters are drawn is known for these alone.
            if value & (value - 1):
                raise ValueError(f"{name} must be powers of two, found {value}.")
    for value in groups:
        if 64 % value:
            raise ValueError(f"groups must be divisors of 64, the units of a layer, found {value}.")


def measure(
    dimension: int, funnels: int, groups: int, seed: int, steps: int = STEPS
) -> dict[str, float]:
    """Fit a potential to a pair, and score it."""
    pair = MinFunnels.drawn(dimension, funnels)
    start = time.process_time()
    with threads_for(0):
        potential = fit(pair, groups, seed, steps)
        seconds = time.process_time() - start
        found = score(pair, potential, 1)
    # The true distance by as many points as it is measured with.
    rng = np.random.default_rng(123)
    source, target = (
        pair.potential(pair.source(N_TEST, rng)),
        pair.potential(pair.target(N_TEST, rng)),
    )
    truth = float(source.mean() - target.mean())
    return {
        "cosine": found["cosine"],
        "l2": found["l2"],
        "w1_error": round(abs(found["w1"] / truth - 1), 4),
        "seconds": round(seconds, 1),
    }


def fit(pair: MinFunnels, groups: int, seed: int, steps: int) -> nn.Module:
    """Maximise E_source f − E_target f by the paper's settings (equation 13)."""
    dimension = pair.centres.shape[1]
    potential = LipschitzNetwork(dimension, [generator(seed, "potential")], n_groups=groups)
    parameters = list(potential.parameters())
    optimizer = torch.optim.Adam(parameters, lr=LR, betas=BETAS, fused=True)
    stream = batches(pair, BATCH, np.random.default_rng(seed))
    for step in range(steps):
        rate = LR_END + (LR - LR_END) * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.param_groups[0]["lr"] = rate
        source, target = next(stream)
        values = potential(torch.cat([source, target], dim=1)).chunk(2, dim=1)
        loss = -dual_value(*values).sum()
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            # Fused Adam reads gradients in the order of memory.
            parameter.grad = gradient.contiguous()
        optimizer.step()
    return potential


def batches(pair: MinFunnels, size: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, ...]]:
    """Fresh points without end: source and target, (1, size, d), drawn apart."""
    n = size * BLOCK_STEPS
    while True:
        drawn = [torch.from_numpy(draw(n, rng)) for draw in (pair.source, pair.target)]
        yield from zip(
            *(points.unflatten(0, (BLOCK_STEPS, 1, -1)) for points in drawn), strict=True
        )


def score(pair: MinFunnels, potential: nn.Module, sign: int) -> dict[str, float]:
    """Gradient and value of a potential, or of its negative, beside the truth on fresh points."""
    rng = np.random.default_rng(123)
    source = torch.from_numpy(pair.source(N_TEST, rng))
    target = torch.from_numpy(pair.target(N_TEST, rng))
    truth = -torch.from_numpy(pair.direction(source.numpy()))
    points = source[None].requires_grad_(True)
    values = sign * potential(points)
    (gradient,) = torch.autograd.grad(values.sum(), points)
    with torch.no_grad():
        dual = dual_value(values, sign * potential(target[None]))
    norms = gradient[0].norm(dim=-1)
    found = {
        "cosine": nn.functional.cosine_similarity(gradient[0], truth, eps=1e-15).mean(),
        "l2": (gradient[0] - truth).square().sum(-1).mean(),
        "w1": dual,
        "mean_gradient": norms.mean(),
    }
    return {name: round(value.item(), 4) for name, value in found.items()}


def _table(found: pd.DataFrame, quick: bool) -> pd.DataFrame:
    metrics = ["cosine", "l2", "w1_error"]
    ours = found.groupby(PAIR, sort=False)[[*metrics, "seconds"]].mean()
    theirs = published("supplement1").set_index(PAIR)[metrics].reindex(ours.index)
    rows = pd.DataFrame(
        {"paper": theirs.stack(future_stack=True), "ours": ours[metrics].stack(future_stack=True)}
    )
    rows = rows.rename_axis([*PAIR, "metric"]).reset_index()
    names = rows["dimension"].astype(str) + " dimensions, " + rows["funnels"].astype(str)
    rows = rows.assign(
        data=names + " funnels",
        method=[f"GroupSort, {n} group{'s' * (n > 1)}" for n in rows["groups"]],
        seconds=ours["seconds"].repeat(len(metrics)).to_numpy(),
        note=f"{runs(found['seed'].nunique())}; centres of another seed",
        comparable=True,
    )
    return beside_paper("supplement1", rows, quick)


def _drawn(found: pd.DataFrame) -> Figure:
    """One panel a dimension: cosine against groups, a line a number of funnels."""
    from matplotlib.figure import Figure

    dimensions = found["dimension"].unique()
    figure = Figure(figsize=(3.2 * len(dimensions) + 1, 3.2), layout="constrained")
    axes = figure.subplots(1, len(dimensions), sharey=True, squeeze=False)[0]
    theirs = published("supplement1")
    for ax, dimension in zip(axes, dimensions, strict=True):
        for number, n_funnels in enumerate(found["funnels"].unique()):
            for table, style in ((found, "o-"), (theirs, "x--")):
                of = table[(table["dimension"] == dimension) & (table["funnels"] == n_funnels)]
                of = of.groupby("groups")["cosine"].mean()
                label = f"{n_funnels} funnels" if style == "o-" else None
                ax.plot(of.index, of, style, color=f"C{number}", label=label)
        ax.set(xscale="log", xlabel="groups", title=f"{dimension} dimensions")
    axes[0].set_ylabel("cosine (x, dashed: the paper's)")
    axes[-1].legend(fontsize=8)
    return figure
