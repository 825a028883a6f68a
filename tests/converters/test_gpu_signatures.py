"""New files run on a GPU alone, every signature, and give the CPU's values. The GPU is SwiftShader, a program."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ai_edge_litert.compiled_model import CompiledModel, GpuOptions, HardwareAccelerator, Options
from ai_edge_litert.interpreter import Interpreter
from support.device import swiftshader

from edge_meta.runtime.bundle import Bundle

CLASSES, SHOTS, USED = 8, 16, 5  # of the models made here; fewer are enrolled


def inputs_of(name: str, shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Values for a signature's inputs, with labels that take no part and rows of padding."""
    rng = np.random.default_rng(0)
    given = {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}
    for key in shapes.keys() & {"counts", "class_mask"}:
        given[key] = (np.arange(shapes[key][0]) < USED).astype(np.float32)
    if name == "train_step":
        given["onehot"] = np.eye(shapes["onehot"][1], dtype=np.float32)[rng.integers(0, USED, shapes["onehot"][0])]
        given["onehot"][-3:] = 0.0
        given["learning_rate"] = np.full(1, 0.1, np.float32)
    return given


def check_on_a_gpu(model: bytes, steps_of_embed: float) -> None:
    """Every signature of a model runs on a GPU alone and gives the CPU's values, to a share of the largest."""
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
            steps = steps_of_embed if name == "embed" else 1e-5
            near = np.abs(expected[key][expected[key] < 1e30]).max()
            np.testing.assert_allclose(found, expected[key], rtol=1e-5, atol=steps * near, err_msg=f"{name} {key}")


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """SwiftShader is what this process finds as its GPU."""
    for name, value in swiftshader().items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("quantize", "steps"), [("float32", 1e-5), ("int8", 0.05)])
def test_every_signature_runs_on_a_gpu_alone(converted: Callable[..., bytes], quantize: str, steps: float) -> None:
    check_on_a_gpu(converted(quantize, CLASSES, SHOTS), steps)


def test_the_shipped_letters_run_on_a_gpu_alone() -> None:
    check_on_a_gpu(Bundle.open("omniglot").model, 0.05)
