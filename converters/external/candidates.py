"""Find the tensors of another maker's classifier or encoder that may be its embedding.

Class probabilities say little of classes that the model does not know. What its last layer takes tells new classes apart
(weight imprinting, Qi et al. 2018).
"""

from __future__ import annotations

from math import prod

from converters.tflite.edit_graph import Graph, Step

LAYERS = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "GATHER"}
LAYERS |= {"UNIDIRECTIONAL_SEQUENCE_LSTM", "WHILE", "LSTM", "CONV_3D", "EMBEDDING_LOOKUP"}
POOLS = {"MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D", "REDUCE_MAX", "SUM"}
OF_CLASSES = {"SOFTMAX", "LOGISTIC", "LOG_SOFTMAX"}
NAMED = ("embed", "feature", "bottleneck", "descriptor")
MOST = 4
LARGEST = 65536


def candidates(graph: Graph, output: int, names: tuple[str, ...] = ()) -> list[int]:
    """List the tensors that may be the embedding, the likeliest first.

    The first is the input of the last fully connected layer, or of a convolution of one pixel that serves as one before
    class probabilities. Where there is none, or the output is named an embedding or has unit length, it is the output.

    Args:
        output: the model's.
        names: other names of the output, such as that of the layer that gives it.
    """
    steps = {tensor: step for step in graph.steps() for tensor in step.outputs}
    chain = _main_path(graph, steps, output)
    ends = [step.name for step in chain]
    last = next((place for place, name in enumerate(ends) if name in LAYERS), len(ends))
    behind = set(ends[:last])
    found = [output]
    if last < len(ends):
        layer = chain[last]
        inner = _data_input(graph, layer)
        dense = layer.name in ("FULLY_CONNECTED", "BATCH_MATMUL")
        classes = bool(behind & OF_CLASSES)
        below = {step.name for step in chain[last + 1 :]}
        if (
            inner is not None
            and (dense or (classes and layer.name == "CONV_2D"))
            and is_vector(graph, inner)
            and below & LAYERS
        ):
            of_an_encoder = "L2_NORMALIZATION" in behind or "RSQRT" in behind or _says_embedding(graph, output, names)
            found = [output, inner] if of_an_encoder and not classes else [inner, output]
        if behind & OF_CLASSES and is_vector(graph, layer.outputs[0]):
            found.append(layer.outputs[0])
    if found == [output] and behind & OF_CLASSES:
        # Pooled scores of classes, before they become probabilities.
        scores = next((step.outputs[0] for step in chain[:last] if step.name in POOLS), output)
        found = [scores, output] if is_vector(graph, scores) else found
    pooled = [step.outputs[0] for step in chain if step.name in POOLS and is_vector(graph, step.outputs[0])]
    vectors = [tensor for tensor in dict.fromkeys([*found, *pooled]) if is_vector(graph, tensor)]
    return vectors[:MOST] or [output]


def is_vector(graph: Graph, tensor: int) -> bool:
    """Tell whether a tensor holds one vector of 4 values or more; a batch of open size counts as one."""
    shape = graph.shape(tensor)
    sizes = [1, *shape[1:]] if shape and shape[0] == -1 else list(shape)
    return 4 <= prod(sizes) == max(sizes, default=0) <= LARGEST


def _main_path(graph: Graph, steps: dict[int, Step], output: int) -> list[Step]:
    """The operators that lead to a tensor, the last first, by the first computed input of each."""
    path: list[Step] = []
    tensor: int | None = output
    while tensor is not None and tensor in steps and len(path) < len(steps):
        path.append(steps[tensor])
        tensor = _data_input(graph, steps[tensor])
    return path


def _data_input(graph: Graph, step: Step) -> int | None:
    return next((index for index in step.inputs if index >= 0 and graph.constant(index) is None), None)


def _says_embedding(graph: Graph, output: int, names: tuple[str, ...]) -> bool:
    return any(word in name.lower() for name in (graph.name(output), *names) for word in NAMED)
