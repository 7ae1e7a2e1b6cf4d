"""The random stream in which published parameters were drawn, with NumPy alone."""

from __future__ import annotations

import numpy as np

_STATE_SIZE = 624
_BLOCK = 16
"""From this many numbers on, PyTorch draws normal numbers in blocks of this many."""


class Twister:
    """The numbers that ``torch.rand`` and ``torch.randn`` give on a CPU after a seed.

    Some published data are drawn anew from a seed of PyTorch rather than stored. The Mersenne
    Twister below it is NumPy's too, so the numbers need no PyTorch and touch no global state.

    Parameters
    ----------
    seed
        What ``torch.manual_seed`` was given, below 2³².

    Examples
    --------
    >>> Twister(0).uniform(2)
    array([0.4962566, 0.7682218], dtype=float32)
    """

    def __init__(self, seed: int) -> None:
        # NumPy hashes its seeds; the plain recurrence is what PyTorch starts from.
        key = [seed]
        for i in range(1, _STATE_SIZE):
            key.append((1812433253 * (key[-1] ^ (key[-1] >> 30)) + i) % 2**32)
        self._bits = np.random.MT19937()
        self._bits.state = {
            "bit_generator": "MT19937",
            "state": {"key": np.array(key, dtype=np.uint32), "pos": _STATE_SIZE},
        }

    def uniform(self, n: int) -> np.ndarray:
        """Uniform numbers in [0, 1), (n,) float32, from 24 bits each."""
        return ((self._bits.random_raw(n) % 2**24) * 2.0**-24).astype(np.float32)

    def normal(self, n: int) -> np.ndarray:
        """Standard normal numbers, (n,) float32; n is even and below 16, or a multiple of 16.

        Both branches are the transform of Box and Muller; they differ in the bits that they use
        and in how pairs are laid out.
        """
        if n < _BLOCK:
            high, low = self._bits.random_raw(2 * n).astype(np.uint64).reshape(-1, 2).T
            angle, radius = ((((high << np.uint64(32)) | low) % 2**53) * 2.0**-53).reshape(-1, 2).T
            return _pairs(radius, angle).T.ravel().astype(np.float32)
        radius, angle = self.uniform(n).reshape(-1, 2, _BLOCK // 2).swapaxes(0, 1)
        return _pairs(radius, angle).swapaxes(0, 1).ravel().astype(np.float32)


def _pairs(radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Two normal numbers of each two uniform ones: (2, ...)."""
    length = np.sqrt(-2 * np.log1p(-radius))
    return np.stack([length * np.cos(2 * np.pi * angle), length * np.sin(2 * np.pi * angle)])
