"""Open an interpreter for a .tflite file: ai-edge-litert, else tflite-runtime, else TensorFlow.

With an accelerator, open LiteRT's CompiledModel in its place.
"""

from __future__ import annotations

import ctypes
import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from edge_meta.choices import ACCELERATORS, BACKENDS, FALLBACKS
from edge_meta.errors import BackendError, BundleError, FallbackWarning
from edge_meta.runtime.compiled_model import open_compiled
from edge_meta.runtime.graph_check import read_graph

# The extra brings the NumPy that tflite-runtime needs.
PIP_PACKAGES = {"litert": "ai-edge-litert", "tflite": '"edge-meta[tflite]"', "tensorflow": "tensorflow"}

DELEGATE_REMEDY = "Check its device, driver and --delegate-option, or go on without it with --fallback cpu."


@dataclass(frozen=True)
class RuntimeOptions:
    """Options of the interpreter that runs an encoder.

    Attributes:
        backend: one of `choices.BACKENDS`; None for the first that is installed.
        threads: that the interpreter and NumPy (`edge_meta.blas`) may use; more than one can be slower on a busy machine.
        xnnpack: whether the interpreter may delegate operators to XNNPACK, as it does by default where it can.
        delegate: an external delegate (Edge TPU, GPU, a vendor's NPU): the path of its library, or its name for the system's
            loader. It is code, and this process runs it.
        delegate_options: as the delegate's maker documents them.
        fallback: `cpu` to run without a delegate or an accelerator that does not load or does not take the model, with a
            `FallbackWarning`; None to raise an error.
        accelerator: one of `choices.ACCELERATORS`, for LiteRT's CompiledModel (`compiled_model`); None for the interpreter.

    Raises:
        BackendError: no such backend, fallback or accelerator, fewer than one thread, options without a delegate, or an
            accelerator with a delegate or with a backend that has none.
    """

    backend: str | None = None
    threads: int = 1
    xnnpack: bool = True
    delegate: str | Path | None = None
    delegate_options: Mapping[str, str] = field(default_factory=dict)
    fallback: str | None = None
    accelerator: str | None = None

    def __post_init__(self) -> None:
        if self.backend is not None and self.backend not in BACKENDS:
            raise BackendError(f"There is no backend {self.backend!r}.", f"Use one of {', '.join(BACKENDS)}.")
        if self.threads < 1:
            raise BackendError(f"An interpreter cannot run on {self.threads} threads.", "Use 1 or more.")
        if self.fallback not in (None, *FALLBACKS):
            raise BackendError(f"There is no fallback {self.fallback!r}.", "Use cpu, or leave it out.")
        if self.accelerator not in (None, *ACCELERATORS):
            raise BackendError(f"There is no accelerator {self.accelerator!r}.", f"Use one of {', '.join(ACCELERATORS)}.")
        if self.accelerator and (self.delegate is not None or self.backend not in (None, "litert")):
            raise BackendError("An accelerator takes no delegate, and the backend litert alone.", "Leave one of them out.")
        if self.delegate is None and self.delegate_options:
            raise BackendError("Delegate options are of no use without a delegate.", "Name the delegate.")
        if self.delegate is None and self.accelerator in (None, "cpu") and self.fallback:
            raise BackendError(
                "A fallback is of no use without a delegate or an accelerator.", "Name the delegate or the accelerator."
            )


DEFAULT = RuntimeOptions()


def open_interpreter(model: bytes, options: RuntimeOptions = DEFAULT) -> tuple[RuntimeOptions, Any]:
    """Load a model into an interpreter, and allocate its tensors.

    Returns:
        The options with the backend and the accelerator that were taken, and without a delegate or an accelerator after a
        fallback; and the interpreter, or a `CompiledModel`.

    Warns:
        FallbackWarning: see `RuntimeOptions`.
        AcceleratorWarning: see `open_compiled`.

    Raises:
        BackendError: the backend is not installed, or the delegate or the accelerator failed and there is no fallback.
        BundleError: the model is malformed, or the interpreter refuses it.
    """
    name, module = _choose("litert" if options.accelerator else options.backend)
    read_graph(model)
    options = replace(options, backend=name)
    if options.delegate is None and options.accelerator is None:
        return options, _interpreter(module, model, options)
    try:
        if options.accelerator is not None:
            compiled = open_compiled(model, options.accelerator, options.threads, options.xnnpack)
            return replace(options, accelerator=compiled.placement.accelerator, fallback=None), compiled
        delegate = load_delegate(module, str(options.delegate), options.delegate_options)
        try:
            return options, _interpreter(module, model, options, [delegate])
        except BundleError as refusal:
            _interpreter(module, model, options)  # raises if it is the model that is at fault
            raise BackendError(
                f"The delegate {options.delegate} does not take the encoder: {refusal.cause}", DELEGATE_REMEDY
            ) from None
    except BackendError as error:
        if options.fallback is None:
            raise
        warnings.warn(f"{error.cause} Going on without it, on the CPU.", FallbackWarning, stacklevel=2)
        options = replace(options, delegate=None, delegate_options={}, fallback=None, accelerator=None)
        return options, _interpreter(module, model, options)


def _interpreter(module: Any, model: bytes, options: RuntimeOptions, delegates: Sequence[Any] = ()) -> Any:
    how: dict[str, Any] = {"num_threads": options.threads, "experimental_delegates": list(delegates)}
    if not options.xnnpack:
        how["experimental_op_resolver_type"] = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        with warnings.catch_warnings():
            # tf.lite.Interpreter announces its removal, which is why it is the last choice.
            warnings.simplefilter("ignore", UserWarning)
            interpreter = module.Interpreter(model_content=model, **how)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError, SystemError, MemoryError) as error:
        raise BundleError(
            f"The {options.backend} interpreter refuses the model ({first_line(error)}).",
            "Use another --backend (the bundle's README.md names those that take it), or export it in another format.",
        ) from None
    return interpreter


def load_delegate(module: Any, library: str, options: Mapping[str, str]) -> Any:
    """Load an external delegate for the interpreters of a backend's module.

    Raises:
        BackendError: there is no such library, it is no delegate, or it does not find its device.
    """
    try:
        found = ctypes.PyDLL(library)
    except (OSError, ValueError) as error:
        raise BackendError(
            f"The delegate {library} cannot be loaded ({first_line(error)}).",
            "Give the path of its library, or a name that the system's loader knows.",
        ) from None
    # Without this check, the backends print a traceback when the functions are missing.
    if not all(hasattr(found, f"tflite_plugin_{act}_delegate") for act in ("create", "destroy")):
        raise BackendError(f"{library} is a library, but not an external delegate.", DELEGATE_REMEDY)
    try:
        return module.load_delegate(library, dict(options))
    except (ValueError, RuntimeError) as error:
        said = str(error).partition("\n")[2].strip() or "it gives no reason"
        raise BackendError(f"The delegate {library} does not start ({said}).", DELEGATE_REMEDY) from None


def first_line(error: BaseException) -> str:
    """The first line of an interpreter's message; the others are advice to its own developers."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def backend_module(name: str) -> Any:
    """Import the module, or a namespace, that has the backend's Interpreter, OpResolverType and load_delegate.

    Raises:
        ImportError: the backend cannot be used, with the reason.
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
    for name in [backend] if backend else BACKENDS:
        try:
            return name, backend_module(name)
        except ImportError as error:
            reasons.append(f"{name}: {error}")
    raise BackendError(
        f"No interpreter can be used ({'; '.join(reasons)}).", f"Run: pip install {PIP_PACKAGES[backend or 'litert']}"
    )
