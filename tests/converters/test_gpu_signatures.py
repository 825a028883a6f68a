"""New files run on a GPU alone, every signature, and give the CPU's values. The GPU is SwiftShader, a program."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ai_edge_litert.compiled_model import CompiledModel, GpuOptions, HardwareAccelerator, Options
from ai_edge_litert.interpreter import Interpreter
from support.device import swiftshader

CLASSES, SHOTS, USED = 8, 16, 5


def inputs_of(name: str, shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Values for a signature's inputs, with labels that take no part and rows of padding."""
    rng = np.random.default_rng(0)
    given = {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}
    enrolled = (np.arange(CLASSES) < USED).astype(np.float32)
    given |= {key: enrolled for key in ("counts", "class_mask") if key in shapes}
    if name == "train_step":
        given["onehot"] = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, USED, SHOTS)]
        given["onehot"][-3:] = 0.0
        given["learning_rate"] = np.full(1, 0.1, np.float32)
    return given


@pytest.mark.parametrize("quantize", ["float32", "int8"])
def test_every_signature_runs_on_a_gpu_alone(
    converted: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, quantize: str
) -> None:
    for name, value in swiftshader().items():
        monkeypatch.setenv(name, value)
    model = converted(quantize, CLASSES, SHOTS)
    options = Options(HardwareAccelerator.GPU, gpu_options=GpuOptions(enforce_f32=True))
    compiled, interpreter = CompiledModel.from_buffer(model, options=options), Interpreter(model_content=model)
    assert compiled.is_fully_accelerated()
    for index, (name, ends) in enumerate(compiled.get_signature_list().items()):
        shapes = {key: details["shape"] for key, details in compiled.get_input_tensor_details(name).items()}
        given = inputs_of(name, shapes)
        expected = interpreter.get_signature_runner(name)(**given)
        buffers = compiled.create_input_buffers(index), compiled.create_output_buffers(index)
        for buffer, key in zip(buffers[0], ends["inputs"], strict=True):
            buffer.write(given[key])
        compiled.run_by_index(index, *buffers)
        for buffer, key in zip(buffers[1], ends["outputs"], strict=True):
            found = buffer.read(expected[key].size, np.float32).reshape(expected[key].shape)
            steps = 0.05 if name == "embed" and quantize == "int8" else 1e-5
            near = np.abs(expected[key][expected[key] < 1e30]).max()
            np.testing.assert_allclose(found, expected[key], rtol=1e-5, atol=steps * near, err_msg=f"{name} {key}")
