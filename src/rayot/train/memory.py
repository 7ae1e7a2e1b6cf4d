"""How much a fit holds."""

from rayot.solvers import Stack
from rayot.train.training import BLOCK_STEPS


def numbers_held(transport: Stack, batch_size: int, n_cells: int) -> int:
    """Numbers of four bytes that the fit of one problem holds.

    Parameters
    ----------
    transport
        A map of one problem.
    batch_size
        Cells of a batch.
    n_cells
        Cells of both sides.
    """
    n_map = sum(values.numel() for values in transport.state_dict().values())
    return (
        # Parameters with gradients, Adam's two moments and the copy of a block's start.
        5 * n_map
        # Cells and directions, carried to a ray.
        + 2 * n_cells * transport.n_features
        # Activations of both batches and their gradients, and the distances between cells.
        + 8 * batch_size * transport.settings.n_units
        + 10 * batch_size**2
        # Row numbers of a block's draws count twice.
        + 4 * BLOCK_STEPS * batch_size
    )
