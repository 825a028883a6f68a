"""Find the part of another maker's .tflite file that embeds: a subgraph, its output, and the one input for an example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from converters.external.source_model import ModelInputs
from converters.tflite.edit_graph import Graph
from edge_meta.errors import ExportError


def keep_embedding(graph: Graph, name: str, wanted: str | None, on_note: Callable[[str], None]) -> tuple[int, int]:
    """Reduce a graph to what computes the embedding from one input.

    Args:
        name: of the file, for messages.
        wanted: name or number of the tensor that is the embedding; without it, the file's one output.
        on_note: called with a line about each assumption.

    Returns:
        The input's tensor and the embedding's.

    Raises:
        ExportError: there is no such tensor or no such input, or a device could not run the operators.
    """
    graph.make_main(main_subgraph(graph, name))
    graph.fold_variables()
    embedding = embedding_tensor(graph, name, wanted)
    graph.make_output(embedding)
    check_operators(graph, name)
    return _one_input(graph, name, on_note), embedding


def main_subgraph(graph: Graph, name: str) -> int:
    """The subgraph that embeds.

    Raises:
        ExportError: nothing says which one does.
    """
    signatures = {key: int(entry.subgraphIndex) for key, entry in graph.signatures.items()}
    for key in ("embed", "serving_default"):
        if key in signatures:
            return signatures[key]
    if len(signatures) > 1:
        raise ExportError(
            f"{name} has the signatures {', '.join(signatures)}, and nothing says which one embeds.",
            "Convert it again with the one that does.",
        )
    return next(iter(signatures.values()), 0)


def embedding_tensor(graph: Graph, name: str, wanted: str | None) -> int:
    """The tensor that is asked for, else the only output.

    Raises:
        ExportError: there is no such tensor, or there are several outputs.
    """
    if wanted is None:
        if len(graph.outputs) == 1:
            return graph.outputs[0]
        raise ExportError(
            f"{name} has {len(graph.outputs)} outputs: {', '.join(_described(graph, graph.outputs))}.",
            f"Name the one that embeds with --output-tensor, by name or number, or one before them: {_suggestions(graph)}.",
        )
    found = [tensor for tensor in graph.tensors() if wanted in (graph.name(tensor), str(tensor))]
    found += [
        int(entry.tensorIndex)
        for signature in graph.signatures.values()
        if signature.subgraphIndex == 0
        for entry in signature.outputs or []
        if entry.name.decode(errors="replace") == wanted
    ]
    if not found or graph.producer(found[0]) is None:
        raise ExportError(
            f"{name} computes no tensor {wanted!r}.", f"Among those that it does compute are {_suggestions(graph)}."
        )
    return found[0]


def require_vector(graph: Graph, output: int, name: str) -> None:
    """Raises ExportError when the output, which nobody asked for, holds several vectors; open sizes are not judged."""
    sizes = [size for size in graph.shape(output)[1:] if size != 1]
    if -1 not in sizes and len(sizes) > 1:
        raise ExportError(
            f"{name} gives {_described(graph, [output])[0]}, not one vector.",
            "Name a tensor with --output-tensor, by name or number; of several vectors the mean is taken. "
            f"Before it are: {_suggestions(graph)}.",
        )


def _suggestions(graph: Graph) -> str:
    """The last few computed tensors that hold one vector, and the maps of most channels, which can be averaged into one."""
    computed = [tensor for tensor in _computed(graph) if tensor not in graph.outputs]
    vectors = [tensor for tensor in computed if 4 <= prod(graph.shape(tensor)) == max(graph.shape(tensor), default=0)]
    maps = [tensor for tensor in computed if len(shape := graph.shape(tensor)) == 4 and shape[1] * shape[2] > 1 < shape[3]]
    widest = sorted(sorted(maps, key=lambda tensor: graph.shape(tensor)[3])[-3:])  # the last of those that are alike
    parts = [", ".join(_described(graph, vectors[-3:]))] if vectors else []
    if widest:
        parts.append(f"maps, whose mean over their positions is then taken: {', '.join(_described(graph, widest))}")
    return "; ".join(parts) or "none"


def _computed(graph: Graph) -> list[int]:
    """Tensors in floats or quantized integers that depend on an input, in the order in which they are computed."""
    depend = set(graph.inputs)
    found = []
    for step in graph.steps():
        if depend.intersection(step.inputs) and step.name != "SHAPE":
            depend.update(step.outputs)
            found += [
                tensor
                for tensor in step.outputs
                if graph.dtype(tensor) == "float32" or graph.quantization(tensor) is not None
            ]
    return found


def _described(graph: Graph, tensors: Sequence[int]) -> list[str]:
    """Number, name and shape of each; of a name that converters made of several, the first."""
    return [f"{tensor} {graph.name(tensor).split(';')[0]!r} {list(graph.shape(tensor))}" for tensor in tensors]


def check_operators(graph: Graph, name: str) -> None:
    """Raises ExportError when a device could not run the operators."""
    operators = set(graph.operators)
    if {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"} & operators:
        raise ExportError(
            f"{name} keeps variables in a part that it calls, such as a loop, so an embedding depends on what came before.",
            "Convert it again with its variables frozen, and with state as constants.",
        )
    if flex := sorted(operator.removeprefix("custom ") for operator in operators if operator.startswith("custom Flex")):
        raise ExportError(
            f"{name} needs TensorFlow's own kernels ({', '.join(flex)}), which no device's interpreter has.",
            "Convert it again with TFLite's operators only, or choose an earlier tensor with --output-tensor.",
        )


def model_inputs(graph: Graph, name: str) -> ModelInputs:
    """Tell the input that takes an example; masks and segments of token ids are computed from the ids.

    Raises:
        ExportError: there is no input, or others are not masks and segments of token ids.
    """
    inputs = graph.inputs
    if not inputs:
        raise ExportError(f"{name} has no input that the embedding depends on.", "Choose another --output-tensor.")
    if len(inputs) == 1:
        return ModelInputs(inputs[0])
    masks = tuple(tensor for tensor in inputs if "mask" in graph.name(tensor).lower())
    segments = tuple(tensor for tensor in inputs if any(word in graph.name(tensor).lower() for word in ("type", "segment")))
    (*ids,) = (tensor for tensor in inputs if tensor not in (*masks, *segments))
    alike = len({(graph.dtype(tensor), graph.shape(tensor)) for tensor in inputs}) == 1
    if len(ids) != 1 or not alike or graph.dtype(ids[0]) not in ("int32", "int64") or -1 in graph.shape(ids[0])[1:]:
        raise ExportError(
            f"{name} takes {len(inputs)} inputs ({_inputs(graph)}); an encoder takes one example, and keeps no state.",
            "Convert it again with the others as constants.",
        )
    return ModelInputs(ids[0], masks, segments)


def _inputs(graph: Graph) -> str:
    described = zip(_described(graph, graph.inputs), graph.inputs, strict=True)
    return ", ".join(f"{text} {graph.dtype(tensor)}" for text, tensor in described)


def _one_input(graph: Graph, name: str, on_note: Callable[[str], None]) -> int:
    """The input that takes an example, with operators that compute the others from it."""
    inputs, described = model_inputs(graph, name), _inputs(graph)
    ids: int = inputs.example
    if not inputs.masks and not inputs.segments:
        return ids
    shape, dtype = [1, *graph.shape(ids)[1:]], graph.dtype(ids)
    graph.set_shape(ids, shape)
    for tensor in inputs.masks:
        graph.set_shape(tensor, shape)
        present = graph.new_tensor(ids, "bool")
        graph.compute_input("CAST", present, tensor)
        graph.compute_input("NOT_EQUAL", ids, present, np.zeros(1, dtype))
    for tensor in inputs.segments:
        graph.set_shape(tensor, shape)
        graph.make_constant(tensor, np.zeros(shape, dtype))
    on_note(f"of the inputs ({described}), ids are given, the mask is 1 where an id is not 0, and segments are all 0")
    return ids
