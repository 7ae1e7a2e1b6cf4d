"""Whether two populations differ at all."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rayot.solvers.energy import distances
from rayot.solvers.population import Population

LIMIT = 1000
"""Cells of each side of a problem looked at."""


@dataclass(frozen=True)
class PermutationTest:
    """What the test of P problems found.

    Attributes
    ----------
    distances
        (P,), energy distance from source to target cells, the mean over strata.
    p_values
        (P,).
    """

    distances: Tensor
    p_values: Tensor


def permutation_test(
    source: Population,
    target: Population,
    generators: Sequence[torch.Generator],
    n_permutations: int = 199,
) -> PermutationTest:
    r"""Energy distance permutation test of each problem (Székely & Rizzo 2013).

    Cells are exchanged between source and target within their stratum; the energy distances of the
    strata add up. With :math:`b` of :math:`B` permutations at least as far apart as what was
    observed, :math:`p = (b + 1) / (B + 1)`.

    Parameters
    ----------
    source, target
        Cells of each problem; sampling weights play no part.
    generators
        One CPU generator a problem.
    n_permutations
        B.

    Examples
    --------
    >>> import torch
    >>> from rayot.solvers import Population, generator
    >>> rows = [torch.arange(50), torch.arange(50, 100)]
    >>> cells = torch.randn(100, 3, generator=generator(0)) + (torch.arange(100) >= 50)[:, None]
    >>> populations = [Population.from_groups(cells, [each]) for each in rows]
    >>> permutation_test(*populations, [generator(1)]).p_values
    tensor([0.0050])
    """
    n_strata = source.n_strata
    limit = max(2, LIMIT // n_strata)
    rows = [side.rows.split(side.group_sizes.tolist()) for side in (source, target)]
    energies, p_values = [], []
    for problem, stream in enumerate(generators):
        observed, permuted = (
            torch.zeros((), dtype=torch.float32),
            torch.zeros(n_permutations, dtype=torch.float32),
        )
        for group in range(problem * n_strata, (problem + 1) * n_strata):
            first, second = (
                side[group][torch.randperm(len(side[group]), generator=stream)[:limit]]
                for side in rows
            )
            statistics = _statistics(
                source.cells[first], target.cells[second], stream, n_permutations
            )
            observed, permuted = observed + statistics[0], permuted + statistics[1:]
        energies.append(observed / n_strata)
        p_values.append((1 + (permuted >= observed).sum()) / (1 + n_permutations))
    return PermutationTest(torch.stack(energies), torch.stack(p_values).float())


def _statistics(
    first: Tensor, second: Tensor, generator: torch.Generator, n_permutations: int
) -> Tensor:
    """Energy distance of the two groups, then of random groups of their sizes: (1 + B,)."""
    cells = torch.cat([first, second]).cpu()
    n, total = len(first), len(cells)
    every = distances(cells[None], cells[None])[0]
    member = torch.zeros(1 + n_permutations, total, dtype=torch.float32)
    member[0, :n] = 1
    for row in member[1:]:
        row[torch.randperm(total, generator=generator)[:n]] = 1
    to_first = member @ every
    within_first = (to_first * member).sum(1)
    across = to_first.sum(1) - within_first
    within_second = every.sum() - within_first - 2 * across
    m = total - n
    return 2 * across / (n * m) - within_first / (n * (n - 1)) - within_second / (m * (m - 1))
