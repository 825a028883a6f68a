"""Write EfficientNet-Lite0 as a .pt2 file and run it, in a venv that has PyTorch; see `converter_check`.

python lite0_pt2.py WEIGHTS.npz BLOCKS.json IMAGES.npy MODEL.pt2 EMBEDDINGS.npy
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import torch
from torch.nn import functional

EPSILON = 1e-3  # of batch norms


class Lite0(torch.nn.Module):  # type: ignore[misc]
    """The network to its pooled features, (1, 3, size, size) → (1, 1280)."""

    def __init__(self, weights: Any, blocks: list[dict[str, int]]) -> None:
        super().__init__()
        self._blocks = blocks
        for name in weights.files:
            self.register_buffer(name.replace(".", "/"), torch.from_numpy(weights[name]))

    def _value(self, name: str) -> torch.Tensor:
        return self.get_buffer(name.replace(".", "/"))

    def _layer(
        self, x: torch.Tensor, conv: str, norm: str, stride: int = 1, groups: int = 1, relu: bool = True
    ) -> torch.Tensor:
        kernel = self._value(f"{conv}.weight")
        wanted = [max((-(-size // stride) - 1) * stride + kernel.shape[-1] - size, 0) for size in x.shape[:-3:-1]]
        x = functional.pad(x, [side for total in wanted for side in (total // 2, total - total // 2)])
        x = functional.conv2d(x, kernel, stride=stride, groups=groups)
        mean, variance, scale, offset = (
            self._value(f"{norm}.{part}") for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = functional.batch_norm(x, mean, variance, scale, offset, eps=EPSILON)
        return functional.relu6(x) if relu else x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, width = self._layer(x, "_conv_stem", "_bn0", stride=2), 32
        for number, block in enumerate(self._blocks):
            name, y, inner = f"_blocks.{number}", x, width
            if block["expansion"] > 1:
                y, inner = self._layer(y, f"{name}._expand_conv", f"{name}._bn0"), block["expansion"] * width
            y = self._layer(y, f"{name}._depthwise_conv", f"{name}._bn1", block["stride"], groups=inner)
            y = self._layer(y, f"{name}._project_conv", f"{name}._bn2", relu=False)
            x = x + y if block["stride"] == 1 and width == block["filters"] else y
            width = block["filters"]
        return self._layer(x, "_conv_head", "_bn1").mean((2, 3))


def main() -> None:
    """Write the model and its embeddings of the images (n, 3, size, size)."""
    weights, blocks, images, output, embeddings = sys.argv[1:]
    given = torch.from_numpy(np.load(images))
    with open(blocks) as file:
        model = Lite0(np.load(weights), json.load(file)).eval()
    torch.export.save(torch.export.export(model, (given[:1],)), output)
    with torch.no_grad():
        np.save(embeddings, model(given).numpy())


if __name__ == "__main__":
    main()
