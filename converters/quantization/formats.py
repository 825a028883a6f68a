"""Formats that an encoder can be quantized to: the types of weights and activations, and the runtimes that run them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A quantization, as `--quantize` names it.

    Attributes:
        weights, activations: the TFLite types in the encoder; the heads and all inputs and outputs are float32 in each.
        calibrated: whether the ranges of activations are measured on images.
        about: a description for people.
        refused_by: runtimes that were tried and do not run it.
    """

    weights: str
    activations: str
    calibrated: bool
    about: str
    refused_by: tuple[str, ...] = ()


MICRO = "TensorFlow Lite Micro"

FORMATS = {
    "float32": Format("float32", "float32", False, "weights and arithmetic in float32"),
    "float16": Format("float16", "float32", False, "weights in float16, arithmetic in float32", (MICRO,)),
    "dynamic": Format("int8", "float32", False, "weights in int8, activations quantized as they come", (MICRO,)),
    "int8": Format("int8", "int8", True, "weights and activations in int8"),
    "int16x8": Format("int8", "int16", True, "weights in int8, activations in int16; slow, since no fast kernels exist"),
}

# Runtimes that run every file that passes `checks.check`.
RUNTIMES = ("ai-edge-litert", "tflite-runtime 2.14", "TensorFlow")
