"""How long a bundle's encoder takes against a plain int8 Conv4-64 of 28×28 images, in turn in one process, on one thread.

    python benchmarks/embed.py [BUNDLE] [--json]

Both are timed as the device runs them: set_tensor, invoke, get_tensor. The Conv4-64 has random weights, on which its speed
does not depend, and is converted with the same heads.
"""

from __future__ import annotations

import json
import os

import click

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from in_turn import embed_medians

from converters.quantization.convert import convert
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder
from edge_meta.training.encoder_copies import for_device
from edge_meta.training.encoders import conv4

ROUNDS = 2000
MAX_CLASSES, MAX_SHOTS = 64, 256


@click.command()
@click.argument("bundle", default="omniglot")
@click.option("--json", "as_json", is_flag=True)
def main(bundle: str, as_json: bool) -> None:
    """Time BUNDLE's encoder and a Conv4-64, and print medians and their ratio."""
    opened = Bundle.open(bundle)
    images = np.random.default_rng(0).random((10, 28, 28, 1), np.float32)
    plain = convert(for_device(conv4()), "int8", images, MAX_CLASSES, MAX_SHOTS)
    medians = embed_medians({"bundle": Encoder(opened.model), "conv4": Encoder(plain)}, ROUNDS)
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
