"""Upgrades: the way from an old encoder's embeddings to a bundle's own, an affine map that was fitted at export.

What the old encoder has embedded need not be embedded again, which would take the images (the problem: Shen et al. 2020,
"Backward-Compatible Representation Learning"; maps of old embeddings: Hu et al. 2019, "Visual Feature Translation", and
Ramanujan et al. 2022, "Forward Compatible Training").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.store.exact_sums import FRACTION, LIMIT, Sums, scatters, squared_lengths
from edge_meta.store.schema import ENCODER_ID
from edge_meta.types import Array

LARGEST_SQUARES = 1 << 128  # of a row of the store


@dataclass(frozen=True)
class MigrationAccuracy:
    """What was kept of the accuracy, measured at export on validation classes; fractions.

    Attributes:
        way, shot, query, episodes: how it was measured.
        own: with prototypes of the new encoder's own embeddings.
        migrated: with prototypes of the old encoder's embeddings, mapped; the queries are by the new encoder both times.
        lost: own − migrated on the same episodes, and
        ci95: the half width of its 95 % interval.
    """

    way: int
    shot: int
    query: int
    episodes: int
    own: float
    migrated: float
    lost: float
    ci95: float

    def __str__(self) -> str:
        return (
            f"{self.way}-way {self.shot}-shot {100 * self.migrated:.2f} %, {100 * self.lost:.2f} ± {100 * self.ci95:.2f} "
            f"points below the new encoder's own {100 * self.own:.2f} %"
        )


@dataclass(frozen=True)
class EmbeddingMapRecord:
    """What a manifest says of a map; the map itself is a file of the bundle.

    Attributes:
        encoder_id, dim: the old encoder's.
        ridge: the strength that it was fitted with.
        spread: the mean squared distance of examples to their class's mean after the map, in units of the one before.
        reach: how many times the limits of rejection go, for labels of migrated shots, so that the false-accept rate stays
            what was asked for: a mapped shot lies nearer to all others than one of the new encoder, and strangers nearer to
            it. For the two numbers of shots that the rejection was calibrated for.
    """

    encoder_id: str
    dim: int
    ridge: float
    spread: float
    reach: tuple[float, float]
    kept: MigrationAccuracy

    @property
    def file(self) -> str:
        return f"upgrade-{self.encoder_id}.f32"

    def to_manifest(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_manifest(cls, fields: dict[str, Any]) -> EmbeddingMapRecord:
        """Raises KeyError, TypeError or ValueError when the fields are not those of `to_manifest`."""
        whole = [int(fields["kept"][name]) for name in ("way", "shot", "query", "episodes")]
        shares = [float(fields["kept"][name]) for name in ("own", "migrated", "lost", "ci95")]
        few, more = (float(reach) for reach in fields["reach"])
        upgrade = cls(
            str(fields["encoder_id"]), int(fields["dim"]), float(fields["ridge"]), float(fields["spread"]), (few, more),
            MigrationAccuracy(*whole, *shares),
        )  # fmt: skip
        if not ENCODER_ID.fullmatch(upgrade.encoder_id) or not 1 <= upgrade.dim <= 65536:
            raise ValueError("an upgrade's encoder_id or dim is out of range")
        above_zero = upgrade.spread, *upgrade.reach
        if not all(value > 0 for value in above_zero) or not all(map(math.isfinite, (*above_zero, upgrade.ridge, *shares))):
            raise ValueError("an upgrade's numbers are out of range")
        return upgrade


def threshold_scales(
    labels: Sequence[str],
    counts: NDArray[np.int64],
    migrated: Mapping[str, Mapping[str, int]],
    upgrades: Sequence[EmbeddingMapRecord],
    shots: tuple[int, int],
) -> NDArray[np.float64]:
    """How many times as far as without migrated shots the limit of each label goes, (N,): 1 where there are none of them.

    An upgrade's reach is interpolated in 1/n for n shots, as limits are, and counts for the share of a label's shots that
    are migrated.

    Args:
        labels, counts: of the head.
        migrated: label → encoder id → shots; see `Snapshot`.
        shots: two numbers of shots that the upgrades' threshold_scales are for.
    """
    found = np.ones(len(labels))
    if not migrated:
        return found
    of_encoders = {upgrade.encoder_id: upgrade.reach for upgrade in upgrades}
    few, more = shots
    for index, (label, count) in enumerate(zip(labels, counts.tolist(), strict=True)):
        for encoder_id, of_it in migrated.get(label, {}).items():
            at_few, at_more = of_encoders.get(encoder_id, (1.0, 1.0))
            nearness = (1 / min(count, more) - 1 / more) / (1 / few - 1 / more)
            found[index] += (at_more + (at_few - at_more) * nearness - 1.0) * of_it / count
    return found


@dataclass(frozen=True)
class AffineMap:
    """x → x · weights + offset.

    Each number is the result of the same additions and multiplications in the same order on every machine (no BLAS, which
    orders them as it likes), so that devices that migrate copies of one store get the same bits.

    Attributes:
        weights: float32 (d, D), from the old encoder's dimension to the new one's.
        offset: float32 (D,).
    """

    weights: Array
    offset: Array

    def embeddings(self, old: Array) -> Array:
        """(n, d) → float32 (n, D).

        Raises:
            ValueError: one is beyond what a store takes.
        """
        mapped = self._mapped(old.astype(np.float64), 1)
        if not np.all(np.abs(mapped) < LIMIT):
            raise ValueError("an embedding is out of range after the map")
        return mapped.astype(np.float32)

    def sums(self, old: Sums, spread: float) -> Sums:
        """Of a set of shots, from that before the map: the map of a sum is the sum of the maps.

        How the shots scatter around their mean is known in all directions together alone, and taken to grow as `spread` of
        the upgrade says.

        Raises:
            ValueError: they are beyond what a store takes.
        """
        mean = self._mapped(old.total[None] / FRACTION, old.count)
        if not np.all(np.abs(mean) < LIMIT * old.count):
            raise ValueError("a sum is out of range after the map")
        total = np.rint(mean * FRACTION).astype(np.int64)
        (length,), (scatter,) = squared_lengths(total), scatters([old.count], old.total[None], [old.squares]).tolist()
        squares = -(-length // old.count) + round(spread * scatter * FRACTION**2)
        if squares >= LARGEST_SQUARES:
            raise ValueError("a sum of squares is out of range after the map")
        return Sums(old.count, total[0], squares)

    def to_bytes(self) -> bytes:
        """float32, little-endian: the rows of the weights one after the other, then the offset."""
        return np.vstack([self.weights, self.offset]).astype("<f4").tobytes()

    @classmethod
    def from_bytes(cls, content: bytes, old_dim: int, dim: int) -> AffineMap:
        """Raises ValueError when it is not a map of these dimensions, or not finite."""
        if len(content) != 4 * (old_dim + 1) * dim:
            raise ValueError(f"it has {len(content):,} bytes, and a map from {old_dim} to {dim} values another number")
        numbers = np.frombuffer(content, "<f4").reshape(old_dim + 1, dim)
        if not np.all(np.isfinite(numbers)):
            raise ValueError("it is not finite")
        return cls(numbers[:-1], numbers[-1])

    def _mapped(self, vectors: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """Vectors (n, d), each the sum of so many shots, to (n, D)."""
        mapped = np.repeat(count * self.offset.astype(np.float64)[None], len(vectors), axis=0)
        for column, row in zip(vectors.T, self.weights.astype(np.float64), strict=True):
            mapped += column[:, None] * row
        return mapped
