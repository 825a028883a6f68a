"""Keras → TFLite: one static file with all signatures, its encoder quantized and its heads in float32."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from converters.signatures import signatures

QUANTIZATIONS = ("float32", "int8")


def convert(
    encoder: keras.Model,
    quantize: str,
    calibration: NDArray[np.float32] | None,
    max_classes: int,
    max_shots: int,
) -> bytes:
    """Convert an encoder and its heads.

    Args:
        encoder: from (batch, H, W, C) to (batch, D).
        quantize: `float32`, or `int8` (weights per channel, activations calibrated; inputs and outputs stay float32).
        calibration: normalized images (n, H, W, C) for int8.
        max_classes, max_shots: the heads' static sizes.

    Returns:
        The file's bytes.
    """
    module, functions = signatures(encoder, max_classes, max_shots)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=sorted(functions))
        if quantize == "int8":
            # Only calibrated signatures are quantized, and the heads' arithmetic must not be: calibrate embed alone.
            def samples() -> Iterator[tuple[str, dict[str, NDArray[np.float32]]]]:
                for image in calibration:
                    yield "embed", {"image": image[None]}

            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = samples
        with warnings.catch_warnings():
            # To calibrate, the converter uses an interpreter of its own, which announces its removal.
            warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated", UserWarning)
            converted: bytes = converter.convert()
    return converted
