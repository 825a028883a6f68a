"""Scale the rejection thresholds of labels that have migrated shots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edge_meta.runtime.embedding_map_record import EmbeddingMapRecord
from edge_meta.types import Array64, Integers


def threshold_scales(
    labels: Sequence[str],
    counts: Integers,
    migrated: Mapping[str, Mapping[str, int]],
    records: Sequence[EmbeddingMapRecord],
    shots: tuple[int, int],
) -> Array64:
    """The factor on each label's threshold, (N,): 1 for a label without migrated shots.

    The factor of an embedding map is interpolated in 1/n for n shots, as thresholds are, and weighted by the share of the
    label's shots that came along the map.

    Args:
        labels: of the head, N.
        counts: (N,), shots of each label.
        migrated: label → encoder id → shots; see `Snapshot`.
        records: of the bundle's embedding maps.
        shots: the two numbers of shots that `EmbeddingMapRecord.threshold_scale` is for, ascending.
    """
    scales = np.ones(len(labels))
    if not migrated:
        return scales
    by_encoder = {record.encoder_id: record.threshold_scale for record in records}
    few, more = shots
    for index, (label, count) in enumerate(zip(labels, counts.tolist(), strict=True)):
        for encoder_id, from_encoder in migrated.get(label, {}).items():
            at_few, at_more = by_encoder.get(encoder_id, (1.0, 1.0))
            share = (1 / min(count, more) - 1 / more) / (1 / few - 1 / more)
            scales[index] += (at_more + (at_few - at_more) * share - 1.0) * from_encoder / count
    return scales
