"""The metric of an encoder that was not trained for squared distances: centring, unit length and a scale, in its file.

Embeddings of other people's models lie off the origin and differ in length for reasons that have little to do with classes.
Centring them and bringing them to unit length often helps (Wang et al. 2019, SimpleShot, "CL2N"), and a scale makes the
softmax over squared distances as sure as it may be (temperature scaling, Guo et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from converters.calibration.settings import SEED
from converters.tflite.edit_graph import Graph
from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies, prototype_head
from edge_meta.types import Array

EPISODES = 200
# Tried as multiples of 1 / mean ‖f(x)‖².
SQUARED_SCALES = tuple(2.0**power for power in range(-2, 11))


@dataclass(frozen=True)
class Metric:
    """What is done to embeddings: (x − mean) to unit length if there is a mean, then times `scale`."""

    mean: Array | None
    scale: float

    def apply(self, embeddings: Array) -> Array:
        """Embeddings (n, D) as the file with this metric gives them."""
        if self.mean is not None:
            embeddings = embeddings - self.mean
            embeddings = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-6)
        return (np.float32(self.scale) * embeddings).astype(np.float32)

    def put_into(self, model: bytes, takes: str) -> bytes:
        """A file with one vector as its output, with the metric's operators behind it; `takes` is its input's name."""
        graph = Graph(model, "encoder.tflite")
        shape = graph.shape(graph.outputs[0])
        if self.mean is not None:
            graph.append("SUB", "float32", shape, self.mean)
            graph.append("L2_NORMALIZATION", "float32", shape)
        graph.append("MUL", "float32", shape, np.array([self.scale], np.float32))
        return graph.save(takes)


def best_normalization(embeddings: Array, data: Dataset) -> Metric:
    """Centring and unit length if 1-shot episodes of the data are classified better so, and the most likely scale."""
    way, shot, query = data.protocol(shot=1)
    sampler = EpisodeSampler(data, way, shot, query, SEED)
    candidates = (Metric(None, 1.0), Metric(embeddings.mean(axis=0), 1.0))
    best = max(candidates, key=lambda metric: accuracies(metric.apply(embeddings), sampler, EPISODES).mean())
    way, shot, query = data.protocol(shot=5)
    plain = best.apply(embeddings)
    sampler = EpisodeSampler(data, way, shot, query, SEED)
    logits = np.stack([prototype_head(plain[task.support], plain[task.query]) for task in sampler.episodes(EPISODES)])
    truth = np.repeat(np.arange(way), query)

    def likelihood(squared_scale: float) -> float:
        scaled = squared_scale * logits.astype(np.float64)
        scaled -= scaled.max(axis=-1, keepdims=True)
        chosen = scaled[:, np.arange(len(truth)), truth]
        return float((chosen - np.log(np.exp(scaled).sum(axis=-1))).mean())

    unit = 1.0 / float(np.einsum("nd,nd->n", plain, plain, dtype=np.float64).mean())
    squared_scale = max((multiple * unit for multiple in SQUARED_SCALES), key=likelihood)
    return Metric(best.mean, float(f"{squared_scale**0.5:.3g}"))
