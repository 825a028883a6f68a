"""Give each image of a batch inside a graph a pass of its own, for accelerators that take one image at a time."""

from __future__ import annotations

from typing import Any

from converters.tflite.edit import add_tensor, new_operator
from converters.tflite.model import DTYPES, operator_name


def separate_images(model: Any) -> bool:
    """Run a part on two images, which is between a CONCATENATION of them and a RESHAPE into one row, on each by itself.

    That is what a mirrored view makes of an encoder. The passes share their weights, and the results are equal.

    Args:
        model: a parsed file, whose first subgraph is changed in place.

    Returns:
        Whether it has such a part, of operators that treat each image alone.
    """
    graph = model.subgraphs[0]
    names = [operator_name(model, operator) for operator in graph.operators]
    passes: list[dict[int, int]] = [{}, {}]  # the tensor of each pass in place of one of both images
    operators: list[Any] = []
    joins = [at for at, name in enumerate(names) if name == "CONCATENATION" and _joins_two(model, graph.operators[at])]
    if not joins:
        return False
    first = joins[0]
    images = graph.operators[first]
    for copies, image in zip(passes, images.inputs, strict=True):
        copies[int(images.outputs[0])] = int(image)
    for name, operator in zip(names[first + 1 :], graph.operators[first + 1 :], strict=True):
        inputs, result = [int(index) for index in operator.inputs], int(operator.outputs[0])
        if not passes[0].keys() & set(inputs):
            operators.append(operator)
        elif name == "RESHAPE" and _shape(model, result)[0] == 1:
            rows = [copies[inputs[0]] for copies in passes]
            if _shape(model, rows[0]) != (1, _shape(model, result)[-1] // 2):
                return False
            operators.append(new_operator(model, "CONCATENATION", rows, [result], 2, axis=1))
        elif name in ALONE and _shape(model, result)[0] == 2 and not _pairs(model, name, inputs, passes[0]):
            for number, copies in enumerate(passes):
                copies[result] = _one_of(model, result, number)
                operators.append(_again(operator, [copies.get(index, index) for index in inputs], copies[result]))
        else:
            return False
    if passes[0].keys() & {int(output) for output in graph.outputs}:
        return False
    graph.operators = [*graph.operators[:first], *operators]
    return True


# Operators whose result for an image depends on that image alone. MEAN is one unless it averages over the batch, and then
# its result is of one image.
ALONE = frozenset({"ADD", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "MEAN", "MUL", "RELU", "RELU6"})


def _joins_two(model: Any, operator: Any) -> bool:
    shapes = [_shape(model, int(index)) for index in operator.inputs]
    joined = _shape(model, int(operator.outputs[0]))
    return len(shapes) == 2 and shapes[0] == shapes[1] and joined == (2, *shapes[0][1:]) and shapes[0][0] == 1


def _pairs(model: Any, name: str, inputs: list[int], of_both: dict[int, int]) -> bool:
    """Whether an ADD or MUL takes an operand for each image, from outside of the passes."""
    others = [_shape(model, index) for index in inputs if index not in of_both]
    return name in ("ADD", "MUL") and any(len(shape) == len(_shape(model, inputs[0])) and shape[0] == 2 for shape in others)


def _one_of(model: Any, tensor: int, number: int) -> int:
    """Add a tensor like one of two images, for one of them."""
    found = model.subgraphs[0].tensors[tensor]
    name = f"{found.name.decode()}/{number}"
    made = add_tensor(model, name, str(DTYPES[found.type]), (1, *_shape(model, tensor)[1:]))
    model.subgraphs[0].tensors[made].quantization = found.quantization
    return made


def _again(operator: Any, inputs: list[int], result: int) -> Any:
    copied = type(operator)()
    vars(copied).update(vars(operator))
    copied.inputs, copied.outputs = inputs, [result]
    return copied


def _shape(model: Any, tensor: int) -> tuple[int, ...]:
    return tuple(int(size) for size in model.subgraphs[0].tensors[tensor].shape)
