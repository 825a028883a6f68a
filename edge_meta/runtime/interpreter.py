"""Interpreters for `encoder.tflite`: ai-edge-litert, else tflite-runtime, else TensorFlow."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import BackendError, BundleError

# In the order in which they are tried, with what pip installs; the extra brings the NumPy that tflite-runtime needs, too.
BACKENDS = {"litert": "ai-edge-litert", "tflite": '"edge-meta[tflite]"', "tensorflow": "tensorflow"}


def _factory(backend: str) -> Callable[..., Any]:
    """The backend's Interpreter class. Raises ImportError with the reason if it is not to be had."""
    if backend == "litert":
        module = importlib.import_module("ai_edge_litert.interpreter")
    elif backend == "tflite":
        if int(np.__version__.split(".")[0]) >= 2:
            # It imports under NumPy 2, and then every Interpreter raises SystemError.
            raise ImportError(f"tflite-runtime needs numpy < 2, and numpy {np.__version__} is installed")
        module = importlib.import_module("tflite_runtime.interpreter")
    else:
        module = importlib.import_module("tensorflow").lite
    factory: Callable[..., Any] = module.Interpreter
    return factory


class Encoder:
    """An encoder in an interpreter: a normalized image in, its embedding out. Not safe to share between threads.

    Attributes:
        backend: which of `BACKENDS` runs it.
        interpreter: the backend's own object, with tensors allocated.
    """

    def __init__(self, model: bytes, backend: str | None = None, threads: int = 1) -> None:
        """Load a model.

        Args:
            model: the content of encoder.tflite; subgraph 0 is the encoder.
            backend: one of `BACKENDS`; None for the first that is installed.
            threads: that the interpreter may use; more than one can be slower on a busy machine.

        Raises:
            BackendError: no such backend, or it is not installed.
            BundleError: the interpreter refuses the model.
        """
        if backend is not None and backend not in BACKENDS:
            raise BackendError(f"There is no backend {backend!r}.", f"Use one of {', '.join(BACKENDS)}.")
        if threads < 1:
            raise BackendError(f"An interpreter cannot run on {threads} threads.", "Use 1 or more.")
        self.backend, factory = _choose(backend)
        if model[4:8] != b"TFL3":
            raise BundleError("encoder.tflite is not a TFLite model.", "Export the bundle again.")
        try:
            with warnings.catch_warnings():
                # tf.lite.Interpreter announces its removal; it is the last choice here for that reason.
                warnings.simplefilter("ignore", UserWarning)
                self.interpreter = factory(model_content=model, num_threads=threads)
            self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError, SystemError) as error:
            raise BundleError(
                f"The {self.backend} interpreter refuses encoder.tflite ({' '.join(str(error).split())}).",
                "Use another --backend (the bundle's README.md names those that take it), or export it in another format.",
            ) from None
        given, taken = self.interpreter.get_input_details()[0], self.interpreter.get_output_details()[0]
        self.input_shape: tuple[int, ...] = tuple(int(size) for size in given["shape"])
        self.dim = int(taken["shape"][-1])
        types, shape = {given["dtype"], taken["dtype"]}, taken["shape"].tolist()
        if types != {np.float32} or shape != [1, self.dim]:
            names = " and ".join(sorted(np.dtype(kind).name for kind in types))
            raise BundleError(
                f"encoder.tflite has {names} values and gives {shape}; it takes float32 and one vector.",
                "Export the bundle again.",
            )
        self._input, self._output = given["index"], taken["index"]

    def embed(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The embedding, float32 (D,), of a normalized image, float32 (1, H, W, C)."""
        self.interpreter.set_tensor(self._input, image)
        self.interpreter.invoke()
        embedding: NDArray[np.float32] = self.interpreter.get_tensor(self._output)[0]
        return embedding


def _choose(backend: str | None) -> tuple[str, Callable[..., Any]]:
    reasons = []
    for name in [backend] if backend else list(BACKENDS):
        try:
            return name, _factory(name)
        except ImportError as error:
            reasons.append(f"{name}: {error}")
    raise BackendError(
        f"No interpreter can be used ({'; '.join(reasons)}).", f"Run: pip install {BACKENDS[backend or 'litert']}"
    )
