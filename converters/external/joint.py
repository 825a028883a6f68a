"""Fit the values that one model of a chain gives to the input of the next: order, windows over time, and shape."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from converters.tflite.edit_graph import Graph
from edge_meta.errors import ExportError

MOST_WINDOWS = 64
STRIDED = {"CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D"}


class TooFewFramesError(ExportError):
    """A model gives fewer frames than the next one takes; a longer input of the chain gives more."""


@dataclass(frozen=True)
class Joint:
    """The way from one model's output to the next one's input.

    Attributes:
        values: the output's shape without axes of one value.
        transposed: whether its two axes change places.
        axis: of time, after that; None where the next model takes all at once.
        window: frames that the next model takes at a time.
        starts: the first frame of each window.
        taken: the next one's input shape.
    """

    values: tuple[int, ...]
    transposed: bool
    axis: int | None
    window: int
    starts: tuple[int, ...]
    taken: tuple[int, ...]

    @property
    def about(self) -> str:
        """The windows, for people; empty where there is only one that takes all."""
        if self.axis is None or len(self.starts) == 1:
            return ""
        return f"{len(self.starts)} windows of {self.window} frames, {self.starts[1] - self.starts[0]} apart"


def fit(given: tuple[int, ...], graph: Graph, source: int, names: tuple[str, str]) -> Joint:
    """Fit an output's shape to the input `source` of the next model.

    Args:
        given: a static shape.
        graph: of the next model.
        names: of both files, for messages.

    Raises:
        TooFewFramesError: a longer input of the chain may fit.
        ExportError: the shapes do not belong together.
    """
    stated = graph.shape(source)
    taken = (1, *stated[1:]) if stated and stated[0] == -1 and len(stated) > 1 else stated
    values, wanted = _without_ones(given), _without_ones(taken)
    for transposed in (False, True) if len(values) == 2 else (False,):
        turned = values[::-1] if transposed else values
        joint = _joint(values, turned, taken, wanted, graph)
        if joint is not None:
            return Joint(values, transposed, *joint)
    raise ExportError(
        f"{names[0]} gives {list(given)}, and {names[1]} takes {list(stated)}, which do not belong together.",
        "Check the order of the files, and --output-tensor.",
    )


def _joint(
    values: tuple[int, ...], turned: tuple[int, ...], taken: tuple[int, ...], wanted: tuple[int, ...], graph: Graph
) -> tuple[int | None, int, tuple[int, ...], tuple[int, ...]] | None:
    """Axis, window, starts and input shape of a joint; None if the shapes do not fit."""
    flat = len(turned) == 2 and len(wanted) == 1 and wanted[0] != -1 and wanted[0] % turned[1] == 0
    if flat:  # frames × values in a row
        wanted = (wanted[0] // turned[1], turned[1])
    if len(turned) != len(wanted):
        # An axis of one value may be time.
        return (None, 0, (0,), taken) if -1 not in taken and prod(turned) == prod(wanted) else None
    different = [axis for axis, pair in enumerate(zip(turned, wanted, strict=True)) if pair[0] != pair[1]]
    if not different:
        return None, 0, (0,), taken
    if len(different) > 1:
        return None
    (axis,) = different
    frames, window = turned[axis], wanted[axis]
    if window == -1:
        return None, 0, (0,), tuple(frames if size == -1 else size for size in taken)
    if frames < window:
        raise TooFewFramesError(
            f"The chain's input gives {frames} frames, and its next model takes {window}.",
            "Make the input longer with --input-shape.",
        )
    places = [place for place, size in enumerate(taken) if size != 1]
    hop = _hop(graph, window, None if flat else places[axis])
    starts = range(0, frames - window + 1, max(hop, -(-(frames - window) // MOST_WINDOWS)))
    return axis, window, tuple(starts), taken


def _hop(graph: Graph, window: int, axis: int | None) -> int:
    """Frames from one window to the next: the network's own stride over time, or half a window if it has none."""
    stride = 1
    if axis in (1, 2):
        for operator, options in graph.options():
            if operator in ("TRANSPOSE", "RESHAPE"):
                break  # the axis may be another one behind these
            if operator in STRIDED:
                stride *= int(options.strideH if axis == 1 else options.strideW)
    return stride if 1 < stride <= window // 2 else max(1, window // 2)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
