"""The map from an old encoder's embeddings to a new one's, so that what people have enrolled outlives the old encoder.

No images are kept on devices; but both encoders can be run on the same training images here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from converters.calibration.rejection import calibrate_rejection
from edge_meta.datasets import Dataset, load_dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import ExportError
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.interval import Interval
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.embedding_map import EmbeddingMap
from edge_meta.runtime.embedding_map_record import EmbeddingMapRecord, MigrationAccuracy
from edge_meta.runtime.interpreter import Encoder, open_encoder
from edge_meta.runtime.manifest import Manifest
from edge_meta.types import Array, Integers

SEED = 13
EPISODES = 1000
IMAGES = 20_000  # a map has few numbers: more examples do not change it
# Strengths tried, as multiples of the mean variance of an old embedding's values.
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
TINY = float(np.finfo(np.float32).tiny)


def fit_embedding_maps(
    older: Sequence[Bundle], model: bytes, manifest: Manifest, calibration: str | None, on_note: Callable[[str], None]
) -> dict[EmbeddingMapRecord, EmbeddingMap]:
    """A map from each older encoder, fitted to the training classes, and what it keeps, measured on the validation classes.

    Ridge regression in float64 of the new embeddings on the old ones (Hoerl and Kennard 1970), both of the quantized
    encoders; its strength is that with the smallest squared error on the validation classes.

    Args:
        older: the bundles whose stores are to be migrated.
        model, manifest: the new encoder's.
        calibration: the dataset that has these classes.
        on_note: called with a line about each of them.

    Raises:
        ExportError: there is no data; or an older encoder is the new one, is given twice, or sees other examples.
    """
    if not older:
        return {}
    if calibration is None:
        raise ExportError("A map from an older encoder is fitted to examples.", "Name a dataset with --calibration.")
    ids = [manifest.encoder_id, *(old.manifest.encoder_id for old in older)]
    for index, old in enumerate(older, 1):
        if ids[index] in ids[:index]:
            raise ExportError(
                f"The encoder of {old.path} is {'the new one' if ids[index] == ids[0] else 'named twice'}.",
                "Name each older encoder's bundle once with --upgrade-from.",
            )
    takes, encoder = manifest.input_spec, Encoder(model)
    train, val = (load_dataset(calibration, split, takes) for split in ("train", "val"))
    chosen = np.sort(np.random.default_rng(SEED).permutation(len(train.examples))[:IMAGES])
    after, val_after = (embed_all(encoder, takes, images) for images in (train.examples[chosen], val.examples))
    records = {}
    for old in older:
        on_note(f"fitting a map from the encoder of {old.path} on {len(chosen):,} training images")
        before, val_before = _of_old(old, train, chosen), _of_old(old, val, np.arange(len(val.examples)))
        maps = {ridge: ridge_map(before, after, ridge) for ridge in RIDGES}
        off = {ridge: float(((along.embeddings(val_before) - val_after) ** 2).mean()) for ridge, along in maps.items()}
        ridge = min(off, key=off.__getitem__)
        mapped = maps[ridge].embeddings(val_before)
        spread = _within(mapped, val) / max(_within(val_before, val), TINY)
        record = EmbeddingMapRecord(
            old.manifest.encoder_id,
            old.manifest.dim,
            ridge,
            spread=max(spread, TINY),
            threshold_scale=_threshold_scale(mapped, val_after, val),
            accuracy=_accuracy(mapped, val_after, val),
        )
        records[record] = maps[ridge]
    return records


def ridge_map(before: Array, after: Array, ridge: float) -> EmbeddingMap:
    """The affine map of (n, d) to (n, D) with the least Σ‖y − Wᵀx − b‖² + ridge · n · s · ‖W‖², s the mean variance of x."""
    x, y = before.astype(np.float64), after.astype(np.float64)
    of_x, of_y = x.mean(axis=0), y.mean(axis=0)
    scatter = (x - of_x).T @ (x - of_x)
    strength = ridge * max(float(np.trace(scatter)) / len(scatter), TINY)
    weights = np.linalg.solve(scatter + strength * np.eye(len(scatter)), (x - of_x).T @ (y - of_y))
    return EmbeddingMap(weights.astype(np.float32), (of_y - of_x @ weights).astype(np.float32))


def _of_old(old: Bundle, data: Dataset, chosen: Integers) -> Array:
    """The old encoder's embeddings of some of the data's examples, which it reads at its own size."""
    input_spec = old.manifest.input_spec
    seen = load_dataset(data.name, data.split, input_spec)
    if seen.class_names != data.class_names or not np.array_equal(seen.labels, data.labels):
        raise ExportError(
            f"{data.name} has other examples at the size that {old.path} takes than at this encoder's.",
            "Name another dataset with --calibration.",
        )
    return embed_all(open_encoder(old), input_spec, seen.examples[chosen])


def _within(embeddings: Array, data: Dataset) -> float:
    """Mean squared distance of examples to the mean of their class."""
    counts = np.bincount(data.labels)
    means = np.add.reduceat(embeddings.astype(np.float64), np.cumsum(counts) - counts) / counts[:, None]
    return float(((embeddings - means[data.labels]) ** 2).sum() / max(1, (counts - 1).sum()))


def _threshold_scale(mapped: Array, own: Array, data: Dataset) -> tuple[float, float]:
    """How many times as far strangers are from mapped prototypes as from the new encoder's, for few shots and for more."""
    usual, migrated = calibrate_rejection(own, data), calibrate_rejection(own, data, enrolled=mapped)
    if usual is None or migrated is None:
        return 1.0, 1.0
    few, more = np.exp(np.log(np.array(migrated.far) / np.array(usual.far)).mean(axis=(1, 2)))
    return round(float(few), 4), round(float(more), 4)


def _accuracy(mapped: Array, own: Array, data: Dataset) -> MigrationAccuracy:
    way, shot, query = data.protocol(shot=5)
    sampler = EpisodeSampler(data, way, shot, query, SEED)
    of_own, of_mapped = accuracies(own, sampler, EPISODES), accuracies(own, sampler, EPISODES, support=mapped)
    lost = Interval.of(of_own - of_mapped)
    shares = (of_own.mean(), of_mapped.mean(), lost.mean, lost.ci95)
    return MigrationAccuracy(way, shot, query, EPISODES, *(round(float(share), 5) for share in shares))
