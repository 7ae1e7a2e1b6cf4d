"""What the phases of a ray share."""

from rayot.solvers import Population, W1Map, W1Settings
from rayot.train.block import BlockTraining


class RayTraining(BlockTraining):
    """A part of one ray, its potential or its step size.

    Parameters
    ----------
    transport
        The map whose ray is fitted.
    ray
        Number of the ray, from 0.
    source, target, validation, patience
        As in :class:`BlockTraining`.
    """

    part: str
    transport: W1Map
    settings: W1Settings

    def __init__(
        self,
        transport: W1Map,
        ray: int,
        source: Population,
        target: Population,
        validation: tuple[Population, Population],
        patience: int | None = None,
    ) -> None:
        super().__init__(transport, source, target, validation, patience)
        self.ray = ray

    @property
    def name(self) -> str:
        """Name of the phase."""
        return f"ray {self.ray + 1} {self.part}"
