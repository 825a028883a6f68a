"""Normalize the embeddings of an encoder that was not trained for squared distances, by operators in its file.

Embeddings of other makers' models lie off the origin and differ in length for reasons that have little to do with classes.
Centring them and bringing them to unit length often helps (Wang et al. 2019, SimpleShot, "CL2N"). A scale makes the softmax
over squared distances as certain as the data warrant (temperature scaling, Guo et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from converters.tflite.edit_graph import Graph
from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.episode_heads import prototype_head
from edge_meta.runtime.output_normalization import OutputNormalization
from edge_meta.types import Array

RANDOM_SEED = 7
EPISODES = 200
# Tried as multiples of 1 / mean ‖f(x)‖².
SQUARED_SCALES = tuple(2.0**power for power in range(-2, 11))


@dataclass(frozen=True)
class EmbeddingNormalization:
    """Bring (x − mean) to unit length if there is a mean, then multiply by `scale`.

    Attributes:
        mean: (D,).
    """

    mean: Array | None
    scale: float

    def apply(self, embeddings: Array) -> Array:
        """Normalize embeddings (n, D)."""
        if self.mean is not None:
            embeddings = embeddings - self.mean
            embeddings = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-6)
        normalized: Array = (np.float32(self.scale) * embeddings).astype(np.float32)
        return normalized

    def outside_of_file(self) -> OutputNormalization:
        """The same for the manifest, for a file whose output is in integers."""
        centre = None if self.mean is None else tuple(float(str(value)) for value in self.mean.astype(np.float32))
        return OutputNormalization(self.scale, centre)

    def add_to(self, model: bytes, input_name: str) -> bytes:
        """Put the operators that normalize behind the output of a file, which is one vector.

        Args:
            input_name: of the file's signature.
        """
        graph = Graph(model, "encoder.tflite")
        shape = graph.shape(graph.outputs[0])
        if self.mean is not None:
            graph.append("SUB", "float32", shape, self.mean)
            graph.append("L2_NORMALIZATION", "float32", shape)
        graph.append("MUL", "float32", shape, np.array([self.scale], np.float32))
        return graph.save(input_name)


def best_normalization(embeddings: Array, data: Dataset) -> EmbeddingNormalization:
    """Choose centring and unit length if they classify 1-shot episodes of the data better, and the most likely scale.

    Args:
        embeddings: (n, D) of the data's examples.
    """
    way, shot, query = data.protocol(shot=1)
    sampler = EpisodeSampler(data, way, shot, query, RANDOM_SEED)
    candidates = (EmbeddingNormalization(None, 1.0), EmbeddingNormalization(embeddings.mean(axis=0), 1.0))
    best = max(candidates, key=lambda each: accuracies(each.apply(embeddings), sampler, EPISODES).mean())
    return EmbeddingNormalization(best.mean, best_scale(best.apply(embeddings), data))


def best_scale(embeddings: Array, data: Dataset) -> float:
    """Choose the factor that makes 5-shot episodes of the data most likely.

    Args:
        embeddings: (n, D) of the data's examples.
    """
    way, shot, query = data.protocol(shot=5)
    sampler = EpisodeSampler(data, way, shot, query, RANDOM_SEED)
    heads = [prototype_head(embeddings[task.support], embeddings[task.query]) for task in sampler.episodes(EPISODES)]
    logits = np.stack(heads)
    truth = np.repeat(np.arange(way), query)

    def likelihood(squared_scale: float) -> float:
        scaled = squared_scale * logits.astype(np.float64)
        scaled -= scaled.max(axis=-1, keepdims=True)
        chosen = scaled[:, np.arange(len(truth)), truth]
        return float((chosen - np.log(np.exp(scaled).sum(axis=-1))).mean())

    unit = 1.0 / float(np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64).mean())
    squared_scale = max((multiple * unit for multiple in SQUARED_SCALES), key=likelihood)
    return float(f"{squared_scale**0.5:.3g}")
