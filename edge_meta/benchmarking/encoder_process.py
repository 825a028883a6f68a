"""Run a bundle's encoders in a process of its own, and time them there.

Each backend needs its own: the packages bring the same native library in different versions, which do not share a process
well, and one that crashes takes nothing with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np

from edge_meta.benchmarking import timing
from edge_meta.errors import BackendError, EdgeMetaError
from edge_meta.runtime.backends import RuntimeOptions, backend_module
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder


class EncoderProcess:
    """A process that loads encoders of one bundle, and times them when asked. Use it as a context manager.

    Attributes:
        process: ends with the context.
    """

    def __init__(self, bundle: Bundle) -> None:
        # The child finds the same packages as this process.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        # Not -m: Python warns when the package has imported the module before.
        command = [sys.executable, "-c", f"from {__name__} import main; main()", str(bundle.path)]
        self.process = subprocess.Popen(
            command, env=environment, encoding="utf-8", bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def load(self, number: int, options: RuntimeOptions) -> float:
        """Load an encoder under a number, and return the seconds that it took.

        Raises:
            BackendError: it does not run with these options.
        """
        return float(self._ask(load=number, options=vars(options)))

    def sample(self, number: int, times: int) -> list[float]:
        """Return the seconds of each of so many calls of an encoder.

        Raises:
            BackendError: the process ended.
        """
        taken: list[float] = self._ask(number=number, times=times)
        return taken

    def _ask(self, **question: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(question, default=str) + "\n")
            answer = json.loads(self.process.stdout.readline())
        except (OSError, ValueError):
            raise BackendError(f"The process that should run it ended with code {self.process.wait()}.", "") from None
        if "error" in answer:
            raise BackendError(answer["error"], "")
        return answer["answer"]

    def __enter__(self) -> EncoderProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()


# In the child


def _answers(questions: Iterator[str], bundle: Bundle) -> Iterator[dict[str, Any]]:
    """Answer questions, each a line of JSON: `load` a number with `options`, or time a `number` so many `times`."""
    encoders: dict[int, Encoder] = {}
    input_spec = bundle.manifest.input_spec
    image = input_spec.normalize(input_spec.synthetic(np.random.default_rng(0), 1))
    for line in questions:
        question = json.loads(line)
        try:
            if "load" in question:
                options = RuntimeOptions(**question["options"])
                with suppress(ImportError):  # loading raises it again, with a remedy
                    backend_module(str(options.backend))
                started = time.perf_counter()
                encoders[question["load"]] = Encoder(bundle.model, options, bundle.manifest.normalization)
                taken: Any = time.perf_counter() - started
                encoders[question["load"]].embed(image)
            else:
                taken = timing.sampler(partial(encoders[question["number"]].embed, image))(question["times"])
            yield {"answer": taken}
        except EdgeMetaError as error:
            yield {"error": error.cause}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # so that native code prints to stderr, and answers stay clean
    for answer in _answers(iter(sys.stdin.readline, ""), Bundle.open(sys.argv[1])):
        answers.write(json.dumps(answer) + "\n")
