"""Randomness by counter: a draw depends on what it is for, never on what was drawn before it."""

import hashlib

import torch
from torch import Tensor

GOLDEN = -0x61C8864680B583EB
"""The step of SplitMix64, 2⁶⁴ over the golden ratio, less 2⁶⁴: keys of neighbours lie far apart."""


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


def uniform_of(keys: Tensor) -> Tensor:
    """Float32 numbers in [0, 1) that follow from int64 keys alone, unlike for neighbouring keys.

    By the last steps of SplitMix64 (Steele, Lea and Flood 2014), in signed numbers.

    Examples
    --------
    >>> import torch
    >>> bool((uniform_of(torch.arange(5)) == uniform_of(torch.arange(5))).all())
    True
    """
    mixed = keys.clone()
    # 0xBF58476D1CE4E5B9 and 0x94D049BB133111EB, less 2⁶⁴.
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        mixed ^= _shifted(mixed, shift)
        mixed *= factor
    mixed ^= _shifted(mixed, 31)
    return _shifted(mixed, 40).float() * 2.0**-24


def _shifted(numbers: Tensor, shift: int) -> Tensor:
    """Bits moved to the right, with zeros in their place whatever the sign."""
    return (numbers >> shift).bitwise_and_((1 << (64 - shift)) - 1)
