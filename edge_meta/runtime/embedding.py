"""Embed a dataset as a device does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.inputs import InputSpec
from edge_meta.runtime.interpreter import Encoder
from edge_meta.types import Array


def embed_all(
    encoder: Encoder,
    input_spec: InputSpec,
    examples: NDArray[Any],
    on_progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Embed examples one at a time.

    Args:
        examples: (n, ...), as `InputSpec.read` gives them.
        on_progress: called now and then with the number of examples embedded, and of all.

    Returns:
        Embeddings (n, D).
    """
    embeddings = np.empty((len(examples), encoder.dim), np.float32)
    for index, example in enumerate(examples):
        embeddings[index] = encoder.embed(input_spec.normalize(example)[None])
        if on_progress and ((index + 1) % 100 == 0 or index + 1 == len(examples)):
            on_progress(index + 1, len(examples))
    return embeddings
