"""1-Lipschitz networks of orthonormal layers and sorting activations, stacked."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from rayot._docs import shared
from rayot.nn.groupsort import group_sort, max_min
from rayot.nn.initial import uniform_parameter
from rayot.nn.orthogonal import bjorck, cayley
from rayot.nn.potential import Potential

ORTHOGONAL: dict[str, Callable[[Tensor], Tensor]] = {"cayley": cayley, "bjorck": bjorck}


@shared
class LipschitzNetwork(Potential):
    """P scalar networks, each 1-Lipschitz in the Euclidean norm (paper, "Model implementation").

    Hidden layers are orthonormal, with a bias and a sorting activation, both of which keep
    distances or shrink them; the output is a unit vector. A learned scale multiplies each free
    matrix inside the orthonormal transform.

    Parameters
    ----------
    {network_size}
    width
        Units of each hidden layer.
    n_layers
        Number of hidden layers.
    n_groups
        Groups of the GroupSort activation; ``None`` for MaxMin (groups of two).
    orthogonal
        ``"cayley"`` or ``"bjorck"``.

    Examples
    --------
    >>> import torch
    >>> network = LipschitzNetwork(3, [torch.Generator().manual_seed(0)], width=16, n_groups=4)
    >>> network(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5])
    """

    def __init__(
        self,
        n_features: int,
        generators: Sequence[torch.Generator],
        *,
        width: int = 64,
        n_layers: int = 4,
        n_groups: int | None = 4,
        orthogonal: str = "cayley",
    ) -> None:
        super().__init__()
        group_sort(
            torch.empty(0, width, dtype=torch.float32), width // 2 if n_groups is None else n_groups
        )
        self.n_groups = n_groups
        self.orthogonal = ORTHOGONAL[orthogonal]
        self.input_weight = uniform_parameter(generators, (width, n_features), n_features**-0.5)
        self.hidden_weight = uniform_parameter(
            generators, (n_layers - 1, width, width), width**-0.5
        )
        self.output_weight = uniform_parameter(generators, (1, width), width**-0.5)
        self.bias = uniform_parameter(generators, (n_layers, 1, width), 1.0)
        self.input_scale = _norm(self.input_weight)
        self.hidden_scale = _norm(self.hidden_weight)
        self.output_scale = _norm(self.output_weight)

    def weights(self) -> list[Tensor]:
        """Orthonormal matrices of all layers, input first, each (P, out, in).

        The hidden matrices, all of one shape, go through one transform together.
        """
        first = self._orthonormal(self.input_weight, self.input_scale)
        last = self._orthonormal(self.output_weight, self.output_scale)
        if self.hidden_weight.shape[1] == 0:
            return [first, last]
        hidden = self._orthonormal(self.hidden_weight, self.hidden_scale)
        return [first, *hidden.unbind(1), last]

    def _orthonormal(self, weight: Tensor, scale: Tensor) -> Tensor:
        return self.orthogonal(weight * (scale / torch.linalg.matrix_norm(weight, keepdim=True)))

    def activation(self, values: Tensor) -> Tensor:
        """The sorting activation of this network."""
        return max_min(values) if self.n_groups is None else group_sort(values, self.n_groups)

    def forward(self, cells: Tensor, weights: list[Tensor] | None = None) -> Tensor:
        """Values f(x).

        Parameters
        ----------
        cells
            (P, n, d) or (1, n, d), which every problem reads.
        weights
            What :meth:`weights` returned, to evaluate many batches with one transform.

        Returns
        -------
        (P, n).
        """
        *hidden, last = self.weights() if weights is None else weights
        values = cells
        for weight, bias in zip(hidden, self.bias.unbind(1), strict=True):
            if values.shape[0] != weight.shape[0]:
                values = values.expand(weight.shape[0], -1, -1)
            values = self.activation(torch.baddbmm(bias, values, weight.mT))
        return torch.bmm(values, last.mT).squeeze(-1)


def _norm(weight: Tensor) -> nn.Parameter:
    """Start the scale at the norm of the matrix, so that the first product is the matrix itself."""
    return nn.Parameter(torch.linalg.matrix_norm(weight.detach(), keepdim=True))
