"""Find the input of another maker's model, its kind, shape and range of values, and fit it to what devices give."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TypeAlias

import numpy as np

from converters.options import ModelOptions
from converters.tflite.edit_graph import Graph
from converters.tflite.metadata import ENTRY, stated_normalization
from edge_meta.errors import ExportError
from edge_meta.inputs import ArrayInput, AudioInput, ImageInput, InputSpec
from edge_meta.types import Array64

Note: TypeAlias = Callable[[str], None]

LOWEST = {"uint8": 0, "int8": -128, "int16": -32768}  # of the dtypes that are quantized
SHORTEST_WINDOW = 4000  # floats in a row from which on they are taken for samples: a quarter second at 16 kHz


def prepare_input(graph: Graph, source: int, name: str, options: ModelOptions, on_note: Note) -> InputSpec:
    """Put operators before a model's input so that it takes what devices give.

    Args:
        source: the input.
        name: of the file, for messages.
        on_note: called with a line about each assumption.

    Returns:
        The new input.

    Raises:
        ExportError: an input of open size, or of a shape, dtype or range that is none of the three kinds.
    """
    shape = fix_shape(graph, source, name, options.input_shape)
    kind = options.input_kind or _kind(shape, graph.dtype(source), options)
    if kind == "image":
        return _prepare_image(graph, source, shape, name, options, on_note)
    if options.channel_order != "rgb":
        raise ExportError(f"{name} takes no images, so that it has no channel order.", "Leave --channel-order out.")
    if kind == "audio":
        return _prepare_audio(graph, source, shape, name, options, on_note)
    if options.sample_rate is not None:
        raise ExportError(f"{name} takes arrays, which have no sample rate.", "Leave --sample-rate out.")
    return _prepare_array(graph, source, shape, name, options, on_note)


def fix_shape(graph: Graph, source: int, name: str, wanted: tuple[int, ...] | None) -> tuple[int, ...]:
    """Fix the input's shape: a batch of one, and open sizes as asked."""
    stated = graph.shape(source)
    shape = stated
    if wanted is not None:
        shape = wanted if len(stated) == len(wanted) and stated[0] != 1 else (1, *wanted)
    elif stated and stated[0] == -1 and len(stated) > 1:
        shape = (1, *stated[1:])
    if -1 in shape or not shape:
        raise ExportError(
            f"{name} leaves the size of its input {graph.name(source)!r} open ({list(stated)}).",
            "Say it with --input-shape, without the batch.",
        )
    if len(shape) != len(stated) or any(size not in (-1, given) for size, given in zip(stated, shape, strict=True)):
        raise ExportError(f"{name} takes {list(stated)}, which is not {list(wanted or ())}.", "Leave --input-shape out.")
    graph.set_shape(source, shape)
    return shape


def _kind(shape: tuple[int, ...], dtype: str, options: ModelOptions) -> str:
    if len(shape) == 4 and (shape[3] in (1, 3) or shape[1] in (1, 3)) and dtype in ("float32", "uint8", "int8", "int16"):
        return "image"
    flat = prod(shape) == max(shape)
    if flat and dtype in ("float32", "int16") and (options.sample_rate or max(shape) >= SHORTEST_WINDOW):
        return "audio"
    return "array"


def _prepare_image(
    graph: Graph, source: int, shape: tuple[int, ...], name: str, options: ModelOptions, on_note: Note
) -> ImageInput:
    sizes = shape[1:] if len(shape) == 4 and shape[0] == 1 else shape
    if len(sizes) != 3 or (sizes[2] not in (1, 3) and sizes[0] not in (1, 3)):
        raise ExportError(
            f"{name} takes {list(shape)}, which is no image of 1 or 3 channels.", "Choose another --input-kind."
        )
    planes = sizes[2] not in (1, 3)
    height, width, channels = (sizes[1], sizes[2], sizes[0]) if planes else sizes
    dtype, quantization = graph.dtype(source), graph.quantization(source)
    mean, scale = _pixel_range(graph, dtype, quantization, options, name, on_note)
    tensor = _to_float(graph, source, name)
    if len(shape) == 3:
        tensor = graph.prepend("RESHAPE", tensor, "float32", (1, *shape), np.array(shape, np.int32))
    if planes:
        tensor = graph.prepend(
            "TRANSPOSE", tensor, "float32", (1, height, width, channels), np.array([0, 3, 1, 2], np.int32)
        )
    if max(mean.size, scale.size) > 1:
        _affine(graph, tensor, mean, scale, channels, name)
        mean, scale = np.zeros(1), np.ones(1)
    if options.channel_order == "bgr":
        if channels != 3:
            raise ExportError(f"{name} takes one channel, which has no order.", "Leave --channel-order out.")
        (tensor,) = graph.inputs
        graph.prepend("REVERSE_V2", tensor, "float32", (1, height, width, channels), np.array([3], np.int32))
    return ImageInput(height, width, channels, float(mean[0]), float(scale[0]))


def _pixel_range(
    graph: Graph,
    dtype: str,
    quantization: tuple[float, int] | None,
    options: ModelOptions,
    name: str,
    on_note: Note,
) -> tuple[Array64, Array64]:
    """Mean and scale of (pixel − mean) · scale: as asked, or as the metadata or the input's quantization state."""
    if options.mean is not None or options.scale is not None:
        return np.array(options.mean or (0.0,)), np.array(options.scale or (1.0,))
    if dtype in LOWEST and quantization is not None:
        # Map the pixels' range to the dtype's whole range, as TensorFlow's task library does: raw pixels for uint8 and int8.
        scale, zero = quantization
        step = scale * (1.0 if dtype != "int16" else 65535 / 255)
        return np.array([(zero - LOWEST[dtype]) * scale / step]), np.array([step])
    if dtype != "float32":
        return np.array([-float(LOWEST.get(dtype, 0))]), np.ones(1)
    stated = stated_normalization(graph.metadata(ENTRY))
    if stated is not None:
        mean, deviation = (values.astype(np.float64) for values in stated)
        return mean, 1.0 / deviation
    on_note(f"{name} does not say in which range it wants pixels; -1 to 1 is assumed (--mean 127.5 --scale 0.0078431)")
    return np.array([127.5]), np.array([1.0 / 127.5])


def _prepare_audio(
    graph: Graph, source: int, shape: tuple[int, ...], name: str, options: ModelOptions, on_note: Note
) -> AudioInput:
    samples = max(shape)
    if prod(shape) != samples:
        raise ExportError(f"{name} takes {list(shape)}, which is no mono recording.", "Choose another --input-kind.")
    dtype, quantization = graph.dtype(source), graph.quantization(source)
    rate = options.sample_rate or 16000
    if options.sample_rate is None:
        on_note(f"{samples} samples at 16000 Hz are assumed (--sample-rate)")
    mean, scale = options.mean or (0.0,), options.scale
    if scale is None:
        scale = (1.0,)
        if dtype == "int16":
            scale = (32768.0 * (quantization[0] if quantization else 1.0),)
        elif dtype == "float32":
            on_note("samples from -1 to 1 are assumed (--scale 32768 gives the range of int16)")
    tensor = _to_float(graph, source, name)
    if shape != (1, samples):
        tensor = graph.prepend("RESHAPE", tensor, "float32", (1, samples), np.array(shape, np.int32))
    _affine(graph, tensor, np.array(mean), np.array(scale), 1, name)
    return AudioInput(samples, rate)


def _prepare_array(
    graph: Graph, source: int, shape: tuple[int, ...], name: str, options: ModelOptions, on_note: Note
) -> ArrayInput:
    sizes = shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
    dtype, tensor = graph.dtype(source), source
    if graph.quantization(source) is not None and dtype in LOWEST:
        dtype, tensor = "float32", _to_float(graph, source, name)
    if dtype not in ("float32", "int32", "int64", "uint8", "int8", "int16"):
        raise ExportError(f"{name} takes values of dtype {dtype}.", "Convert it again for float32 or integers.")
    if sizes == shape:
        tensor = graph.prepend("RESHAPE", tensor, dtype, (1, *shape), np.array(shape, np.int32))
    if options.mean is not None or options.scale is not None:
        if dtype != "float32":
            raise ExportError(f"{name} takes {dtype} values as they are.", "Leave --mean and --scale out.")
        _affine(graph, tensor, np.array(options.mean or (0.0,)), np.array(options.scale or (1.0,)), sizes[-1], name)
    return ArrayInput(sizes, dtype)


def _to_float(graph: Graph, source: int, name: str) -> int:
    """Replace an input of another dtype by one in float32; returns it."""
    dtype, shape = graph.dtype(source), graph.shape(source)
    if dtype == "float32":
        return source
    if dtype in LOWEST and graph.quantization(source) is not None:
        return graph.prepend("QUANTIZE", source, "float32", shape)
    if dtype in (*LOWEST, "int32"):
        return graph.prepend("CAST", source, "float32", shape)
    raise ExportError(f"{name} takes values of dtype {dtype}.", "Convert it again for float32, uint8 or int8.")


def _affine(graph: Graph, tensor: int, mean: Array64, scale: Array64, channels: int, name: str) -> None:
    """Put (x − mean) · scale before an input."""
    for values in (mean, scale):
        if values.size not in (1, channels):
            raise ExportError(
                f"{values.size} values were given for {channels} channels of {name}.", "Give one, or one each."
            )
    shape = graph.shape(tensor)
    if (scale != 1.0).any():
        tensor = graph.prepend("MUL", tensor, "float32", shape, scale.astype(np.float32))
    if mean.any():
        graph.prepend("SUB", tensor, "float32", shape, mean.astype(np.float32))
