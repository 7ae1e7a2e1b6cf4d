"""Initial values from one generator a problem, so that neighbours in a stack do not matter."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def uniform_parameter(
    generators: Sequence[torch.Generator], shape: Sequence[int], bound: float
) -> nn.Parameter:
    """A parameter (P, *shape), uniform in (−bound, bound), problem p from ``generators[p]``.

    Parameters
    ----------
    generators
        One CPU generator for each of the P problems.
    shape
        Shape of one problem's parameter.
    bound
        Half width of the distribution.
    """
    if torch.get_default_device().type == "meta":
        # An outline has no values, and to draw none takes longer there than to draw some.
        return nn.Parameter(torch.empty((len(generators), *shape), dtype=torch.float32))
    draws: list[Tensor] = [
        torch.rand(tuple(shape), generator=generator, dtype=torch.float32) * (2 * bound) - bound
        for generator in generators
    ]
    return nn.Parameter(torch.stack(draws))
