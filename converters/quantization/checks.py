"""Check a converted file and its embeddings for defects that a converter does not report."""

from __future__ import annotations

import math

import numpy as np

from converters.quantization.formats import FORMATS
from converters.tflite.model import ModelFile, OperatorInfo
from edge_meta.errors import ExportError
from edge_meta.types import Array

# tflite-runtime 2.14 is the last release for armv7l boards and Python up to 3.11.
OLDEST_RUNTIME = (2, 14, 0)

# Operators whose first input is activations and whose second is weights.
WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}

# Without calibration the converter leaves smaller weights in float32: they gain less than they cost.
LEFT_IN_FLOAT = 1024


def check(model: ModelFile, quantize: str, front: int = 0) -> None:
    """Check that a file runs on devices and is quantized as asked.

    Args:
        front: the encoder's first operators, which stay in float32.

    Raises:
        ExportError: weights left out, ops that no pip-installed runtime has, quantized heads, an encoder that is not
            quantized as asked, another subgraph 0 than embed, or operators newer than tflite-runtime 2.14.
    """
    operators = [operator for subgraph in model.subgraphs for operator in subgraph]
    names = {operator.name for operator in operators}
    if variables := names & {"READ_VARIABLE", "VAR_HANDLE", "ASSIGN_VARIABLE"}:
        _fail(f"it reads variables ({', '.join(sorted(variables))}) that no device has")
    if custom := sorted(name for name in names if name.startswith("custom ")):
        _fail(f"it needs ops outside of TFLite's own ({', '.join(custom)})")
    if model.signatures.get("embed") != 0:
        _fail("its first subgraph, which a plain invoke() runs, is not embed")
    if model.min_runtime > OLDEST_RUNTIME:
        _fail(f"it needs TFLite {'.'.join(map(str, model.min_runtime))}; tflite-runtime 2.14 could not load it")
    for signature, index in model.signatures.items():
        tensors = [each for operator in model.subgraphs[index] for each in (*operator.inputs, *operator.outputs) if each]
        if signature != "embed" and {each.dtype for each in tensors} & {"int8", "uint8", "int16", "float16"}:
            _fail(f"its head {signature} is not in float32")
    _check_encoder(model.subgraphs[0][front:], quantize)


def check_embeddings(embeddings: Array) -> None:
    """Raises ExportError when embeddings (n, D) are not finite, or all the same."""
    if not np.isfinite(embeddings).all() or not embeddings.std(axis=0).any():
        raise ExportError(
            "The encoder gives values that are not finite, or the same ones for every image.",
            "Train again with a smaller learning rate, or for longer.",
        )


def _check_encoder(operators: tuple[OperatorInfo, ...], quantize: str) -> None:
    """Check that each layer's weights and activations have the types of the format."""
    wanted = FORMATS[quantize]
    # float16 weights are widened when the file is loaded.
    narrow = {each.outputs[0].place: each.inputs[0] for each in operators if each.name == "DEQUANTIZE"}
    for operator in operators:
        if operator.name not in WEIGHTED:
            continue
        activations, weights = operator.inputs[:2]
        if weights is not None:
            weights = narrow.get(weights.place, weights)
        small = not wanted.calibrated and weights is not None and math.prod(weights.shape) < LEFT_IN_FLOAT
        for role, tensor, types in (
            ("weights", weights, {wanted.weights, "float32"} if small else {wanted.weights}),
            ("activations", activations, {wanted.activations}),
        ):
            if tensor is None or tensor.dtype not in types:
                _fail(f"a {operator.name} has {role} in {tensor and tensor.dtype}, not in {' or '.join(sorted(types))}")


def _fail(defect: str) -> None:
    raise ExportError(
        f"The converted file is not fit for a device: {defect}.", "Change the encoder's layers, or --quantize."
    )
