"""How long a bundle's encoder takes against a plain int8 Conv4-64, in turn in one process, on one thread.

    python benchmarks/embed.py [BUNDLE] [--json]

Both are timed as the device runs them: set_tensor, invoke, get_tensor. The Conv4-64 has random weights, on which its speed
does not depend, and is converted with the same heads.
"""

from __future__ import annotations

import json
import os
import statistics
import time

import click

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from converters.litert import convert
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder
from edge_meta.training.encoders import conv4, for_device

ROUNDS, WARM_UP = 2000, 3
MAX_CLASSES, MAX_SHOTS = 64, 256


@click.command()
@click.argument("bundle", default="omniglot")
@click.option("--json", "as_json", is_flag=True)
def main(bundle: str, as_json: bool) -> None:
    """Time BUNDLE's encoder and a Conv4-64, and print medians and their ratio."""
    opened = Bundle.open(bundle)
    image = np.random.default_rng(0).random((1, *opened.manifest.image_input.shape), np.float32)
    plain = convert(for_device(conv4(image.shape[1:])), "int8", np.repeat(image, 10, axis=0), MAX_CLASSES, MAX_SHOTS)
    encoders = {"bundle": Encoder(opened.model), "conv4": Encoder(plain)}
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(ROUNDS):
        for name, encoder in encoders.items():
            # The other encoder has just been in the caches.
            for _ in range(WARM_UP):
                encoder.embed(image)
            start = time.perf_counter()
            encoder.embed(image)
            times[name].append(time.perf_counter() - start)
    medians = {name: 1e6 * statistics.median(each) for name, each in times.items()}
    result = {
        "bundle_us": round(medians["bundle"], 1),
        "conv4_us": round(medians["conv4"], 1),
        "ratio": round(medians["bundle"] / medians["conv4"], 2),
        "bundle_bytes": len(opened.model),
        "conv4_bytes": len(plain),
    }
    click.echo(json.dumps(result) if as_json else "\n".join(f"{name:<14}{value:>12,}" for name, value in result.items()))


if __name__ == "__main__":
    main()
