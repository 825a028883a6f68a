"""Load and run a model in a child process first, since an interpreter may crash on a malformed one.

The child, `subprocess_check_child`, has a limit on time and, where the system has one, on address space. A crash, a hang or
a demand for all memory ends there and becomes a `BundleError` here. It is no sandbox: a model made to take over the
interpreter through a flaw in it could still do in the child all that the user may do.
"""

from __future__ import annotations

import os
import sys

from edge_meta.errors import BackendError, BundleError
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import AGAIN, Bundle
from edge_meta.runtime.child_process import Exit, run_python
from edge_meta.runtime.model_report import ModelReport, Tensor

SECONDS = 60.0


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
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"}
    arguments = ["-m", "edge_meta.runtime.subprocess_check_child", *filter(None, [options.backend])]
    try:
        return report_of(run_python(*arguments, content=model, environment=environment, seconds=seconds))
    except TimeoutError as error:
        raise BundleError(f"The model was {error}.", AGAIN) from None


def report_of(child: Exit) -> ModelReport:
    """The report that the child answered with.

    Raises:
        BundleError, BackendError: as `check_model`.
    """
    if child.answer is None:
        raise BackendError(
            f"No process could be started to run the model in ({child.reason}).", "Run it with a Python that has edge_meta."
        )
    answer = child.answer
    if child.code == 0 and "report" in answer:
        return ModelReport.from_json(answer["report"])
    if child.code == 0 and "error" in answer:
        kind = BackendError if answer["error"] == "BackendError" else BundleError
        raise kind(answer["cause"], answer["remedy"])
    raise BundleError(f"The interpreter crashed while it was {answer.get('doing', 'ending')} ({child.reason}).", AGAIN)


def check_bundle(bundle: Bundle, backend: str | None = None) -> ModelReport:
    """Check a bundle's encoder as `check_model` does, and that its signatures are those of the manifest.

    Raises:
        BundleError, BackendError: as `check_model`; or the manifest lists other signatures, or other shapes.
    """
    with bundle.naming_errors():
        report = check_model(bundle.model, backend)

    def shapes(tensors: tuple[Tensor, ...]) -> dict[str, list[int]]:
        return {tensor.name: list(tensor.shape) for tensor in tensors}

    found = {name: {"inputs": shapes(of.inputs), "outputs": shapes(of.outputs)} for name, of in report.signatures.items()}
    listed = bundle.manifest.signatures
    for name in sorted({*found, *listed}):
        if found.get(name) != listed.get(name):
            raise BundleError(f"{bundle.path}: the manifest lists the signature {name!r} otherwise than the model.", AGAIN)
    return report
