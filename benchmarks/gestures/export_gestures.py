"""Export the `gestures` encoder that `train_gestures.py` wrote.

    PYTHONPATH=benchmarks python benchmarks/gestures/export_gestures.py run --output gestures.bundle

The embedding keeps its first 20 principal components, so that the file stays below 40 kB. The limits of unknown are fitted
to random curves that it was not trained on, each drawn by several people.
"""

from __future__ import annotations

from pathlib import Path

import click
import keras
import numpy as np
from motions import CHANNELS, Person, bent, digits, random_curve, through
from numpy.typing import NDArray
from train_gestures import HELD_BACK, drawn_paths
from two_parts import export_two_parts

from converters import ModelOptions
from edge_meta.training.motion import MotionFeatures, tcn
from edge_meta.types import Array

ABOUT = (
    "Trained on motions that benchmarks/gestures/motions.py makes, of magic-wand strokes (TensorFlow Authors, Apache-2.0) "
    "and of random curves; no phone recorded any. Five of the ten digits were held back: see docs/gestures.md."
)
CLASSES, EACH, RANGES = 60, 24, 300
DIM = 20  # of the embedding
SEED = 2


def calibration_data() -> tuple[Array, NDArray[np.str_]]:
    """Motions of new curves, all drawn by people who hold the phone alike, and their names."""
    generator = np.random.default_rng(SEED)
    like, motions, names = Person.draw(generator), [], []
    for number in range(CLASSES):
        points, sharp = random_curve(generator), generator.random() < 0.4
        for _ in range(EACH):
            person = Person.draw(generator)
            person.held = like.held
            motions.append(person.moves(bent(through(points, sharp, generator), generator), generator))
            names.append(f"curve {number:02}")
    return np.stack(motions), np.array(names)


def training_motions() -> Array:
    """Motions of the digits that it was trained on, for the ranges of int8."""
    generator = np.random.default_rng(SEED + 1)
    strokes = [paths for digit, paths in digits().items() if digit not in HELD_BACK]
    return np.stack([Person.draw(generator).moves(drawn_paths(strokes[number % len(strokes)], 1, generator)[0], generator)
                     for number in range(RANGES)])  # fmt: skip


def with_components(network: keras.Model, motions: Array) -> keras.Model:
    """The network with an embedding of DIM principal components of the motions' embeddings, before their unit length."""
    last = network.get_layer("projection")
    values = keras.Model(network.input, last.output)(MotionFeatures()(motions)).numpy().astype(np.float64)
    components = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)[2][:DIM].T
    smaller = tcn(dim=DIM)
    for layer in network.layers:
        if layer is not last:
            smaller.get_layer(layer.name).set_weights(layer.get_weights())
    kernel, bias = (weights.astype(np.float64) @ components for weights in last.get_weights())
    smaller.get_layer("projection").set_weights([kernel, bias])
    return smaller


@click.command()
@click.argument("run", metavar="FOLDER")
@click.option("--output", required=True, metavar="BUNDLE")
def main(run: str, output: str) -> None:
    """Write the bundle."""
    network = keras.saving.load_model(Path(run) / "network.keras")
    ranges = training_motions()
    network = with_components(network, ranges)
    options = ModelOptions(input_kind="array", channels=CHANNELS, about=ABOUT)
    bundle = export_two_parts(MotionFeatures(), network, ranges, calibration_data(), options, Path(output))
    print(f"{output}: {len(bundle.model):,} bytes")


if __name__ == "__main__":
    main()
