"""Export the `gestures` encoder that `train_gestures.py` wrote.

    PYTHONPATH=benchmarks python benchmarks/gestures/export_gestures.py run --output gestures.bundle

The limits of unknown are fitted to random curves that it was not trained on, each drawn by many people.
"""

from __future__ import annotations

from pathlib import Path

import click
import keras
import numpy as np
from motions import random_curve
from numpy.typing import NDArray
from sessions import session
from train_gestures import episode
from two_parts import export_two_parts

from converters import ModelOptions
from edge_meta.datasets.motions.sensors import CHANNELS
from edge_meta.training.motion import MotionFeatures
from edge_meta.types import Array

ABOUT = (
    "Trained on motions that benchmarks/gestures/motions.py makes, of magic-wand strokes (TensorFlow Authors, Apache-2.0) "
    "and of random curves; no phone recorded any. Five of the ten digits were held back: see docs/gestures.md."
)
SESSIONS, CURVES, EACH = 3, 20, 24  # for the limits
EPISODES = 4  # of training, for the ranges of int8
SEED = 11


def calibration_data() -> tuple[Array, NDArray[np.str_]]:
    """Motions of new curves, and their names."""
    generator = np.random.default_rng(SEED)
    motions = [
        session(np.concatenate([random_curve(generator, EACH) for _ in range(CURVES)]), generator, several=True)
        for _ in range(SESSIONS)
    ]
    return np.concatenate(motions), np.repeat([f"curve {number:02}" for number in range(SESSIONS * CURVES)], EACH)


@click.command()
@click.argument("run", metavar="FOLDER")
@click.option("--output", required=True, metavar="BUNDLE")
def main(run: str, output: str) -> None:
    """Write the bundle."""
    network = keras.saving.load_model(Path(run) / "network.keras")
    generator = np.random.default_rng(SEED + 1)
    ranges = np.concatenate([episode(generator) for _ in range(EPISODES)])
    options = ModelOptions(input_kind="array", channels=CHANNELS, about=ABOUT)
    bundle = export_two_parts(MotionFeatures(), network, ranges, calibration_data(), options, Path(output))
    print(f"{output}: {len(bundle.model):,} bytes")


if __name__ == "__main__":
    main()
