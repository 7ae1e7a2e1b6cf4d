"""Learned vectors of categories, stacked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rayot.nn.initial import uniform_parameter


class StackedEmbedding(nn.Module):
    """P tables of one vector a category.

    Parameters
    ----------
    n_categories
        Rows of a table.
    n_outputs
        Dimension of a vector.
    generators
        One CPU generator a problem; their number is P.

    Examples
    --------
    >>> import torch
    >>> table = StackedEmbedding(4, 3, [torch.Generator()])
    >>> table(torch.tensor([[0, 2, 2]])).shape
    torch.Size([1, 3, 3])
    """

    def __init__(
        self, n_categories: int, n_outputs: int, generators: Sequence[torch.Generator]
    ) -> None:
        super().__init__()
        # Variance 1, as torch.nn.Embedding has it.
        self.weight = uniform_parameter(generators, (n_categories, n_outputs), 3**0.5)

    def forward(self, categories: Tensor) -> Tensor:
        """Vectors (P, n, n_outputs) of categories (P, n) or (1, n), int64."""
        n_problems, _, n_outputs = self.weight.shape
        index = categories.expand(n_problems, -1)[..., None].expand(-1, -1, n_outputs)
        return self.weight.gather(1, index)
