"""Teachers: trained networks whose embeddings another encoder learns to give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from edge_meta.errors import TrainingError
from edge_meta.inputs import ImageInput
from edge_meta.training.efficientnet_lite import load_port, port_input
from edge_meta.training.run import RunFolder


@dataclass(frozen=True)
class Teacher:
    """A frozen network.

    Attributes:
        network: a Keras model from float32 (batch, height, width, channels) to embeddings (batch, dim).
        input_spec: the size and the normalization of its images.
    """

    network: keras.Model
    input_spec: ImageInput

    def embed(self, pixels: tf.Tensor) -> tf.Tensor:
        """Embeddings (batch, dim) of float32 pixels (batch, height, width, channels) from 0 to 255, of any size."""
        spec = self.input_spec
        resized = tf.image.resize(pixels, (spec.height, spec.width))
        return self.network((resized - spec.mean) * spec.scale, training=False)


def load_teacher(path: str | Path, image_size: int) -> Teacher:
    """Load a teacher: the folder of a run, or the `.pth` of an EfficientNet-Lite.

    Args:
        image_size: height and width of the images that an EfficientNet-Lite sees; a run has its own.

    Raises:
        TrainingError: it cannot be read, or is neither.
    """
    if Path(path).suffix == ".pth":
        return Teacher(load_port(path, image_size), port_input(image_size))
    run = RunFolder(path)
    facts = run.facts()
    return Teacher(run.load_encoder(), ImageInput.from_manifest(facts["made"]["input"]))


def require_colours(teachers: Sequence[Teacher], input_spec: ImageInput) -> None:
    """Raises TrainingError unless all teachers see images of the encoder's channels."""
    for teacher in teachers:
        if teacher.input_spec.channels != input_spec.channels:
            raise TrainingError(
                f"A teacher sees {teacher.input_spec}s, the encoder {input_spec}s.",
                "Train with --rgb, or without it, to match.",
            )
