"""The child of `subprocess_check`, a program: run the model on stdin once, and print a line of JSON for each step.

The last line is the report or an error. Those before it say what comes next, so that the parent can name it after a crash.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np

from edge_meta.errors import BackendError, BundleError
from edge_meta.runtime.backends import RuntimeOptions, first_line, open_interpreter
from edge_meta.runtime.bundle import AGAIN
from edge_meta.runtime.child_process import OUTPUT
from edge_meta.runtime.model_report import Endpoints, ModelReport, Tensor

ADDRESS_SPACE = 4 << 30  # bytes; TensorFlow, the largest of the interpreters, takes 1.5 GB of it


def main() -> None:
    """Answer with the report, or with the error's class, cause and remedy."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # what native code prints is no answer
    _limit()

    def answer(**fields: Any) -> None:
        answers.write(json.dumps(fields) + "\n")

    answer(doing="starting")
    model = sys.stdin.buffer.read()
    try:
        answer(doing="loading the model")
        ran, interpreter = open_interpreter(model, RuntimeOptions(sys.argv[1] if sys.argv[1:] else None))
        answer(doing="running subgraph 0")
        endpoints = _run_main(interpreter)
        signatures = {}
        for name in interpreter.get_signature_list():
            answer(doing=f"running its signature {name}")
            signatures[name] = _run_signature(interpreter, name)
        report = asdict(ModelReport(str(ran.backend), endpoints, signatures))
        if len(json.dumps(report)) > OUTPUT // 2:
            raise BundleError("The model has too many inputs and outputs to report.", AGAIN)
        answer(report=report)
    except (BundleError, BackendError) as error:
        answer(error=type(error).__name__, cause=error.cause, remedy=error.remedy)
    except Exception as error:
        answer(error="BundleError", cause=f"The model does not run ({first_line(error)}).", remedy=AGAIN)


def _limit() -> None:
    """Limit address space and output to what a model needs, and write no core file, where the system has such limits."""
    with suppress(ImportError):
        import resource

        for kind, most in (("RLIMIT_AS", ADDRESS_SPACE), ("RLIMIT_FSIZE", OUTPUT), ("RLIMIT_CORE", 0)):
            with suppress(AttributeError, ValueError, OSError):
                limit = getattr(resource, kind)
                _, hard = resource.getrlimit(limit)
                resource.setrlimit(limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _run_main(interpreter: Any) -> Endpoints:
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    for details in inputs:
        interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
    interpreter.invoke()
    for details in outputs:
        interpreter.get_tensor(details["index"])
    return Endpoints(
        tuple(_tensor(details["name"], details) for details in inputs),
        tuple(_tensor(details["name"], details) for details in interpreter.get_output_details()),
    )


def _run_signature(interpreter: Any, name: str) -> Endpoints:
    runner = interpreter.get_signature_runner(name)
    inputs = runner.get_input_details()
    runner(**{key: np.zeros(details["shape"], details["dtype"]) for key, details in inputs.items()})
    return Endpoints(
        tuple(_tensor(key, details) for key, details in inputs.items()),
        tuple(_tensor(key, details) for key, details in runner.get_output_details().items()),
    )


def _tensor(name: str, details: Mapping[str, Any]) -> Tensor:
    scale, zero_point = details["quantization"]
    return Tensor(
        name,
        int(details["index"]),
        tuple(map(int, details["shape"])),
        tuple(map(int, details["shape_signature"])),
        np.dtype(details["dtype"]).name,
        (float(scale), int(zero_point)) if scale else None,
    )


if __name__ == "__main__":
    main()
