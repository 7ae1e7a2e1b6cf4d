"""What training and transport ask of a stacked potential."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn


class Potential(nn.Module, ABC):
    """P scalar functions, each 1-Lipschitz in the Euclidean norm."""

    @abstractmethod
    def weights(self) -> list[Tensor]:
        """What values follow from besides the cells, to be computed once for many batches."""

    @abstractmethod
    def forward(self, cells: Tensor, weights: list[Tensor] | None = None) -> Tensor:
        """Values f(x).

        Parameters
        ----------
        cells
            (P, n, d) or (1, n, d), which every problem reads.
        weights
            What :meth:`weights` returned.

        Returns
        -------
        (P, n).
        """

    @property
    def n_start_cells(self) -> int:
        """Target cells that :meth:`start_at` wants of each problem; 0 for none."""
        return 0

    def start_at(self, cells: Tensor) -> None:
        """Take starting values from target cells (P, :attr:`n_start_cells`, d), in place."""

    def anneal(self, progress: float, active: Sequence[bool]) -> None:
        """Follow training, of which a share from 0 to 1 is done, where a problem has not ended."""
