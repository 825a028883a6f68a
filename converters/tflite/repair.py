"""Repair what old converters left in .tflite files and today's interpreters refuse."""

from __future__ import annotations

from typing import Any


def repair_quantization(model: Any) -> None:
    """Give each quantized tensor an axis that it has, in a file's tree.

    Old converters copied the axis of a convolution's scales to reshaped tensors of lower rank (person_detect.tflite).
    """
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            quantization, rank = tensor.quantization, 0 if tensor.shape is None else len(tensor.shape)
            if quantization is None or quantization.scale is None or not rank or quantization.quantizedDimension < rank:
                continue
            scales = len(quantization.scale)
            fitting = [axis for axis, size in enumerate(tensor.shape) if size == scales]
            if scales > 1 and not fitting and len(set(map(float, quantization.scale))) == 1:
                quantization.scale = quantization.scale[:1]
                quantization.zeroPoint = None if quantization.zeroPoint is None else quantization.zeroPoint[:1]
                scales = 1
            if scales == 1 or fitting:
                quantization.quantizedDimension = 0 if scales == 1 else fitting[-1]
