"""For tests of removal: a search of files for the bytes of many values at once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
PIECE, STEP = 16, 8  # a piece of what is searched for, in bytes: too long to be there by chance
FACTOR = np.uint64(0x9E3779B97F4A7C15)


def pieces(values: Iterable[bytes]) -> Hashes:
    """A hash of each piece of some values; each piece begins a multiple of `STEP` bytes into its value."""
    none = np.zeros(0, np.uint64)
    return np.concatenate([none, *(_hashes(np.frombuffer(value, "<u8", len(value) // STEP)) for value in values)])


def left_of(gone: Iterable[bytes], live: Iterable[bytes], content: bytes) -> Hashes:
    """The pieces of what is gone, as far as it is nothing live, that are in the content of files."""
    at_each = [_hashes(np.frombuffer(content, "<u8", (len(content) - at) // STEP, at)) for at in range(STEP)]
    wanted = np.setdiff1d(pieces(gone), pieces(live))
    found: Hashes = wanted[np.isin(wanted, np.concatenate(at_each))]
    return found


def _hashes(words: Hashes) -> Hashes:
    """A hash of each two neighbours."""
    with np.errstate(over="ignore"):
        hashes: Hashes = words[:-1] * FACTOR ^ words[1:]
    return hashes
