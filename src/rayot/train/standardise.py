"""Where the rays' coordinates come from: centre, scale and leading components of the cells."""

import torch
from torch import Tensor

from rayot.solvers import Population, TransportMap
from rayot.train.carried import CHUNK_ROWS


def standardise(transport: TransportMap, source: Population, target: Population) -> None:
    """Set the centre, the basis and the scale of each problem from its training cells.

    The centre is the mean of both populations, the basis their leading principal components, and
    the scale makes the root mean square distance to the centre, in the rays' coordinates, equal to
    :data:`RADIUS`.
    """
    for problem in range(source.n_problems):
        centre, square = _moments(source, target, problem, transport.basis is not None)
        transport.centre[problem, 0] = centre
        if transport.basis is None:
            variance = square.sum()
        else:
            # The largest eigenvalues stand last.
            values, vectors = torch.linalg.eigh(square)
            transport.basis[problem] = vectors[:, -transport.n_features :].flip(-1)
            variance = values[-transport.n_features :].clamp_min(0).sum()
        scale = variance.sqrt() / RADIUS
        # Constant cells have no scale; any will do.
        transport.scale[problem] = scale if scale > 0 else 1.0


RADIUS = 3.0
"""Root mean square norm of standardised cells: what the networks' first weights and biases suit."""


def _moments(
    source: Population, target: Population, problem: int, covariance: bool
) -> tuple[Tensor, Tensor]:
    """Mean (d,) of the cells of both sides, and their covariance (d, d) or variances (d,)."""
    n_features = source.cells.shape[1]
    n = 0
    total = torch.zeros(n_features, dtype=torch.float64)
    squares = torch.zeros((n_features, n_features) if covariance else n_features).double()
    for side in (source, target):
        bounds = side.problem_offsets[problem : problem + 2].tolist()
        for chunk in side.rows[slice(*bounds)].split(CHUNK_ROWS):
            cells = side.cells[chunk].double()
            n += len(chunk)
            total = total + cells.sum(0)
            squares = squares + (cells.mT @ cells if covariance else cells.square().sum(0))
    mean = total / n
    spread = squares / n - (torch.outer(mean, mean) if covariance else mean.square())
    return mean, spread if covariance else spread.clamp_min(0)
