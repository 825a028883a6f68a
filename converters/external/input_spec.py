"""Find the input of another maker's model: its kind, shape and range of values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import TypeAlias

import numpy as np

from converters.external.input_kind import input_kind
from converters.external.input_range import Arithmetic, Range, stated_range, usual_ranges
from converters.external.source_input import LOWEST, SourceInput
from converters.options import ModelOptions
from converters.tflite.edit_graph import Graph, Step
from converters.tflite.metadata import ENTRY, stated_content
from edge_meta.errors import ExportError
from edge_meta.inputs import ArrayInput, AudioInput, ImageInput, SeriesInput

Note: TypeAlias = Callable[[str], None]

SAMPLES, INTEGERS = Range("-1 to 1", (0.0,), (1.0,)), Range("-32768 to 32767", (0.0,), (32768.0,))


def read_input(
    graph: Graph, source: int, name: str, options: ModelOptions, on_note: Note, arithmetic: Arithmetic | None = None
) -> tuple[SourceInput, list[Range]]:
    """Read what a model says of its input, and fix the input's shape.

    Args:
        source: the input's tensor.
        name: of the file, for messages.
        on_note: called with a line about each assumption, and about what was read.
        arithmetic: see `stated_range`.

    Returns:
        The input, and the ranges of values that it may want: one, with which the input is complete, or the usual ones where
        nothing says which.

    Raises:
        ExportError: an input of open size; of a shape, dtype or range that is none of the three kinds; of two likely kinds;
            or options that contradict it.
    """
    shape = fix_shape(graph, source, name, options.input_shape)
    kind = input_kind(graph, source, shape, name, options)
    if options.channels is not None and kind != "array":
        raise ExportError(f"{name} takes no series of sensors, which alone have channels.", "Leave --channels out.")
    if kind == "image":
        return _image(graph, source, shape, name, options, on_note, arithmetic)
    if options.channel_order != "rgb":
        raise ExportError(f"{name} takes no images, so that it has no channel order.", "Leave --channel-order out.")
    if kind == "audio":
        return _audio(graph, source, shape, name, options, on_note)
    if options.sample_rate is not None:
        raise ExportError(f"{name} takes arrays, which have no sample rate.", "Leave --sample-rate out.")
    return _array(graph, source, shape, name, options)


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


def _image(
    graph: Graph,
    source: int,
    shape: tuple[int, ...],
    name: str,
    options: ModelOptions,
    on_note: Note,
    arithmetic: Arithmetic | None,
) -> tuple[SourceInput, list[Range]]:
    sizes = shape[1:] if len(shape) == 4 and shape[0] == 1 else shape
    if len(sizes) != 3 or (sizes[2] not in (1, 3) and sizes[0] not in (1, 3)):
        raise ExportError(
            f"{name} takes {list(shape)}, which is no image of 1 or 3 channels.", "Choose another --input-kind."
        )
    planes = sizes[2] not in (1, 3)
    height, width, channels = (sizes[1], sizes[2], sizes[0]) if planes else sizes
    if options.channel_order == "bgr" and channels != 3:
        raise ExportError(f"{name} takes one channel, which has no order.", "Leave --channel-order out.")
    given = SourceInput(
        name, ImageInput(height, width, channels, 0.0, 1.0), shape, graph.dtype(source), graph.quantization(source),
        planes=planes, blue_first=options.channel_order == "bgr",
    )  # fmt: skip
    if options.mean is not None or options.scale is not None:
        return _asked(given, options)
    if given.dtype in LOWEST and given.quantization is not None:
        # Map the pixels' range to the dtype's whole range, as TensorFlow's task library does: raw pixels for uint8 and int8.
        scale, zero = given.quantization
        step = scale * (1.0 if given.dtype != "int16" else 65535 / 255)
        return _complete(given, Range("raw", ((zero - LOWEST[given.dtype]) * scale / step,), (step,)))
    if given.dtype != "float32":
        return _complete(given, Range("raw", (-float(LOWEST.get(given.dtype, 0)),), (1.0,)))
    found = stated_range(graph, source, channels, name, arithmetic)
    if found is None:
        return given, usual_ranges(channels)
    stated, where = found
    on_note(f"pixels as {where} take them: {stated.options()}")
    return _complete(given, stated)


def _audio(
    graph: Graph, source: int, shape: tuple[int, ...], name: str, options: ModelOptions, on_note: Note
) -> tuple[SourceInput, list[Range]]:
    samples = max(shape)
    if prod(shape) != samples:
        raise ExportError(f"{name} takes {list(shape)}, which is no mono recording.", "Choose another --input-kind.")
    rate = options.sample_rate or 16000
    if options.sample_rate is None:
        on_note(f"{samples} samples at 16000 Hz are assumed (--sample-rate)")
    dtype, quantization = graph.dtype(source), graph.quantization(source)
    given = SourceInput(name, AudioInput(samples, rate), shape, dtype, quantization)
    if options.scale is not None:
        return _asked(given, options)
    if dtype == "int16":
        scale = (32768.0 * (quantization[0] if quantization else 1.0),)
        return _complete(given, Range("int16", options.mean or (0.0,), scale))
    if dtype == "float32" and options.mean is None and stated_content(graph.metadata(ENTRY)) == "audio":
        on_note("samples from -1 to 1, as TensorFlow's task library gives them to models with metadata of audio")
        return _complete(given, SAMPLES)
    if dtype == "float32" and options.mean is None:
        return given, [SAMPLES, INTEGERS]
    return _asked(given, options)


def _array(
    graph: Graph, source: int, shape: tuple[int, ...], name: str, options: ModelOptions
) -> tuple[SourceInput, list[Range]]:
    sizes = shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
    dtype, quantization = graph.dtype(source), graph.quantization(source)
    taken = "float32" if quantization is not None and dtype in LOWEST else dtype
    if taken not in ("float32", "int32", "int64", "uint8", "int8", "int16"):
        raise ExportError(f"{name} takes values of dtype {dtype}.", "Convert it again for float32 or integers.")
    if taken != "float32" and (options.mean is not None or options.scale is not None):
        raise ExportError(f"{name} takes {taken} values as they are.", "Leave --mean and --scale out.")
    channels = options.channels or ()
    if channels and (taken != "float32" or sizes[1:] != (len(channels),)):
        raise ExportError(
            f"{name} takes {list(shape)} values of {taken}, which is no series of {len(channels)} channels in float32.",
            "Name as many --channels as the last axis has, or leave them out.",
        )
    rows = [graph.shape(step.inputs[0])[0] for step in graph.steps() if _looks_up(graph, step)]
    spec = SeriesInput(sizes, taken, channels) if channels else ArrayInput(sizes, taken)
    return _asked(SourceInput(name, spec, shape, dtype, quantization, ids=min(rows, default=2)), options)


def _looks_up(graph: Graph, step: Step) -> bool:
    """Tell whether an operator takes rows of a constant table."""
    return step.name == "GATHER" and graph.constant(step.inputs[0]) is not None and len(graph.shape(step.inputs[0])) == 2


def _asked(given: SourceInput, options: ModelOptions) -> tuple[SourceInput, list[Range]]:
    return _complete(given, Range("as asked", options.mean or (0.0,), options.scale or (1.0,)))


def _complete(given: SourceInput, found: Range) -> tuple[SourceInput, list[Range]]:
    return in_range(given, found), [found]


def in_range(given: SourceInput, found: Range) -> SourceInput:
    """The input with a range.

    Raises:
        ExportError: the range is for another number of channels.
    """
    known = given.with_range(np.array(found.mean, np.float64), np.array(found.scale, np.float64))
    return replace(known, blue_first=given.blue_first or found.blue_first)
