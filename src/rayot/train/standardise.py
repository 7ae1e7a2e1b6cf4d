"""Where the rays' coordinates come from: centre, scale and leading components of the cells."""

import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from rayot.solvers import Population, Stack
from rayot.solvers.population import CHUNK_ROWS

RADIUS = 3.0
"""Root mean square norm of standardised cells: what the networks' first weights and biases suit."""

LARGEST_SAMPLE = 8192
"""Cells that components are taken from."""


def standardise(transport: Stack, source: Population, target: Population) -> None:
    """Set the centre, the basis and the scale of each problem from its training cells.

    The centre is the mean of both populations, the basis their leading principal components, and
    the scale makes the root mean square distance to the centre, in the rays' coordinates, equal to
    :data:`RADIUS`.
    """
    for problem in range(source.n_problems):
        centre, variance = _moments(source, target, problem)
        transport.centre[problem, 0] = centre
        if transport.basis is not None:
            components, variance = _components(source, target, problem, centre, transport)
            transport.basis[problem] = components
        scale = variance.sum().sqrt() / RADIUS
        # Constant cells have no scale; any will do.
        transport.scale[problem] = scale if scale > 0 else 1.0


def _moments(source: Population, target: Population, problem: int) -> tuple[Tensor, Tensor]:
    """Mean (d,) of the cells of both sides, and their variances (d,)."""
    n = 0
    total = total_squares = torch.zeros(source.cells.shape[1], dtype=torch.float64)
    for side in (source, target):
        for chunk in _rows(side, problem).split(CHUNK_ROWS):
            cells = side.cells[chunk].double()
            n += len(chunk)
            total = total + cells.sum(0)
            total_squares = total_squares + cells.square().sum(0)
    mean = total / n
    return mean, (total_squares / n - mean.square()).clamp_min(0)


def _components(
    source: Population, target: Population, problem: int, centre: Tensor, transport: Stack
) -> tuple[Tensor, Tensor]:
    """Leading principal components (d, r) of both sides, and the variance along each (r,)."""
    rows = [_rows(side, problem) for side in (source, target)]
    stride = 1 + sum(map(len, rows)) // LARGEST_SAMPLE
    cells = torch.cat(
        [
            side.cells[rows_of_side[::stride]]
            for side, rows_of_side in zip((source, target), rows, strict=True)
        ]
    )
    return leading_components(cells - centre.to(cells.dtype), transport.n_features)


def leading_components(centred: Tensor, n_components: int) -> tuple[Tensor, Tensor]:
    """Orthonormal axes (d, r) along which centred cells (n, d) vary most, and the variances (r,).

    Axes beyond the rank of the cells are zero.
    """
    _, singular, components = randomized_svd(centred.numpy(), n_components, random_state=0)
    basis = torch.zeros(centred.shape[1], n_components, dtype=torch.float32)
    basis[:, : len(components)] = torch.from_numpy(components.T.copy())
    return basis, torch.from_numpy(singular).double().square() / len(centred)


def _rows(side: Population, problem: int) -> Tensor:
    start, end = side.problem_offsets[problem : problem + 2].tolist()
    return side.rows[start:end]
