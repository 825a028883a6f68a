"""A bundle's encoder in every installed back end, with and without XNNPACK, and by number of threads, in turn.

Each back end runs in a process of its own: the packages bring the same native library in different versions, which do not
share a process well, and one that crashes takes nothing with it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np

from edge_meta.benchmarking import timing
from edge_meta.errors import BackendError, EdgeMetaError
from edge_meta.runtime.backends import RuntimeOptions, backend_module
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder

THREADS = (1, 2, 4)
PACKAGES = {"litert": "ai_edge_litert", "tflite": "tflite_runtime", "tensorflow": "tensorflow"}
WARMUP = 10


def installed() -> list[str]:
    """Back ends whose package is there, whether it works or not."""
    return [backend for backend, package in PACKAGES.items() if importlib.util.find_spec(package) is not None]


def variants(options: RuntimeOptions, backends: Sequence[str], cores: int) -> list[RuntimeOptions]:
    """The options themselves; then, without a delegate, other numbers of threads, and each of the back ends with and without
    XNNPACK."""
    plain = replace(options, delegate=None, delegate_options={}, fallback=None)
    others = [plain, *(replace(plain, threads=threads) for threads in THREADS if threads <= cores)]
    others += [replace(plain, backend=backend, xnnpack=xnnpack) for backend in backends for xnnpack in (True, False)]
    chosen = [options, *others]
    return [each for at, each in enumerate(chosen) if each not in chosen[:at]]


def side_by_side(bundle: Bundle, chosen: Sequence[RuntimeOptions], runs: int, limit: float) -> list[dict[str, Any]]:
    """Time the stage `embed` in each of the variants.

    Args:
        chosen: variants; each names its back end.
        runs, limit: of each, as in `timing.in_turn`.

    Returns:
        For each: backend, threads, xnnpack, delegate; load_ms (interpreter with tensors allocated), the figures of
        `timing.summary`, and `ratio`, p50 over the first variant's. Or those four and `error`, why it does not run.
    """
    rows: list[dict[str, Any]] = [
        {
            "backend": each.backend,
            "threads": each.threads,
            "xnnpack": each.xnnpack,
            "delegate": None if each.delegate is None else str(each.delegate),
        }
        for each in chosen
    ]
    with ExitStack() as running:
        workers = {str(each.backend): running.enter_context(_Worker(bundle)) for each in chosen}
        samplers: dict[int, timing.Sampler] = {}
        for at, (row, options) in enumerate(zip(rows, chosen, strict=True)):
            worker = workers[str(options.backend)]
            try:
                row["load_ms"] = round(1e3 * worker.load(at, options), 2)
                samplers[at] = worker.sampler(at)
            except BackendError as error:
                row["error"] = error.cause
        for at, rounds in timing.in_turn(samplers, runs, WARMUP, limit).items():
            rows[at].update(timing.summary(rounds))
    if "p50_us" in rows[0]:
        for row in rows:
            if "p50_us" in row:
                row["ratio"] = round(row["p50_us"] / rows[0]["p50_us"], 2)
    return rows


class _Worker:
    """A process that has encoders of one bundle, and times them when it is asked to."""

    def __init__(self, bundle: Bundle) -> None:
        # The child finds the same packages as this process.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        # Not -m: the package that is imported first has this module already, and Python warns of that.
        command = [sys.executable, "-c", f"from {__name__} import _main; _main()", str(bundle.path)]
        self._process = subprocess.Popen(
            command, env=environment, encoding="utf-8", bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def load(self, number: int, options: RuntimeOptions) -> float:
        """Load an encoder under a number; returns the seconds that it took.

        Raises:
            BackendError: it does not run so.
        """
        return float(self._ask(load=number, options=vars(options)))

    def sampler(self, number: int) -> timing.Sampler:
        def sample(times: int) -> list[float]:
            taken: list[float] = self._ask(number=number, times=times)
            return taken

        return sample

    def _ask(self, **question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question, default=str) + "\n")
            answer = json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            raise BackendError(f"The process that should run it ended with code {self._process.wait()}.", "") from None
        if "error" in answer:
            raise BackendError(answer["error"], "")
        return answer["answer"]

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()


# In the child


def _answers(questions: Iterator[str], bundle: Bundle) -> Iterator[dict[str, Any]]:
    encoders: dict[int, Encoder] = {}
    takes = bundle.manifest.input_spec
    image = takes.normalize(takes.synthetic(np.random.default_rng(0), 1))
    for line in questions:
        question = json.loads(line)
        try:
            if "load" in question:
                options = RuntimeOptions(**question["options"])
                with suppress(ImportError):  # which is then told as loading's own
                    backend_module(str(options.backend))
                started = time.perf_counter()
                encoders[question["load"]] = Encoder(bundle.model, options)
                taken: Any = time.perf_counter() - started
                encoders[question["load"]].embed(image)
            else:
                taken = timing.sampler(partial(encoders[question["number"]].embed, image))(question["times"])
            yield {"answer": taken}
        except EdgeMetaError as error:
            yield {"error": error.cause}


def _main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # what native code prints is no answer
    for answer in _answers(iter(sys.stdin.readline, ""), Bundle.open(sys.argv[1])):
        answers.write(json.dumps(answer) + "\n")
