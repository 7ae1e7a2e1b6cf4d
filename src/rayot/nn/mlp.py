"""A plain multilayer perceptron, stacked."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from rayot.nn.initial import uniform_parameter


class StackedMLP(nn.Module):
    """P perceptrons with LeakyReLU units and a linear end.

    Parameters
    ----------
    n_features
        Dimension d of the input.
    generators
        One CPU generator a problem; their number is P.
    n_outputs
        Dimension of the output.
    width
        Units of each hidden layer.
    n_layers
        Number of hidden layers.

    Examples
    --------
    >>> import torch
    >>> StackedMLP(3, [torch.Generator()], width=8)(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5, 1])
    """

    def __init__(
        self,
        n_features: int,
        generators: Sequence[torch.Generator],
        *,
        n_outputs: int = 1,
        width: int = 64,
        n_layers: int = 4,
    ) -> None:
        super().__init__()
        sizes = [n_features, *[width] * n_layers, n_outputs]
        # Bounds of torch.nn.Linear.
        self.weight = nn.ParameterList(
            uniform_parameter(generators, (n_in, n_out), n_in**-0.5)
            for n_in, n_out in pairwise(sizes)
        )
        self.bias = nn.ParameterList(
            uniform_parameter(generators, (1, n_out), n_in**-0.5) for n_in, n_out in pairwise(sizes)
        )

    def forward(self, values: Tensor) -> Tensor:
        """Outputs (P, n, n_outputs) of inputs (P, n, d)."""
        last = len(self.weight) - 1
        for layer, (weight, bias) in enumerate(zip(self.weight, self.bias, strict=True)):
            values = torch.baddbmm(bias, values, weight)
            if layer < last:
                values = nn.functional.leaky_relu(values)
        return values
