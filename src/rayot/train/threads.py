"""How many threads a fit runs on."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

ONE_THREAD_BELOW = 2**28
"""Multiplications of a step's largest product below which a second thread does not pay."""


@contextmanager
def threads_for(multiplications: int) -> Iterator[None]:
    """Run small networks on one thread, and leave the user's setting as it was.

    A step on a small network is hundreds of products of some microseconds. Split over threads they
    gain nothing, and where another process holds a core each of them waits for its last thread: a
    fit then takes forty times as long.

    Parameters
    ----------
    multiplications
        Of the largest product of a step.
    """
    before = torch.get_num_threads()
    if multiplications < ONE_THREAD_BELOW:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
