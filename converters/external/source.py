"""Convert other makers' Keras models and SavedModels to .tflite as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from converters.conversion_errors import conversion_errors_named
from converters.external.keras_file import in_float32
from edge_meta.errors import ExportError


def is_saved_model(path: Path) -> bool:
    """Tell whether a path is a SavedModel's folder."""
    return (path / "saved_model.pb").is_file()


def to_tflite(path: Path, samples: Sequence[NDArray[np.float32]] | None = None) -> bytes:
    """Convert a SavedModel's folder or a .keras file.

    No code in a .keras file is run: Keras's safe mode refuses such a file.

    Args:
        samples: of its input, each with a batch of one, which int8 is calibrated on; None for float32.

    Raises:
        ExportError: it cannot be read, or has layers without operators of TFLite's own.
    """
    converter = _converter(path)
    if samples is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample] for sample in samples)
    with conversion_errors_named(str(path)):
        model: bytes = converter.convert()
    return model


def _converter(path: Path) -> Any:
    try:
        if path.suffix != ".keras":
            return tf.lite.TFLiteConverter.from_saved_model(str(path))
        # Keras names its safe mode as the reason when a file has code.
        with in_float32(path) as wide:
            model = keras.saving.load_model(wide, compile=False, safe_mode=True)
        # Recurrent layers can be converted for a batch of one only; the user gives the other open sizes.
        specs = [tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs]
        traced = tf.function(lambda *inputs: model(list(inputs) if len(specs) > 1 else inputs[0], training=False))
        constant = convert_variables_to_constants_v2(traced.get_concrete_function(*specs))
        return tf.lite.TFLiteConverter.from_concrete_functions([constant])
    # Both loaders raise errors of any type when parsing fails.
    except Exception as error:
        raise ExportError(
            f"{path} is not a model that can be read ({_reason(error)}).",
            "Save it again with layers of Keras's own, or convert it to .tflite where its code is.",
        ) from None


def _reason(error: Exception) -> str:
    """The first line with a cause; Keras puts an error inside a layer behind a long description of the layer."""
    lines = str(error).split("Exception encountered: ")[-1].splitlines()
    return next((line.strip().rstrip(".") for line in lines if line.strip()), type(error).__name__)[:200]
