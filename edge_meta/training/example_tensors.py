"""Examples as tensors: their values as the encoder takes them, and the distortion that belongs to their kind."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from edge_meta.inputs import AudioInput, ImageInput, InputSpec
from edge_meta.inputs.audio_files import FULL_SCALE
from edge_meta.training.augment import distort
from edge_meta.training.photo_augment import distort_photos
from edge_meta.training.recording_augment import distort_recordings
from edge_meta.training.series_augment import distort_series


def normalized(input_spec: InputSpec, examples: tf.Tensor) -> tf.Tensor:
    """Normalize examples (..., *shape), float32, as `InputSpec.normalize` does those that `read` gives."""
    if isinstance(input_spec, ImageInput):
        return (examples - input_spec.mean) * input_spec.scale
    return examples / FULL_SCALE if isinstance(input_spec, AudioInput) else examples


def distortion_of(input_spec: InputSpec) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The function that distorts each example of a batch by itself, from examples (batch, *shape) and a seed (2,)."""
    if isinstance(input_spec, ImageInput):
        return distort_photos if input_spec.channels == 3 else distort
    return distort_recordings if isinstance(input_spec, AudioInput) else distort_series
