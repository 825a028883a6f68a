"""Interpreters for .tflite files: ai-edge-litert, else tflite-runtime, else TensorFlow; and how they are to run."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from edge_meta.errors import BackendError, BundleError

# In the order in which they are tried, with what pip installs; the extra brings the NumPy that tflite-runtime needs, too.
BACKENDS = {"litert": "ai-edge-litert", "tflite": '"edge-meta[tflite]"', "tensorflow": "tensorflow"}


@dataclass(frozen=True)
class RuntimeOptions:
    """How an encoder is to run.

    Attributes:
        backend: one of `BACKENDS`; None for the first that is installed.
        threads: that the interpreter may use; more than one can be slower on a busy machine.
        xnnpack: whether the interpreter may hand operators to XNNPACK, as it does by default where it knows how to.

    Raises:
        BackendError: no such backend, or fewer than one thread.
    """

    backend: str | None = None
    threads: int = 1
    xnnpack: bool = True

    def __post_init__(self) -> None:
        if self.backend is not None and self.backend not in BACKENDS:
            raise BackendError(f"There is no backend {self.backend!r}.", f"Use one of {', '.join(BACKENDS)}.")
        if self.threads < 1:
            raise BackendError(f"An interpreter cannot run on {self.threads} threads.", "Use 1 or more.")


DEFAULT = RuntimeOptions()


def open_interpreter(model: bytes, options: RuntimeOptions = DEFAULT) -> tuple[str, Any]:
    """Load a model; returns the backend's name and its interpreter, with tensors allocated.

    Raises:
        BackendError: the backend is not installed.
        BundleError: the interpreter refuses the model.
    """
    name, backend = _choose(options.backend)
    if model[4:8] != b"TFL3":
        raise BundleError("encoder.tflite is not a TFLite model.", "Export the bundle again.")
    how: dict[str, Any] = {"num_threads": options.threads}
    if not options.xnnpack:
        how["experimental_op_resolver_type"] = backend.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        with warnings.catch_warnings():
            # tf.lite.Interpreter announces its removal; it is the last choice here for that reason.
            warnings.simplefilter("ignore", UserWarning)
            interpreter = backend.Interpreter(model_content=model, **how)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError, SystemError, MemoryError) as error:
        reason = first_line(error)
        raise BundleError(
            f"The {name} interpreter refuses encoder.tflite ({reason}).",
            "Use another --backend, or export the bundle again.",
        ) from None
    return name, interpreter


def first_line(error: BaseException) -> str:
    """What an interpreter says; the lines after the first are advice to its own developers."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def backend_module(name: str) -> Any:
    """What has the backend's Interpreter, OpResolverType and load_delegate.

    Raises:
        ImportError: with the reason, if it is not to be had.
    """
    if name == "litert":
        return importlib.import_module("ai_edge_litert.interpreter")
    if name == "tflite":
        if int(np.__version__.split(".")[0]) >= 2:
            # It imports under NumPy 2, and then every Interpreter raises SystemError.
            raise ImportError(f"tflite-runtime needs numpy < 2, and numpy {np.__version__} is installed")
        return importlib.import_module("tflite_runtime.interpreter")
    lite = importlib.import_module("tensorflow").lite
    return SimpleNamespace(
        Interpreter=lite.Interpreter,
        OpResolverType=lite.experimental.OpResolverType,
        load_delegate=lite.experimental.load_delegate,
    )


def _choose(backend: str | None) -> tuple[str, Any]:
    reasons = []
    for name in [backend] if backend else list(BACKENDS):
        try:
            return name, backend_module(name)
        except ImportError as error:
            reasons.append(f"{name}: {error}")
    raise BackendError(
        f"No interpreter can be used ({'; '.join(reasons)}).", f"Run: pip install {BACKENDS[backend or 'litert']}"
    )
