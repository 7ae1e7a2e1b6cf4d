"""What is known of cells beside their expression, for methods that learn from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Attributes:
    """Known attributes of cells, as tensors of one shape.

    Attributes
    ----------
    condition
        int64, number of the cell's condition: 0 the source, 1 the target, then all others.
    covariate
        int64, number of its covariate; 0 where the method has none.
    log_dose
        float32, decimal logarithm of its dose; of a source cell, of the dose that it is moved to.
    weight
        float32, its weight.
    """

    condition: Tensor
    covariate: Tensor
    log_dose: Tensor
    weight: Tensor

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Attributes (P, n) and more as one, side by side."""
        tensors = zip(*(part.tensors() for part in parts), strict=True)
        return cls(*(torch.cat(of_parts, dim=1) for of_parts in tensors))

    def tensors(self) -> list[Tensor]:
        """All of them, in order."""
        return [getattr(self, field.name) for field in fields(self)]

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(*(change(tensor) for tensor in self.tensors()))

    def at(self, rows: Tensor) -> Self:
        """Those of the cells in these rows of the store, in the shape of ``rows``."""
        return self._each(lambda tensor: tensor[rows])

    def expand(self, *shape: int) -> Self:
        """The same in a larger shape."""
        return self._each(lambda tensor: tensor.expand(*shape))

    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""
        return self._each(lambda tensor: tensor.to(device))
