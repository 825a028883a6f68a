"""Any Keras model of images as an encoder: check it, and say what is wrong with one that cannot be."""

from __future__ import annotations

import re
from typing import Any

import keras

from edge_meta.errors import TrainingError
from edge_meta.inputs import ImageInput, InputSpec


def as_encoder(model: Any, input_spec: InputSpec | None) -> keras.Model:
    """Return a model with a fixed input and output shape: itself, or a functional model around a subclassed one.

    Args:
        model: functional, sequential or subclassed, or one of keras.applications; from images (batch, height, width,
            channels) to embeddings (batch, dim).
        input_spec: of its images; a subclassed model that was never called needs it.

    Raises:
        TrainingError: it is no Keras model, its input is not of one size and 1 or 3 channels, or its output is not one
            vector for each image.
    """
    if not isinstance(model, keras.Model):
        raise TrainingError(
            f"The encoder is of {type(model).__name__}, not of keras.Model.",
            "Give a functional, sequential or subclassed Keras model.",
        )
    encoder = model if isinstance(getattr(model, "input", None), keras.KerasTensor) else _called(model, input_spec)
    _require_input(encoder, input_spec)
    shape = encoder.output_shape
    if not isinstance(shape, tuple) or len(shape) != 2 or not isinstance(shape[1], int):
        raise TrainingError(
            f"{encoder.name} gives {shape}, not one vector for each image, (None, dim).",
            "End it in GlobalAveragePooling2D, for example; keras.applications take include_top=False, pooling='avg'.",
        )
    return encoder


def _called(model: keras.Model, input_spec: InputSpec | None) -> keras.Model:
    """A functional model that calls a subclassed one."""
    shape = input_spec.shape if input_spec else _shape_called_with(model)
    if shape is None:
        raise TrainingError(
            f"{model.name} does not say which images it takes.",
            "Call it on a batch of them first, or give input_spec=ImageInput.for_shape((height, width, channels)).",
        )
    images = keras.Input(shape, name="image")
    try:
        return keras.Model(images, model(images), name=model.name)
    except Exception as error:  # its own code may raise anything
        raise TrainingError(
            f"{model.name} cannot be called on images of {shape} ({_cause(error)}).",
            "Let its call() take one tensor of images, and use Keras's operations on it.",
        ) from None


def _cause(error: Exception) -> str:
    """The text of an error, without the frame and the bold type that Keras puts around it."""
    lines = re.sub(r"\x1b\[\d+m", "", str(error)).split("Error encountered:")[-1].splitlines()
    told = [line for line in lines if line.strip() and not line.startswith("Exception encountered")]
    return told[0].rstrip(".") if told else type(error).__name__


def _shape_called_with(model: keras.Model) -> tuple[int, ...] | None:
    """The shape of an image, without the batch, that a model was called on; None if it never was."""
    built = (model.get_build_config() or {}).get("input_shape")
    return tuple(built[1:]) if built else None


def _require_input(encoder: keras.Model, input_spec: InputSpec | None) -> None:
    shape = encoder.input_shape
    if input_spec is not None and not isinstance(input_spec, ImageInput):
        if shape != (None, *input_spec.shape):
            raise TrainingError(
                f"{encoder.name} takes {shape}, and the examples are {input_spec}.",
                f"Make it for inputs of {input_spec.shape}.",
            )
        return
    sized = isinstance(shape, tuple) and len(shape) == 4 and all(isinstance(side, int) for side in shape[1:])
    if not sized or shape[3] not in (1, 3):
        raise TrainingError(
            f"{encoder.name} takes {shape}, not images (None, height, width, 1 or 3) of one size.",
            "Make it with input_shape=(96, 96, 3), for example.",
        )
