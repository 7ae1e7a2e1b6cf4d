"""Networks whose units are norms, stacked."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from rayot.nn.initial import uniform_parameter

HIDDEN_GAIN = 1.5
"""First weights of all layers but one, over those of torch.nn.Linear."""


class NormNetwork(nn.Module):
    r"""P scalar networks with units ‖W x + b‖, each over a group of linear outputs.

    Kantorovich potentials are made of distances. Networks of kinks need many units for one of
    them and a norm over all features most of all; here it takes a few layers of small norms. The
    network is smooth where no norm vanishes, and its weights are free: training has to hold its
    gradient, as with ``gradient_penalty``.

    Parameters
    ----------
    n_features
        Dimension d of a cell.
    generators
        One CPU generator a problem; their number is P.
    width
        Units of each hidden layer.
    n_layers
        Number of hidden layers.
    group_size
        Linear outputs under one norm.

    Examples
    --------
    >>> import torch
    >>> NormNetwork(3, [torch.Generator().manual_seed(0)], width=8)(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5])
    """

    def __init__(
        self,
        n_features: int,
        generators: Sequence[torch.Generator],
        *,
        width: int = 64,
        n_layers: int = 2,
        group_size: int = 8,
    ) -> None:
        super().__init__()
        self.group_size = group_size
        sizes = [n_features, *[width] * n_layers]
        # The first layer spreads its norms over the cells; the others are fed by norms, which are
        # positive, and have to tell them apart.
        self.weight = nn.ParameterList(
            uniform_parameter(
                generators,
                (n_in, n_out * group_size),
                (1.0 if layer == 0 else HIDDEN_GAIN) * n_in**-0.5,
            )
            for layer, (n_in, n_out) in enumerate(pairwise(sizes))
        )
        self.bias = nn.ParameterList(
            uniform_parameter(
                generators, (1, n_out * group_size), 1.0 if layer == 0 else n_in**-0.5
            )
            for layer, (n_in, n_out) in enumerate(pairwise(sizes))
        )
        self.output_weight = uniform_parameter(generators, (width, 1), width**-0.5)

    def forward(self, cells: Tensor) -> Tensor:
        """Values f(x), (P, n), of cells (P, n, d)."""
        values = cells
        for weight, bias in zip(self.weight, self.bias, strict=True):
            groups = torch.baddbmm(bias, values, weight).unflatten(-1, (-1, self.group_size))
            # The root of a bare zero has no gradient.
            values = (groups.square().sum(-1) + torch.finfo(groups.dtype).eps).sqrt()
        return torch.bmm(values, self.output_weight).squeeze(-1)
