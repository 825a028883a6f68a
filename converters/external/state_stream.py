"""Files that keep state from one run to the next: each example starts anew, and a longer one is run part by part.

The state of a stream would make an example's embedding depend on what came before it, so that shots that were enrolled and
queries could not be compared. So state lives within an example alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from converters.external.embedding_part import main_subgraph
from converters.external.source_model import dequantized
from converters.tflite.edit_graph import Graph
from converters.tflite.model import parse
from converters.tflite.state import has_state, has_variables
from converters.tflite.unroll import unrolled
from edge_meta.errors import ExportError
from edge_meta.types import Array

MOST_STEPS = 256


@dataclass(frozen=True)
class StateStream:
    """A .tflite file that keeps state, and how an example is run through it.

    Attributes:
        content: of the file, whose first subgraph is run.
        part: the shape of its own input.
        axis: along which the parts of an example lie.
        steps: parts of an example, each a run; 1 where an example is what the file takes.
    """

    content: bytes
    part: tuple[int, ...]
    axis: int = 0
    steps: int = 1

    def unrolled(self) -> bytes:
        """The file with all runs in one."""
        return self.content if self.steps == 1 else unrolled(self.content, self.axis, self.steps)

    def about(self, name: str) -> str:
        """The note for people."""
        if self.steps == 1:
            return (
                f"{name} keeps state; each example starts anew, and is one run on {list(self.part)} (--input-shape: several)"
            )
        runs = f"{self.steps} runs on {list(self.part)}"
        return f"{name} keeps state; each example starts anew, and is {runs}, the last of which embeds"


@dataclass(frozen=True)
class StreamedModel:
    """The file as its maker runs it, on one part of an example after the other; see `SourceModel`.

    Attributes:
        tensor: the embedding, read behind the last part.
    """

    stream: StateStream
    tensor: int

    def embed(self, values: NDArray[Any]) -> Array:
        """See `SourceModel`."""
        return np.stack([self._of(value) for value in values])

    def _of(self, value: NDArray[Any]) -> Array:
        # Variables that operators assign are reset by nothing else than a new interpreter.
        interpreter = Interpreter(
            model_content=self.stream.content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
        (taken,) = interpreter.get_input_details()
        for part in np.split(value, self.stream.steps, self.stream.axis):
            interpreter.set_tensor(taken["index"], part)
            interpreter.invoke()
        details = next(each for each in interpreter.get_tensor_details() if each["index"] == self.tensor)
        return dequantized(interpreter.get_tensor(self.tensor), details["quantization_parameters"]).ravel()


def state_stream(content: bytes, name: str, wanted: tuple[int, ...] | None) -> StateStream | None:
    """Tell how examples are run through a file; None if it keeps no state.

    Args:
        name: of the file, for messages.
        wanted: the shape of an example without the batch, which may be several times as long as the file's input.

    Raises:
        ExportError: no file that can be read, or more parts than are sensible.
    """
    graph = Graph(content, name)
    if not (has_variables(parse(content)) or has_state(parse(content))):
        return None
    if (main := main_subgraph(graph, name)) != 0:
        graph.make_main(main)
        content = graph.whole()
    part = graph.shape(graph.inputs[0]) if len(graph.inputs) == 1 else ()
    shape = (1, *(wanted or ()))
    longer = [axis for axis, sizes in enumerate(zip(part, shape, strict=False)) if sizes[0] != sizes[1]]
    if wanted is None or len(part) != len(shape) or len(longer) != 1 or -1 in part:
        return StateStream(content, part)
    (axis,) = longer
    steps, rest = divmod(shape[axis], part[axis])
    if rest or steps > MOST_STEPS:
        raise ExportError(
            f"{name} takes {list(part)} at a time, and {list(wanted)} is not 2 to {MOST_STEPS} times as long.",
            f"Make it a multiple of {part[axis]} with --input-shape.",
        )
    return StateStream(content, part, axis, steps)
