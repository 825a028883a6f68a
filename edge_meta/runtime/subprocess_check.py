"""Load and run a model in a child process first, since an interpreter may crash on a malformed one.

The child has a limit on time and, where the system has one, on address space, so that a crash, a hang or a wish for all
memory ends there and becomes a `BundleError` here. It is no sandbox: a model made to take over the interpreter through a
flaw in it could still do in the child all that the user may do.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from tempfile import TemporaryFile
from typing import Any, NoReturn

import numpy as np

from edge_meta.errors import BackendError, BundleError
from edge_meta.runtime.backends import RuntimeOptions, first_line, open_interpreter
from edge_meta.runtime.bundle import AGAIN, Bundle

SECONDS = 60.0
ADDRESS_SPACE = 4 << 30  # bytes; TensorFlow, the largest of the interpreters, takes 1.5 GB of it
OUTPUT = 1 << 20  # bytes that the child may write


@dataclass(frozen=True)
class Tensor:
    """An input or an output; `quantization` is (scale, zero point), None if it is not quantized.

    A dimension of `shape_signature` is -1 where the model leaves it open, and then 1 in `shape`.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    quantization: tuple[float, int] | None


@dataclass(frozen=True)
class Endpoints:
    """What a signature takes and gives; the tensors' names are the signature's own."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class ModelReport:
    """What a model is, after it has run.

    Attributes:
        backend: that ran it.
        main: subgraph 0, which a plain `invoke()` runs; the tensors' names are the model's.
        signatures: by name.
    """

    backend: str
    main: Endpoints
    signatures: Mapping[str, Endpoints]


def check_model(model: bytes, backend: str | None = None, seconds: float = SECONDS) -> ModelReport:
    """Load a model in a child process, and run subgraph 0 and every signature once with zeros.

    Args:
        model: the content of a .tflite file.
        backend: as in `RuntimeOptions`.
        seconds: after which the child is ended.

    Raises:
        BundleError: it crashed, took too long or too much memory, or the interpreter refused it, with the reason.
        BackendError: no such backend, it is not installed, or no child process can be started.
    """
    options = RuntimeOptions(backend)
    # The child finds the same packages as this process, and nothing that lies beside a downloaded bundle.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "edge_meta.runtime.subprocess_check", *filter(None, [options.backend])]
    with TemporaryFile() as said, TemporaryFile() as errors:
        try:
            code = subprocess.run(
                command, input=model, stdout=said, stderr=errors, env=environment, timeout=seconds, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            raise BundleError(f"The model was still not done after {seconds:g} s.", AGAIN) from None
        except OSError as error:
            _not_started(str(error))
        answers = [json.loads(line) for line in _lines(said) if line.endswith("\n")]
        last_error = (list(_lines(errors)) or ["it said nothing"])[-1].strip()
    if not answers:
        _not_started(last_error)
    answer = answers[-1]
    if code == 0 and "report" in answer:
        return _report(answer["report"])
    if code == 0 and "error" in answer:
        kind = BackendError if answer["error"] == "BackendError" else BundleError
        raise kind(answer["cause"], answer["remedy"])
    with suppress(ValueError):
        last_error = f"signal {signal.Signals(-code).name}" if code < 0 else last_error
    raise BundleError(f"The interpreter crashed while it was {answer.get('doing', 'ending')} ({last_error}).", AGAIN)


def check_bundle(bundle: Bundle, backend: str | None = None) -> ModelReport:
    """As `check_model` for a bundle's encoder, whose signatures must be those that the manifest lists.

    Raises:
        BundleError, BackendError: as `check_model`; or the manifest lists other signatures, or other shapes.
    """
    with bundle.named():
        report = check_model(bundle.model, backend)

    def shapes(tensors: tuple[Tensor, ...]) -> dict[str, list[int]]:
        return {tensor.name: list(tensor.shape) for tensor in tensors}

    has = {name: {"inputs": shapes(of.inputs), "outputs": shapes(of.outputs)} for name, of in report.signatures.items()}
    told = bundle.manifest.signatures
    for name in sorted({*has, *told}):
        if has.get(name) != told.get(name):
            raise BundleError(f"{bundle.path}: the manifest says otherwise of the signature {name!r} than the model.", AGAIN)
    return report


def _not_started(reason: str) -> NoReturn:
    raise BackendError(
        f"No process could be started to run the model in ({reason}).", "Run it with a Python that has edge_meta."
    )


def _lines(file: Any) -> Iterator[str]:
    file.seek(0)
    return iter(file.read(OUTPUT).decode(errors="replace").splitlines(keepends=True))


def _report(fields: dict[str, Any]) -> ModelReport:
    def tensor(of: dict[str, Any]) -> Tensor:
        fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in of.items()}
        return Tensor(**fields)

    def endpoints(of: dict[str, Any]) -> Endpoints:
        return Endpoints(tuple(map(tensor, of["inputs"])), tuple(map(tensor, of["outputs"])))

    signatures = {name: endpoints(of) for name, of in fields["signatures"].items()}
    return ModelReport(fields["backend"], endpoints(fields["main"]), signatures)


# In the child


def _main() -> None:
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
        main = _run_main(interpreter)
        signatures = {}
        for name in interpreter.get_signature_list():
            answer(doing=f"running its signature {name}")
            signatures[name] = _run_signature(interpreter, name)
        report = asdict(ModelReport(str(ran.backend), main, signatures))
        if len(json.dumps(report)) > OUTPUT // 2:
            raise BundleError("The model has too many inputs and outputs to tell.", AGAIN)
        answer(report=report)
    except (BundleError, BackendError) as error:
        answer(error=type(error).__name__, cause=error.cause, remedy=error.remedy)
    except Exception as error:
        answer(error="BundleError", cause=f"The model does not run ({first_line(error)}).", remedy=AGAIN)


def _limit() -> None:
    """No more address space and output than a model needs, and no core file of a crash, where the system has such limits."""
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
    _main()
