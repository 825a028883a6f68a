"""Fit maps from older encoders' embeddings to a new encoder's, so that enrolled classes outlive the encoder.

Devices keep no images, but both encoders can be run on the same training images here.
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
from edge_meta.heads.prototypes import within_class_variance
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.embedding_map import EmbeddingMap
from edge_meta.runtime.embedding_map_record import EmbeddingMapRecord, MigrationAccuracy
from edge_meta.runtime.interpreter import Encoder, open_encoder
from edge_meta.runtime.manifest import Manifest
from edge_meta.types import Array, Integers

RANDOM_SEED = 13
EPISODES = 1000
IMAGES = 20_000  # a map has few numbers: more examples do not change it
# Strengths tried, as multiples of the mean variance of an old embedding's values.
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
TINY = float(np.finfo(np.float32).tiny)


def fit_embedding_maps(
    older: Sequence[Bundle], model: bytes, manifest: Manifest, calibration: str | None, on_note: Callable[[str], None]
) -> dict[EmbeddingMapRecord, EmbeddingMap]:
    """Fit a map from each older encoder on training classes, and measure the accuracy that it keeps on validation classes.

    The map is a ridge regression in float64 of the new embeddings on the old ones (Hoerl and Kennard 1970), both by the
    quantized encoders, with the strength that has the smallest squared error on the validation classes.

    Args:
        older: the bundles whose stores will be migrated.
        model, manifest: encoder.tflite and the manifest of the new encoder.
        calibration: the dataset that has these classes.
        on_note: called with a line about each of them.

    Raises:
        ExportError: there is no data; or an older encoder is the new one, is given twice, or reads other examples.
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
    input_spec, encoder = manifest.input_spec, Encoder(model, normalization=manifest.normalization)
    train, val = (load_dataset(calibration, split, input_spec) for split in ("train", "val"))
    chosen = np.sort(np.random.default_rng(RANDOM_SEED).permutation(len(train.examples))[:IMAGES])
    after, val_after = (embed_all(encoder, input_spec, images) for images in (train.examples[chosen], val.examples))
    maps = {}
    for old in older:
        on_note(f"fitting a map from the encoder of {old.path} on {len(chosen):,} training images")
        before, val_before = _old_embeddings(old, train, chosen), _old_embeddings(old, val, np.arange(len(val.examples)))
        candidates = {ridge: fit_embedding_map(before, after, ridge) for ridge in RIDGES}
        errors = {
            ridge: float(((each.embeddings(val_before) - val_after) ** 2).mean()) for ridge, each in candidates.items()
        }
        ridge = min(errors, key=errors.__getitem__)
        mapped = candidates[ridge].embeddings(val_before)
        spread = within_class_variance(mapped, val.labels) / max(within_class_variance(val_before, val.labels), TINY)
        record = EmbeddingMapRecord(
            old.manifest.encoder_id,
            old.manifest.dim,
            ridge,
            spread=max(spread, TINY),
            threshold_scale=_distance_ratios(mapped, val_after, val),
            accuracy=_migration_accuracy(mapped, val_after, val),
        )
        maps[record] = candidates[ridge]
    return maps


def fit_embedding_map(before: Array, after: Array, ridge: float) -> EmbeddingMap:
    """Fit the affine map of x (n, d) to y (n, D) with the least Σ‖y − Wᵀx − b‖² + ridge · n · s · ‖W‖².

    s is the mean variance of x.
    """
    x, y = before.astype(np.float64), after.astype(np.float64)
    of_x, of_y = x.mean(axis=0), y.mean(axis=0)
    scatter = (x - of_x).T @ (x - of_x)
    strength = ridge * max(float(np.trace(scatter)) / len(scatter), TINY)
    weights = np.linalg.solve(scatter + strength * np.eye(len(scatter)), (x - of_x).T @ (y - of_y))
    return EmbeddingMap(weights.astype(np.float32), (of_y - of_x @ weights).astype(np.float32))


def require_same_examples(data: Dataset, same: Dataset) -> None:
    """Raises ExportError when a dataset, read at the sizes of two encoders, does not have the same examples in both."""
    if same.class_names != data.class_names or not np.array_equal(same.labels, data.labels):
        raise ExportError(
            f"{data.name} has other examples at the size that the older encoder takes than at this encoder's.",
            "Name another dataset with --calibration.",
        )


def _old_embeddings(old: Bundle, data: Dataset, chosen: Integers) -> Array:
    """Embed some of the data's examples with the old encoder, which reads them at its own size."""
    input_spec = old.manifest.input_spec
    same = load_dataset(data.name, data.split, input_spec)
    require_same_examples(data, same)
    return embed_all(open_encoder(old), input_spec, same.examples[chosen])


def _distance_ratios(mapped: Array, own: Array, data: Dataset) -> tuple[float, float]:
    """The distance of strangers to mapped prototypes over that to the new encoder's own, for few shots and for more."""
    usual, migrated = calibrate_rejection(own, data), calibrate_rejection(own, data, enrolled=mapped)
    if usual is None or migrated is None:
        return 1.0, 1.0
    few, more = np.exp(np.log(np.array(migrated.thresholds) / np.array(usual.thresholds)).mean(axis=(1, 2)))
    return round(float(few), 4), round(float(more), 4)


def _migration_accuracy(mapped: Array, own: Array, data: Dataset) -> MigrationAccuracy:
    """Accuracy on 5-shot episodes with mapped support against the new encoder's own support."""
    way, shot, query = data.protocol(shot=5)
    sampler = EpisodeSampler(data, way, shot, query, RANDOM_SEED)
    of_own, of_mapped = accuracies(own, sampler, EPISODES), accuracies(own, sampler, EPISODES, support=mapped)
    lost = Interval.of(of_own - of_mapped)
    shares = (of_own.mean(), of_mapped.mean(), lost.mean, lost.ci95)
    return MigrationAccuracy(way, shot, query, EPISODES, *(round(float(share), 5) for share in shares))
