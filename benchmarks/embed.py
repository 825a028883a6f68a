"""Time a bundle's encoder against a plain int8 Conv4-64 of 28×28 images, in turn in one process, on one thread.

    python benchmarks/embed.py [BUNDLE] [--json]

Print the median µs of both, their ratio, and the bytes of both files. Both are timed as the device runs them: set_tensor,
invoke, get_tensor. The Conv4-64 has random weights, since its speed does not depend on them; it is converted with heads of
the default sizes.
"""

from __future__ import annotations

import json
import os
from functools import partial

import click

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from converters.quantization.convert import convert
from edge_meta.benchmarking.timing import median_seconds
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder
from edge_meta.training.encoder_copies import for_device
from edge_meta.training.encoders import conv4

RUNS, WARMUP = 2000, 3
MAX_CLASSES, MAX_SHOTS = 64, 256


@click.command()
@click.argument("bundle", default="omniglot")
@click.option("--json", "as_json", is_flag=True)
def main(bundle: str, as_json: bool) -> None:
    """Time BUNDLE's encoder and a Conv4-64, and print medians and their ratio."""
    opened = Bundle.open(bundle)
    rng = np.random.default_rng(0)
    plain = convert(for_device(conv4()), "int8", rng.random((10, 28, 28, 1), np.float32), MAX_CLASSES, MAX_SHOTS)
    encoders = {"bundle": Encoder(opened.model), "conv4": Encoder(plain)}
    works = {name: partial(each.embed, rng.random(each.input_shape, np.float32)) for name, each in encoders.items()}
    # Before each call that counts come others, since the other encoder has just filled the caches.
    medians = median_seconds(works, RUNS, uncounted=WARMUP)
    result = {
        "bundle_us": round(1e6 * medians["bundle"], 1),
        "conv4_us": round(1e6 * medians["conv4"], 1),
        "ratio": round(medians["bundle"] / medians["conv4"], 2),
        "bundle_bytes": len(opened.model),
        "conv4_bytes": len(plain),
    }
    click.echo(json.dumps(result) if as_json else "\n".join(f"{name:<14}{value:>12,}" for name, value in result.items()))


if __name__ == "__main__":
    main()
