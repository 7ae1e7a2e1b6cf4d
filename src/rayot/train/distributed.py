"""One map on several devices: each takes a part of every batch, and gradients are averaged."""

from collections.abc import Sequence

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor


def process() -> tuple[int, int]:
    """Number of this process, from 0, and how many there are."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def is_first_process() -> bool:
    """Whether this is the first of the processes of one fit, also before Lightning starts them.

    Those that it starts run the same script and are numbered by their environment.
    """
    return rank_zero_only.rank == 0


def average(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Mean of each tensor over the processes of Lightning's strategy; as they are without one.

    Training takes its gradients by ``torch.autograd.grad``, which the hooks of
    ``DistributedDataParallel`` do not see.
    """
    n_processes = process()[1]
    if n_processes == 1:
        return list(tensors)
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    torch.distributed.all_reduce(flat)
    parts = (flat / n_processes).split([tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]
