"""Read from a model's first operators, or from its metadata, in which range it wants pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from converters.tflite.edit_graph import Graph, Step
from converters.tflite.metadata import ENTRY, stated_normalization
from edge_meta.errors import ExportError
from edge_meta.types import Array64

# Operators that change no value, or put zeros around.
TRANSPARENT = {"CAST", "DEQUANTIZE", "RESHAPE", "TRANSPOSE", "EXPAND_DIMS", "SQUEEZE", "PAD", "PADV2"}
TRANSPARENT |= {"RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"}
ARITHMETIC = {"ADD", "SUB", "MUL", "DIV"}
# Ranges that networks work in: behind a rescaling one of these is found.
NORMALIZED = ((-1.0, 1.0), (0.0, 1.0), (-0.5, 0.5), (0.0, 255.0), (-128.0, 127.0))
Arithmetic: TypeAlias = tuple[Array64, Array64]
SPAN, LARGEST = (0.5, 8.0), 8.0  # of standardized pixels
TOLERANCE = 0.06  # of a range: calibration seldom saw its ends


@dataclass(frozen=True)
class Range:
    """A range of values: they are (pixel − mean) · scale.

    Attributes:
        name: for messages.
        mean, scale: (1,), or one a channel.
        blue_first: of BGR pixels.
    """

    name: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    blue_first: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """The values of pixels 0 and 255, as the mean over channels."""
        mean, scale = np.array(self.mean), np.array(self.scale)
        low, high = (float(((pixel - mean) * scale).mean()) for pixel in (0.0, 255.0))
        return low, high

    def options(self) -> str:
        """The command-line options that state it."""
        mean, scale = (",".join(f"{value:.6g}" for value in values) for values in (self.mean, self.scale))
        return f"--mean {mean} --scale {scale}{' --channel-order bgr' if self.blue_first else ''}"


RAW = Range("0 to 255", (0.0,), (1.0,))
UNIT = Range("0 to 1", (0.0,), (1 / 255,))
SIGNED = Range("-1 to 1", (127.5,), (1 / 127.5,))
SHIFTED = Range("-128 to 127", (128.0,), (1.0,))
INK = Range("1 to 0, ink on paper", (255.0,), (-1 / 255,))
IMAGENET = Range("ImageNet's mean and deviation", (123.675, 116.28, 103.53), (1 / 58.395, 1 / 57.12, 1 / 57.375))
CAFFE = Range("BGR less ImageNet's mean", (103.939, 116.779, 123.68), (1.0,), blue_first=True)


def usual_ranges(channels: int) -> list[Range]:
    """Ranges to try where nothing is stated, the most usual first."""
    return [SIGNED, UNIT, IMAGENET, RAW, CAFFE] if channels == 3 else [UNIT, SIGNED, RAW, INK]


def stated_range(
    graph: Graph, source: int, channels: int, name: str, arithmetic: Arithmetic | None = None
) -> tuple[Range, str] | None:
    """Read the range of a float32 image input.

    Args:
        source: the input's tensor.
        name: of the file, for messages.
        arithmetic: slope and offset of the model's first operations, where it was converted to the file.

    Returns:
        The range and where it is stated; None where nothing says it.

    Raises:
        ExportError: the operators and the metadata contradict each other.
    """
    worked_out = None if arithmetic is None else range_of_arithmetic(*arithmetic)
    worked_out = worked_out or range_of_operators(graph, source, channels)
    normalization = stated_normalization(graph.metadata(ENTRY))
    if normalization is None:
        return None if worked_out is None else (worked_out, "its first operators")
    mean, deviation = (tuple(float(value) for value in values) for values in normalization)
    stated = Range("stated", mean, tuple(1.0 / value for value in deviation))
    if worked_out is not None and not _near(stated.ends, worked_out.ends, 2 * TOLERANCE):
        low, high = stated.ends
        raise ExportError(
            f"{name} says in its metadata that its pixels go from {low:.3g} to {high:.3g}, and its first operators take "
            f"{worked_out.name}.",
            f"Say which with --mean and --scale: {stated.options()}, or {worked_out.options()}.",
        )
    return stated, "its metadata"


def range_of_operators(graph: Graph, source: int, channels: int) -> Range | None:
    """Follow the first operators, which rescale, normalize or quantize, to the range of the values that they take."""
    slope, offset, quantized = _followed(graph, source, channels)
    if quantized is not None:
        if slope.size > 1 or offset.size > 1 or not slope.all():
            return None
        low, high = sorted((bound - offset[0]) / slope[0] for bound in quantized)
        near = [
            each
            for each in (RAW, UNIT, SIGNED, SHIFTED, *([IMAGENET] if channels == 3 else []))
            if _near(each.ends, (low, high), TOLERANCE)
        ]
        return min(near, key=lambda each: _distance(each.ends, (low, high)), default=None)
    return range_of_arithmetic(slope, offset)


def range_of_arithmetic(slope: Array64, offset: Array64) -> Range | None:
    """Tell the range of values x from slope · x + offset, each (1,) or one a channel, which a network takes.

    A converter may have moved a last factor or offset into the weights behind it.
    """
    if (slope == 1.0).all():
        usual = {RAW: (-160.0, -90.0), UNIT: (-0.6, -0.4), SIGNED: (1.0, 1.0)}  # less the mean
        return next((each for each, (low, high) in usual.items() if ((low <= offset) & (offset <= high)).all()), None)
    after = {each: _through(each, slope, offset) for each in (RAW, UNIT, SIGNED)}
    exact = [each for each in after if any(_near(ends, after[each], 0.02) for ends in NORMALIZED)]
    plausible = [each for each, (low, high) in after.items() if _plausible(low, high)]
    found = exact or plausible
    return found[0] if len(found) == 1 else None


def _followed(graph: Graph, source: int, channels: int) -> tuple[Array64, Array64, tuple[float, float] | None]:
    """Slope and offset of what the first operators compute, and the ends of the range that they quantize to, if they do."""
    slope, offset = np.ones(1), np.zeros(1)
    steps, tensor = graph.steps(), source
    while True:
        readers = [step for step in steps if tensor in step.inputs]
        if len(readers) != 1:
            return slope, offset, None
        step = readers[0]
        if step.name == "QUANTIZE" and graph.dtype(tensor) == "float32":
            return slope, offset, _bounds(graph, step.outputs[0])
        if step.name == "REVERSE_V2":
            slope, offset = slope[::-1], offset[::-1]
        elif step.name in ARITHMETIC:
            constant = _operand(graph, step, tensor, channels)
            if constant is None:
                return slope, offset, None
            slope, offset = applied(step.name, step.inputs[0] == tensor, slope, offset, constant)
        elif step.name not in TRANSPARENT:
            return slope, offset, None
        tensor = step.outputs[0]


def _operand(graph: Graph, step: Step, tensor: int, channels: int) -> Array64 | None:
    """The constant that an operator combines a tensor with, as (1,) or (channels,)."""
    (other,) = (index for index in step.inputs if index != tensor) if len(set(step.inputs)) == 2 else (-1,)
    constant = graph.constant(other) if other >= 0 and not step.activation else None
    if constant is None or constant.size not in (1, channels):
        return None
    return constant.astype(np.float64).ravel()


def applied(operator: str, first: bool, slope: Array64, offset: Array64, constant: Array64) -> Arithmetic:
    """Slope and offset after ADD, SUB, MUL or DIV with a constant.

    Args:
        first: whether the constant is the second operand.
    """
    if operator == "MUL":
        return slope * constant, offset * constant
    if operator == "DIV" and first and constant.all():
        return slope / constant, offset / constant
    if operator == "SUB" and not first:
        return -slope, constant - offset
    if operator in ("ADD", "SUB"):
        return slope, offset + (constant if operator == "ADD" else -constant)
    return np.zeros(1), np.zeros(1)


def _bounds(graph: Graph, tensor: int) -> tuple[float, float] | None:
    """The ends of the range that a quantized tensor can hold."""
    quantization, bits = graph.quantization(tensor), {"int8": (-128, 127), "uint8": (0, 255)}.get(graph.dtype(tensor))
    if quantization is None or bits is None:
        return None
    scale, zero = quantization
    return (bits[0] - zero) * scale, (bits[1] - zero) * scale


def _through(each: Range, slope: Array64, offset: Array64) -> tuple[float, float]:
    low, high = (float((end * slope + offset).mean()) for end in each.ends)
    return low, high


def _plausible(low: float, high: float) -> bool:
    return SPAN[0] <= abs(high - low) <= SPAN[1] and max(abs(low), abs(high)) <= LARGEST


def _near(ends: tuple[float, float], others: tuple[float, float], share: float) -> bool:
    return _distance(ends, others) <= share


def _distance(ends: tuple[float, float], others: tuple[float, float]) -> float:
    """The largest distance of two ranges' ends, as a share of the first."""
    return max(abs(a - b) for a, b in zip(ends, others, strict=True)) / abs(ends[1] - ends[0])
