"""Helpers for tests of other people's models: small .tflite files, made by TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image


def tflite(function: Any, *shapes: tuple[int, ...], ends: Any = None, seen: tuple[float, float] = (-1, 1)) -> bytes:
    """Convert a TensorFlow function of float32 arguments.

    Args:
        ends: quantize it to int8, with inputs and outputs of this dtype.
        seen: the range of the values that it is calibrated on.
    """
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    traced = tf.function(function).get_concrete_function(*specs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module())
    if ends is not None:
        rng = np.random.default_rng(0)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([rng.uniform(*seen, shapes[0]).astype("f4")] for _ in range(50))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = ends
    converted: bytes = converter.convert()
    return converted


def photo_folder(folder: Path, classes: int = 8, examples: int = 10, size: int = 16) -> str:
    """Write noisy colour patterns of a few classes as a folder of .png files; returns its name as a dataset."""
    rng = np.random.default_rng(0)
    for label in range(classes):
        pattern = np.random.default_rng(100 + label).uniform(40, 216, (4, 4, 3)).repeat(size // 4, 0).repeat(size // 4, 1)
        (folder / f"class{label}").mkdir(parents=True)
        for example in range(examples):
            noisy = np.clip(pattern * rng.uniform(0.8, 1.2) + rng.normal(0, 40, pattern.shape), 0, 255)
            Image.fromarray(noisy.astype(np.uint8)).save(folder / f"class{label}" / f"{example}.png")
    return f"folder:{folder}"
