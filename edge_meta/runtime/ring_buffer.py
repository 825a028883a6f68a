"""The last samples of a stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class RingBuffer:
    """The last `size` samples, int16; before the first ones, zeros."""

    def __init__(self, size: int) -> None:
        # Each sample is kept twice, `size` apart, so that every window is one stretch of memory.
        self._twice = np.zeros(2 * size, np.int16)
        self._size, self._next = size, 0

    def push(self, samples: NDArray[np.int16]) -> None:
        """Take samples (n,)."""
        samples = samples[-self._size :]
        places = (self._next + np.arange(len(samples))) % self._size
        self._twice[places] = self._twice[places + self._size] = samples
        self._next = (self._next + len(samples)) % self._size

    def window(self) -> NDArray[np.int16]:
        """Copy the last samples, (size,), in their order."""
        last: NDArray[np.int16] = self._twice[self._next : self._next + self._size].copy()
        return last
