"""Rivals on the same cells: each learns from training arrays and returns a map of new cells.

``nearest_control`` needs POT, ``flow_matching`` torchcfm; ``published`` a copy of the published
implementation of W1OT, whose path is its argument.
"""

import sys
import tempfile
from collections.abc import Callable

import numpy as np
import ot
import torch
from sklearn.neighbors import NearestNeighbors

Map = Callable[[np.ndarray], np.ndarray]

LARGEST_COUPLING = 3000
"""Cells of each side that an exact coupling takes in reasonable time."""


def nearest_control(source: np.ndarray, target: np.ndarray, seed: int) -> Map:
    """Move a cell as the nearest training control moves under an exact discrete coupling."""
    rng = np.random.default_rng(seed)
    source, target = (
        cells[rng.permutation(len(cells))[:LARGEST_COUPLING]] for cells in (source, target)
    )
    cost = ot.dist(source.astype(np.float64), target.astype(np.float64), metric="sqeuclidean")
    plan = ot.emd([], [], cost, numItermax=10_000_000)
    moves = (plan @ target) / plan.sum(1, keepdims=True) - source
    neighbours = NearestNeighbors(n_neighbors=1).fit(source)
    return lambda cells: cells + moves[neighbours.kneighbors(cells, return_distance=False)[:, 0]]


def flow_matching(source: np.ndarray, target: np.ndarray, seed: int) -> Map:
    """Mini-batch OT flow matching (Tong et al. 2024): 5,000 steps, 100 Euler steps."""
    from torchcfm.conditional_flow_matching import ExactOptimalTransportConditionalFlowMatcher

    torch.manual_seed(seed)
    # torchcfm draws couplings from the global state.
    np.random.seed(seed)  # noqa: NPY002
    first, second = torch.from_numpy(source), torch.from_numpy(target)
    centre = torch.cat([first, second]).mean(0)
    scale = torch.cat([first, second]).sub(centre).square().mean().sqrt()
    first, second = (first - centre) / scale, (second - centre) / scale
    d, width = source.shape[1], 256
    velocity = torch.nn.Sequential(
        torch.nn.Linear(d + 1, width),
        torch.nn.SELU(),
        torch.nn.Linear(width, width),
        torch.nn.SELU(),
        torch.nn.Linear(width, width),
        torch.nn.SELU(),
        torch.nn.Linear(width, d),
    )
    n_steps = 5000
    adam = torch.optim.AdamW(velocity.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, n_steps)
    matcher = ExactOptimalTransportConditionalFlowMatcher(sigma=0.0)
    for _ in range(n_steps):
        x0 = first[torch.randint(len(first), (256,))]
        x1 = second[torch.randint(len(second), (256,))]
        time, position, truth = matcher.sample_location_and_conditional_flow(x0, x1)
        loss = (velocity(torch.cat([position, time[:, None]], 1)) - truth).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()

    @torch.no_grad()
    def transport(cells: np.ndarray) -> np.ndarray:
        moved = (torch.from_numpy(cells) - centre) / scale
        for step in range(100):
            time = torch.full((len(moved), 1), step / 100)
            moved = moved + velocity(torch.cat([moved, time], 1)) / 100
        return (moved * scale + centre).numpy()

    return transport


def published(path: str) -> Callable[[np.ndarray, np.ndarray, int], Map]:
    """The published implementation with its own settings; it sets its own seed."""
    sys.path.insert(0, path)
    from w1ot.ot import w1ot

    def fit(source: np.ndarray, target: np.ndarray, seed: int) -> Map:
        rng = np.random.default_rng(seed)
        shuffled = [
            torch.from_numpy(cells[rng.permutation(len(cells))]) for cells in (source, target)
        ]
        with tempfile.TemporaryDirectory() as folder:
            model = w1ot(*shuffled, device="cpu", path=folder)
            model.fit_potential_function()
            model.fit_distance_function()
        return lambda cells: np.asarray(model.transport(cells), dtype=np.float32)

    return fit
