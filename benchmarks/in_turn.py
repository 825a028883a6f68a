"""Latencies of several encoders, in turn in one process, so that a change of the machine's speed meets all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import numpy as np

from edge_meta.runtime.interpreter import Encoder

WARM_UP = 3


def embed_medians(encoders: Mapping[str, Encoder], rounds: int) -> dict[str, float]:
    """Median microseconds of embedding one random image: set_tensor, invoke, get_tensor."""
    rng = np.random.default_rng(0)
    images = {name: rng.random(encoder.input_shape, np.float32) for name, encoder in encoders.items()}
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(rounds):
        for name, encoder in encoders.items():
            # Another encoder has just been in the caches.
            for _ in range(WARM_UP):
                encoder.embed(images[name])
            start = time.perf_counter()
            encoder.embed(images[name])
            times[name].append(time.perf_counter() - start)
    return {name: 1e6 * statistics.median(each) for name, each in times.items()}
