"""Networks of cells and conditions: in a condition each is a plain network of the cells."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rayot._docs import shared
from rayot.nn.initial import uniform_parameter
from rayot.nn.lipschitz import LipschitzNetwork
from rayot.nn.mlp import StackedMLP

UNIT_VARIANCE = 3**0.5
"""Half width of a uniform distribution of variance 1."""


class ConditionNetwork(nn.Module):
    """P perceptrons of a linear embedding of conditions.

    The embedding of a sum of condition vectors is the sum of their embeddings.

    Parameters
    ----------
    n_conditions
        Dimension k of a condition vector.
    generators
        One CPU generator a problem; their number is P.
    n_outputs
        Dimension of the output.
    width
        Units of the embedding and of each hidden layer.
    n_layers
        Number of hidden layers; 0 for a linear network.
    """

    def __init__(
        self,
        n_conditions: int,
        generators: Sequence[torch.Generator],
        *,
        n_outputs: int,
        width: int = 32,
        n_layers: int = 1,
    ) -> None:
        super().__init__()
        # Condition vectors have norm 1, so that embeddings have unit variance.
        shape = (n_conditions, width)
        self.embedding = uniform_parameter(generators, shape, UNIT_VARIANCE)
        self.perceptron = StackedMLP(
            width, generators, n_outputs=n_outputs, width=width, n_layers=n_layers
        )

    def forward(self, conditions: Tensor) -> Tensor:
        """Outputs (P, G, n_outputs) of condition vectors (P, G, k)."""
        return self.perceptron(conditions @ self.embedding)


@shared
class ConditionalLipschitzNetwork(nn.Module):
    r"""P scalar networks f(x, c), each 1-Lipschitz in the cell x and free in the condition c.

    Every layer is :math:`h(x, c) = \sigma(Q(c) x + b + g(c))`: the condition enters before the
    activation, in the biases (Chen et al. 2025, Discussion) and in the orthonormal matrix, the
    transform of a free matrix :math:`W + U \, \mathrm{diag}(s(c)) \, V`, of which the condition
    moves a part of low rank. With c given it is a :class:`LipschitzNetwork`. As a sum of two
    functions, f(x) + g(c), it would move cells alike in all conditions.

    Parameters
    ----------
    {network_size}
    n_conditions
        Dimension k of a condition vector.
    rank
        Of the part of each matrix that the condition moves; 0 leaves it to the biases alone.
    condition_width, condition_layers
        Hidden units and layers of the perceptron g of conditions.
    width, n_layers, n_groups, orthogonal
        As in :class:`LipschitzNetwork`.

    Examples
    --------
    >>> import torch
    >>> draws = [torch.Generator().manual_seed(0)]
    >>> network = ConditionalLipschitzNetwork(3, 2, draws, width=16)
    >>> network(torch.zeros(4, 5, 3), torch.eye(2).repeat(1, 2, 1)).shape
    torch.Size([4, 5])
    """

    def __init__(
        self,
        n_features: int,
        n_conditions: int,
        generators: Sequence[torch.Generator],
        *,
        rank: int = 4,
        condition_width: int = 32,
        condition_layers: int = 1,
        width: int = 64,
        n_layers: int = 4,
        n_groups: int | None = 4,
        orthogonal: str = "cayley",
    ) -> None:
        super().__init__()
        sizes = {"width": width, "n_layers": n_layers}
        self.network = LipschitzNetwork(
            n_features, generators, n_groups=n_groups, orthogonal=orthogonal, **sizes
        )
        self.plain = {"n_groups": n_groups, "orthogonal": orthogonal, **sizes}
        self.n_features, self.rank = n_features, rank
        self.n_biases = n_layers * width
        self.conditions = ConditionNetwork(
            n_conditions,
            generators,
            n_outputs=self.n_biases + (n_layers + 1) * rank,
            width=condition_width,
            n_layers=condition_layers,
        )
        shapes = [(width, n_features), *[(width, width)] * (n_layers - 1), (1, width)]
        self.left = nn.ParameterList(
            uniform_parameter(generators, (m, rank), 1.0) for m, _ in shapes
        )
        self.right = nn.ParameterList(
            uniform_parameter(generators, (rank, n), n**-0.5) for _, n in shapes
        )

    def parameters_in(self, conditions: Tensor) -> dict[str, Tensor]:
        """Parameters of a :class:`LipschitzNetwork` of P G problems, one for each condition.

        Parameters
        ----------
        conditions
            (P, G, k).
        """
        n_problems, n = conditions.shape[:2]
        layers = self.conditions(conditions)
        network = self.network
        shifts = layers[..., : self.n_biases].unflatten(-1, (-1, 1, network.bias.shape[-1]))
        # (P, G, layers + 1, 1, rank): columns of the left factor are scaled.
        scales = layers[..., self.n_biases :].unflatten(-1, (len(self.left), 1, self.rank))

        def moved(weight: Tensor, scale: Tensor, layer: int) -> Tensor:
            free = weight * (scale / torch.linalg.matrix_norm(weight, keepdim=True))
            part = (self.left[layer][:, None] * scales[:, :, layer]) @ self.right[layer][:, None]
            return (free[:, None] + part).flatten(0, 1)

        values = {
            "input_weight": moved(network.input_weight, network.input_scale, 0),
            "output_weight": moved(network.output_weight, network.output_scale, -1),
        }
        hidden = [
            moved(network.hidden_weight[:, k], network.hidden_scale[:, k], k + 1)
            for k in range(network.hidden_weight.shape[1])
        ]
        empty = network.hidden_weight.new_zeros(n_problems * n, *network.hidden_weight.shape[1:])
        values["hidden_weight"] = torch.stack(hidden, 1) if hidden else empty
        for name in ("input", "hidden", "output"):
            norm = torch.linalg.matrix_norm(values[f"{name}_weight"], keepdim=True)
            values[f"{name}_scale"] = norm
        values["bias"] = (network.bias[:, None] + shifts).flatten(0, 1)
        return values

    def forward(self, cells: Tensor, conditions: Tensor) -> Tensor:
        """Values f(x, c), (P G, n), of cells (P G, n, d) in conditions (P, G, k)."""
        return self.with_parameters(cells, self.parameters_in(conditions))

    def with_parameters(self, cells: Tensor, values: dict[str, Tensor]) -> Tensor:
        """Values (P G, n) by what :meth:`parameters_in` returned."""
        return torch.func.functional_call(self.network, values, (cells,))


@shared
class ConditionalMLP(nn.Module):
    """P perceptrons of cells and conditions, whose biases the condition moves.

    Parameters
    ----------
    {network_size}
    n_conditions
        Dimension k of a condition vector.
    condition_width, condition_layers
        Hidden units and layers of the perceptron of conditions.
    width, n_layers
        Hidden units and layers.

    Examples
    --------
    >>> import torch
    >>> network = ConditionalMLP(3, 2, [torch.Generator().manual_seed(0)], width=8)
    >>> network(torch.zeros(4, 5, 3), torch.eye(2).repeat(1, 2, 1)).shape
    torch.Size([4, 5, 1])
    """

    def __init__(
        self,
        n_features: int,
        n_conditions: int,
        generators: Sequence[torch.Generator],
        *,
        condition_width: int = 32,
        condition_layers: int = 1,
        width: int = 64,
        n_layers: int = 4,
    ) -> None:
        super().__init__()
        self.network = StackedMLP(n_features, generators, width=width, n_layers=n_layers)
        self.sizes = [bias.shape[-1] for bias in self.network.bias]
        self.conditions = ConditionNetwork(
            n_conditions,
            generators,
            n_outputs=sum(self.sizes),
            width=condition_width,
            n_layers=condition_layers,
        )

    def parameters_in(self, conditions: Tensor) -> dict[str, Tensor]:
        """Parameters of a :class:`StackedMLP` of P G problems, one for each condition (P, G, k)."""
        n = conditions.shape[1]
        values = {
            f"weight.{layer}": weight.repeat_interleave(n, 0)
            for layer, weight in enumerate(self.network.weight)
        }
        shifts = self.conditions(conditions).split(self.sizes, dim=-1)
        for layer, (bias, shift) in enumerate(zip(self.network.bias, shifts, strict=True)):
            values[f"bias.{layer}"] = (bias + shift).flatten(0, 1)[:, None]
        return values

    def forward(self, cells: Tensor, conditions: Tensor) -> Tensor:
        """Outputs (P G, n, 1) of cells (P G, n, d) in conditions (P, G, k)."""
        values = self.parameters_in(conditions)
        return torch.func.functional_call(self.network, values, (cells,))
