"""How far each cell goes along its ray: the step size η and the losses that train it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rayot._docs import shared
from rayot.nn import StackedMLP


@shared
class StepSize(nn.Module):
    """P step sizes η(x) ≥ 0: a perceptron with a softplus end.

    Parameters
    ----------
    {network_size}
    width, n_layers
        Hidden units and layers; the paper has 4 x 64.

    Examples
    --------
    >>> import torch
    >>> step = StepSize(3, [torch.Generator().manual_seed(0)])
    >>> bool((step(torch.randn(1, 5, 3)) >= 0).all())
    True
    """

    def __init__(
        self,
        n_features: int,
        generators: Sequence[torch.Generator],
        *,
        width: int = 64,
        n_layers: int = 4,
    ) -> None:
        super().__init__()
        self.network = StackedMLP(n_features, generators, width=width, n_layers=n_layers)

    @torch.no_grad()
    def fix(self) -> None:
        """Make all steps of each problem equal, as long as the bias says."""
        self.network.weight[-1].zero_()

    def forward(self, cells: Tensor) -> Tensor:
        """Step sizes (P, n) of cells (P, n, d), in units of the cells."""
        return nn.functional.softplus(self.network(cells)).squeeze(-1)


@torch.no_grad()
def start_softplus_at(network: StackedMLP, length: Tensor) -> None:
    """Make softplus of a network's outputs nearly ``length`` (P,) everywhere.

    Cells that go so far set out side by side. From steps that grow with the size of coordinates,
    those behind would overtake those in front and stay there: any order along a ray costs the same.
    """
    length = length.clamp_min(1e-3)[:, None, None]
    # The inverse of softplus.
    network.bias[-1].copy_(length + torch.log(-torch.expm1(-length)))
    network.weight[-1].mul_(0.1)


def generator_loss(transported_logits: Tensor) -> Tensor:
    r"""Loss of the step size against a discriminator (paper, equation 15), (P,).

    :math:`-E \log D(T(x))`, from logits: :math:`-\log \sigma(l) = \mathrm{softplus}(-l)`, which
    needs no clipped sigmoid.

    Parameters
    ----------
    transported_logits
        Discriminator's logits of transported cells, (P, n).
    """
    return nn.functional.softplus(-transported_logits).mean(-1)


def critic_loss(target_logits: Tensor, transported_logits: Tensor) -> Tensor:
    r"""Loss of the discriminator (paper, equation 16), (P,).

    :math:`-E \log D(y) - E \log(1 - D(T(x)))`, from logits.

    Parameters
    ----------
    target_logits, transported_logits
        Discriminator's logits of target and of transported cells, (P, n).

    Examples
    --------
    >>> import torch
    >>> round(critic_loss(torch.zeros(1, 2), torch.zeros(1, 2)).item(), 4)
    1.3863
    """
    softplus = nn.functional.softplus
    return softplus(-target_logits).mean(-1) + softplus(transported_logits).mean(-1)
