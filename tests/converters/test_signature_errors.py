"""The proof of each signature: a right file has small errors, and a head that is wrong in any way is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from converters.quantization.signature_errors import signature_errors
from edge_meta.errors import ExportError

RATES = (0.05,) * 10
LABELS = np.repeat(np.arange(6, dtype=np.int32), 5)


@pytest.fixture(scope="module")
def exact() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(6, 8))[LABELS] + 0.3 * rng.normal(size=(30, 8))).astype(np.float32)


class Spoiled:
    """An interpreter whose one head gives something else."""

    def __init__(self, interpreter: Interpreter, head: str, output: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
        self.interpreter, self.head, self.output, self.change = interpreter, head, output, change

    def get_signature_list(self) -> dict[str, Any]:
        return self.interpreter.get_signature_list()

    def get_signature_runner(self, name: str) -> Any:
        runner = self.interpreter.get_signature_runner(name)
        if name != self.head:
            return runner

        class Wrong:
            get_input_details = runner.get_input_details

            def __call__(_, **inputs: np.ndarray) -> dict[str, np.ndarray]:  # noqa: N805
                outputs = runner(**inputs)
                return outputs | {self.output: self.change(outputs[self.output])}

        return Wrong()


@pytest.fixture(params=[(8, 16), (3, 40), (2, 1)], ids=str)
def interpreter(request: pytest.FixtureRequest, converted: Callable[..., bytes]) -> Interpreter:
    """Of heads with room for more labels and fewer shots than the data has, and the other way round."""
    return Interpreter(model_content=converted("float32", *request.param))


def test_heads_are_right_to_rounding(interpreter: Interpreter, exact: np.ndarray) -> None:
    found = signature_errors(interpreter, exact, exact, LABELS, RATES)
    assert set(found) == {"embed", "enroll", "score", "train_step"}
    assert found["embed"] == 0.0
    assert all(error < 1e-5 for error in found.values())
    moved = exact.copy()
    moved[7, 3] += 0.25
    largest = np.abs(exact).max()
    assert signature_errors(interpreter, exact, moved, LABELS, RATES)["embed"] == pytest.approx(0.25 / largest, rel=1e-2)


@pytest.mark.parametrize(
    ("head", "output"),
    [
        ("enroll", "prototypes"), ("enroll", "counts"), ("score", "distances"), ("score", "scores"), ("train_step", "W"),
        ("train_step", "b"), ("train_step", "loss"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("change", [lambda values: 0.95 * values - 0.05, lambda values: values * np.nan], ids=["off", "nan"])
def test_a_head_that_is_wrong_is_refused_and_named(
    converted: Callable[..., bytes], exact: np.ndarray, head: str, output: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    interpreter = Spoiled(Interpreter(model_content=converted("float32", 8, 16)), head, output, change)
    with pytest.raises(ExportError, match=f"The head {head} of the converted file is off by"):
        signature_errors(interpreter, exact, exact, LABELS, RATES)
