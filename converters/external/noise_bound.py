"""Bound how far a finished file's embeddings may be from the source's; see `agreement` for the measure.

Two questions, each with its own bound. Did the converter write the network that it was given? The network in float32 differs
from its source by the order of sums alone: 1e-7 for each, and up to 1e-4 in embeddings of what tells them apart. A hundred
times as much is allowed. Are the other format's values right? Its rounding is tried out on the float32 file
(`explained_noise`), and a few times what that gives is allowed: the rounding of one file is one draw of many, and ranges are
cut where calibration saw less. Above MOST_NOISE half of the power in the differences between examples is noise, however well
explained.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.external.agreement import require_agreement
from converters.external.embedding_part import model_inputs
from converters.external.source_model import TfliteModel
from converters.quantization.explained_noise import explained_noise
from converters.tflite.edit_graph import Graph
from edge_meta.types import Array

FLOAT32_NOISE = 0.01  # largest seen: 7e-5 (docs/models-of-packages.md)
MARGIN = 3.0  # of what rounding explains; largest seen: 2.0, mostly below 1
MOST_NOISE = 0.7
EXAMPLES = 16


def bound_of_same_weights(content: bytes, source: Array, name: str) -> float:
    """The largest noise of a file that keeps its source's weights and quantization: that of rounding its output once more.

    The average over a map of integers is rounded to steps of its own; all else is computed as in the source.

    Args:
        content: the fitted file, in float32 at its ends.
        source: the source's embeddings (n, D).
    """
    graph = Graph(content, name)
    behind = [step for step in graph.steps() if graph.outputs[0] in step.outputs and step.name == "DEQUANTIZE"]
    quantization = graph.quantization(behind[0].inputs[0]) if behind else None
    if quantization is None:
        return FLOAT32_NOISE
    spread = np.sqrt(source.astype(np.float64).var(axis=0).mean())
    rounding = quantization[0] / np.sqrt(12) / max(spread, np.finfo(np.float64).tiny)
    return min(MOST_NOISE, max(FLOAT32_NOISE, MARGIN * float(rounding)))


def noise_bound(exact: bytes, content: bytes, values: NDArray[Any], source: Array, name: str, noun: str) -> float:
    """The largest noise that a format explains.

    Args:
        exact: the source converted to float32.
        content: the source converted to the format.
        values: of the source's input (n, *shape).
        source: the source's embeddings of these (n, D).
        name, noun: see `require_agreement`.

    Raises:
        ExportError: in float32 already the converted file does not compute what its source does.
    """
    graph = Graph(exact, name)
    few = slice(None, None, max(1, len(values) // EXAMPLES))
    found = TfliteModel(exact, model_inputs(graph, name), graph.outputs).embed(values[few])
    require_agreement(source[few], found, FLOAT32_NOISE, name, noun)
    explained = explained_noise(exact, content, values[few])
    return MOST_NOISE if explained is None else min(MOST_NOISE, max(FLOAT32_NOISE, MARGIN * explained))
