"""The manifest's record of an embedding map: its file, and the accuracy that a migrated store keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from edge_meta.store.schema import ENCODER_ID


@dataclass(frozen=True)
class MigrationAccuracy:
    """Accuracy before and after a migration, measured at export on validation classes; fractions.

    Attributes:
        way, shot, query, episodes: the protocol of the measurement.
        own: with prototypes of the new encoder's own embeddings.
        migrated: with prototypes of the old encoder's mapped embeddings; the new encoder embeds the queries both times.
        lost: the mean of own − migrated over the same episodes.
        ci95: the half width of the 95 % interval of `lost`.
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

    def to_manifest(self) -> dict[str, Any]:
        return {
            "way": self.way,
            "shot": self.shot,
            "query": self.query,
            "episodes": self.episodes,
            "own": self.own,
            "migrated": self.migrated,
            "lost": self.lost,
            "ci95": self.ci95,
        }

    @classmethod
    def from_manifest(cls, fields: dict[str, Any]) -> MigrationAccuracy:
        """Read the fields of `to_manifest`.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, of another type, or out of range.
        """
        counts = [int(fields[name]) for name in ("way", "shot", "query", "episodes")]
        shares = [float(fields[name]) for name in ("own", "migrated", "lost", "ci95")]
        if not all(map(math.isfinite, shares)):
            raise ValueError("an embedding map's accuracy is not finite")
        return cls(*counts, *shares)


@dataclass(frozen=True)
class EmbeddingMapRecord:
    """The manifest's entry for an embedding map; the map itself is a file of the bundle.

    Attributes:
        encoder_id, dim: the old encoder's.
        ridge: the strength of the ridge regression that fitted the map.
        spread: the mean squared distance of an example to the mean of its class after the map, over that before it.
        threshold_scale: the factors on the rejection thresholds of labels of migrated shots, for the two numbers of shots
            that the rejection is calibrated for. A mapped shot lies nearer to all others than one of the new encoder, and
            strangers lie nearer to it; the factors hold the false-accept rate at what was asked for.
        accuracy: what a migrated store keeps.
    """

    encoder_id: str
    dim: int
    ridge: float
    spread: float
    threshold_scale: tuple[float, float]
    accuracy: MigrationAccuracy

    @property
    def file(self) -> str:
        return f"upgrade-{self.encoder_id}.f32"

    def to_manifest(self) -> dict[str, Any]:
        return {
            "encoder_id": self.encoder_id,
            "dim": self.dim,
            "ridge": self.ridge,
            "spread": self.spread,
            "reach": list(self.threshold_scale),
            "kept": self.accuracy.to_manifest(),
        }

    @classmethod
    def from_manifest(cls, fields: dict[str, Any]) -> EmbeddingMapRecord:
        """Read the fields of `to_manifest`.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, of another type, or out of range.
        """
        few, more = (float(scale) for scale in fields["reach"])
        record = cls(
            encoder_id=str(fields["encoder_id"]),
            dim=int(fields["dim"]),
            ridge=float(fields["ridge"]),
            spread=float(fields["spread"]),
            threshold_scale=(few, more),
            accuracy=MigrationAccuracy.from_manifest(fields["kept"]),
        )
        if not ENCODER_ID.fullmatch(record.encoder_id) or not 1 <= record.dim <= 65536:
            raise ValueError("an embedding map's encoder_id or dim is out of range")
        if not all(0 < value < math.inf for value in (record.spread, few, more)) or not math.isfinite(record.ridge):
            raise ValueError("an embedding map's numbers are out of range")
        return record
