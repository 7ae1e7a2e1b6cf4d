"""Randomness by counter: a draw depends on what it is for, never on what was drawn before it."""

import hashlib

import torch


def generator(seed: int, *what: str | int) -> torch.Generator:
    """A CPU generator keyed by a seed and a purpose.

    The same key gives the same numbers whatever else runs, in whatever order and on whatever
    machine of the stack, so resumed, re-chunked and distributed runs repeat a plain one.

    Parameters
    ----------
    seed
        The user's seed.
    what
        Purpose of the draw: name of the problem, phase, block.

    Examples
    --------
    >>> import torch
    >>> first = torch.rand(1, generator=generator(0, "IFN-beta", "potential", 3))
    >>> bool(first == torch.rand(1, generator=generator(0, "IFN-beta", "potential", 3)))
    True
    """
    key = repr((int(seed), *what)).encode()
    digest = hashlib.blake2b(key, digest_size=8).digest()
    # manual_seed takes the signed range of 64 bits.
    return torch.Generator().manual_seed(int.from_bytes(digest, "little", signed=True))
