"""Exact sums of embeddings in integers, which add up to the same bits in any order and on any machine.

Values are in units of 2^-24; with |value| < 2^15, 64 bits hold the sum of 2^24 shots of a label. Squared lengths are in
units of 2^-48, as Python's integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul

import numpy as np

from edge_meta.errors import StoreError
from edge_meta.types import Array, Array64, Integers

FRACTION = 2.0**24
LIMIT = 2.0**15
MOST_SHOTS = 2**24
LARGEST_SQUARES = 1 << 127  # half of what a row holds, so that shots can be added
FEW = 1024  # values, at most, that Python's own integers square sooner than NumPy's in parts

# Square vectors in three parts of 22, 22 and 20 bits: sums of their products fit in 64 bits.
_PART, _MASK = 22, (1 << 22) - 1


@dataclass(frozen=True)
class Sums:
    """The exact sums of some shots.

    Attributes:
        count: how many they are.
        total: int64 (D,), their sum in units of 2^-24.
        squares: the sum of |x|² in units of 2^-48.
    """

    count: int
    total: Integers
    squares: int

    @classmethod
    def of(cls, embeddings: Array) -> Sums:
        """The sums of embeddings (n, D), all below 2^15 in magnitude."""
        fixed = _fixed(embeddings)
        return cls(len(fixed), fixed.sum(axis=0), sum(squared_lengths(fixed)))

    @classmethod
    def of_groups(cls, embeddings: Array, counts: Sequence[int]) -> list[Sums]:
        """The sums of each group of embeddings (n, D): the first counts[0] are a group, and so on; no group is empty."""
        fixed, ends = _fixed(embeddings), list(accumulate(counts))
        totals = np.add.reduceat(fixed, [0, *ends[:-1]]) if counts else fixed
        lengths = squared_lengths(fixed)
        squares = [sum(lengths[end - count : end]) for count, end in zip(counts, ends, strict=True)]
        return [cls(*group) for group in zip(counts, totals, squares, strict=True)]

    def to_row(self) -> tuple[int, bytes, bytes]:
        """Count, total and squares as a row of the store holds them."""
        return self.count, self.total.astype("<i8").tobytes(), self.squares.to_bytes(16, "little")

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.count + other.count, self.total + other.total, self.squares + other.squares)

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.count - other.count, self.total - other.total, self.squares - other.squares)


def check_embeddings(embeddings: Array, dim: int) -> None:
    """Check that shots can be summed.

    Raises:
        ValueError: they are not (n, dim) with n at least 1.
        StoreError: one of them is not finite or too large.
    """
    if embeddings.ndim != 2 or embeddings.shape[1] != dim or not len(embeddings):
        raise ValueError(f"embeddings of shape {embeddings.shape} are not (n, {dim})")
    if not np.all(np.abs(embeddings) < LIMIT):
        raise StoreError(
            f"An embedding has values that are not finite, or beyond ±{LIMIT:.0f}.",
            "The encoder is not usable as it is: scale its output down, or export it again.",
        )


def _fixed(embeddings: Array) -> Integers:
    return np.rint(embeddings.astype(np.float64) * FRACTION).astype(np.int64)


def squared_lengths(vectors: Integers) -> list[int]:
    """Exactly |v|² of each vector of (n, D), any int64, D up to 2^16."""
    if vectors.size <= FEW:
        return [sum(map(mul, vector, vector)) for vector in vectors.tolist()]
    low, middle, high = vectors & _MASK, (vectors >> _PART) & _MASK, vectors >> 2 * _PART

    def products(one: Integers, other: Integers) -> list[int]:
        return np.einsum("nd,nd->n", one, other).tolist()  # type: ignore[no-any-return]

    crossed = zip(
        products(low, low), products(low, middle), products(low, high), products(middle, middle),
        products(middle, high), products(high, high), strict=True,
    )  # fmt: skip
    return [
        ll + (lm << _PART + 1) + ((2 * lh + mm) << 2 * _PART) + (mh << 3 * _PART + 1) + (hh << 4 * _PART)
        for ll, lm, lh, mm, mh, hh in crossed
    ]


def scatters(counts: Iterable[int], totals: Integers, squares: Iterable[int]) -> Array64:
    """Σ|x − c|² around the exact mean c of each of N sets of shots, float64 (N,): Σ|x|² − |Σx|²/n, rounded once.

    A negative one shows that the numbers are no sums of shots.
    """
    lengths = squared_lengths(totals)
    exact = [(n * square - length) / (n << 48) for n, square, length in zip(counts, squares, lengths, strict=True)]
    return np.array(exact, np.float64)
