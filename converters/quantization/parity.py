"""Compare the accuracy of the quantized and the float encoder on the same episodes of validation classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import ExportError
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.interval import Interval

EPISODES = 1000
RANDOM_SEED = 11


def parity(float_embeddings: NDArray[np.float32], embeddings: NDArray[np.float32], data: Dataset) -> dict[str, Any]:
    """Compare embeddings (n, D) of the same images.

    Returns:
        `cosine`: percentiles of the cosine between the two embeddings of an image. `episodes`: for 1 and 5 shots, both
        accuracies, and the drop (float − quantized) with the 95 % interval of the paired difference; all as fractions.
    """
    norms = np.linalg.norm(float_embeddings, axis=1) * np.linalg.norm(embeddings, axis=1)
    cosine = np.einsum("nd,nd->n", float_embeddings, embeddings) / np.maximum(norms, np.finfo(np.float32).tiny)
    return {
        "dataset": data.name,
        "split": data.split,
        "cosine": {f"p{percent}": round(float(np.percentile(cosine, percent)), 6) for percent in (0, 1, 10, 50)},
        "episodes": [_episodes(float_embeddings, embeddings, data, shot) for shot in (1, 5)],
    }


def _episodes(
    float_embeddings: NDArray[np.float32], embeddings: NDArray[np.float32], data: Dataset, shot: int
) -> dict[str, Any]:
    way, shot, query = data.protocol(shot)
    sampler = EpisodeSampler(data, way, shot, query, RANDOM_SEED)
    exact = accuracies(float_embeddings, sampler, EPISODES)
    quantized = accuracies(embeddings, sampler, EPISODES)
    result: dict[str, Any] = {"way": way, "shot": shot, "query": query, "episodes": EPISODES}
    for name, values in (("float32", exact), ("quantized", quantized), ("drop", exact - quantized)):
        interval = Interval.of(values)
        result[name] = {"mean": round(interval.mean, 5), "ci95": round(interval.ci95, 5)}
    return result


def require_parity(report: Mapping[str, Any], quantize: str, max_drop: float) -> None:
    """Raises ExportError if the format costs more than `max_drop` percentage points in the mean of either row."""
    entry = max(report["episodes"], key=lambda entry: entry["drop"]["mean"])
    drop = entry["drop"]
    # The report rounds the mean to a thousandth of a point; judge it by that.
    if round(100.0 * drop["mean"], 3) <= max_drop:
        return
    cause = (
        f"{quantize} costs {100 * drop['mean']:.2f} ± {100 * drop['ci95']:.2f} points of accuracy at {entry['way']}-way "
        f"{entry['shot']}-shot, more than --max-drop {max_drop:g} allows"
    )
    if report["layers"]:
        worst = report["layers"][0]
        cause += f"; most noise arises at {worst['layer']} ({worst['own_db']:.1f} dB)"
    others = "float16 or float32" if quantize != "float16" else "float32"
    remedy = f"Use --quantize {others}, or allow more with --max-drop."
    if quantize == "int8":
        remedy = f"Fine-tune for int8 with --quantize-aware 300, use --quantize {others}, or allow more with --max-drop."
    raise ExportError(cause + ".", remedy)
