"""Write EfficientNet-Lite0 as an ONNX file and run it, in a venv that has onnx and onnxruntime; see `converter_check`.

python lite0_onnx.py WEIGHTS.npz BLOCKS.json IMAGES.npy MODEL.onnx EMBEDDINGS.npy
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

EPSILON = 1e-3  # of batch norms


class Network:
    """An ONNX graph that grows by a node at a time, in PyTorch's order of axes."""

    def __init__(self, weights: Any) -> None:
        self._weights = weights
        self._constants: dict[str, Any] = {}
        self.nodes: list[Any] = []

    @property
    def constants(self) -> list[Any]:
        return list(self._constants.values())

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, values: Any = None) -> str:
        """A constant of that name, by default the weights'."""
        values = self._weights[name] if values is None else np.float32(values)
        self._constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def layer(self, x: str, conv: str, norm: str, stride: int = 1, groups: int = 1, relu: bool = True) -> str:
        """A convolution with its batch norm, and a ReLU6."""
        x = self.add(
            "Conv", x, self.constant(f"{conv}.weight"), auto_pad="SAME_UPPER", strides=[stride, stride], group=groups
        )
        parts = [self.constant(f"{norm}.{part}") for part in ("weight", "bias", "running_mean", "running_var")]
        x = self.add("BatchNormalization", x, *parts, epsilon=EPSILON)
        return self.add("Clip", x, self.constant("lowest", 0.0), self.constant("highest", 6.0)) if relu else x


def lite0(weights: Any, blocks: list[dict[str, int]], size: int) -> Any:
    """The network to its pooled features, (1, 3, size, size) → (1, 1280)."""
    network = Network(weights)
    x, width = network.layer("image", "_conv_stem", "_bn0", stride=2), 32
    for number, block in enumerate(blocks):
        name, y, inner = f"_blocks.{number}", x, width
        if block["expansion"] > 1:
            y, inner = network.layer(y, f"{name}._expand_conv", f"{name}._bn0"), block["expansion"] * width
        y = network.layer(y, f"{name}._depthwise_conv", f"{name}._bn1", block["stride"], groups=inner)
        y = network.layer(y, f"{name}._project_conv", f"{name}._bn2", relu=False)
        x = network.add("Add", x, y) if block["stride"] == 1 and width == block["filters"] else y
        width = block["filters"]
    x = network.layer(x, "_conv_head", "_bn1")
    x = network.add("Flatten", network.add("GlobalAveragePool", x), axis=1)
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("image", [1, 3, size, size]), (x, [1, 1280]))
    ]
    graph = helper.make_graph(network.nodes, "lite0", ends[:1], ends[1:], network.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main() -> None:
    """Write the model and its embeddings of the images (n, 3, size, size)."""
    weights, blocks, images, output, embeddings = sys.argv[1:]
    given = np.load(images)
    with open(blocks) as file:
        model = lite0(np.load(weights), json.load(file), given.shape[2])
    onnx.checker.check_model(model)
    onnx.save(model, output)
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    np.save(embeddings, np.concatenate([session.run(None, {"image": image[None]})[0] for image in given]))


if __name__ == "__main__":
    main()
