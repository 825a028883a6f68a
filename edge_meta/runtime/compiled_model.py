"""LiteRT's CompiledModel, which runs an encoder on a GPU or NPU, behind the interface of the interpreters.

A GPU is reached through WebGPU (Vulkan, Metal or Direct3D), an NPU through its vendor's plugin. LiteRT tells only in its
log how many operators run where, so the log of each compilation is read.
"""

from __future__ import annotations

import ctypes
import importlib
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import AcceleratorWarning, BackendError
from edge_meta.runtime.graph_check import read_graph
from edge_meta.runtime.main_graph import keeps_state, main_graph
from edge_meta.runtime.native_log import native_log
from edge_meta.runtime.placement import Placement, device_named, failure

DTYPES = ("float32", "int32", "int8", "uint8", "bool")  # that a TensorBuffer takes
IN_ORDER = ("npu", "gpu")  # in which `auto` tries them
ON_THE_CPU = "use --accelerator cpu, or go on without it with --fallback cpu."
REMEDIES = {
    "gpu": f"Install the GPU's driver (on Linux for Vulkan, with libvulkan1; VK_ICD_FILENAMES may name it), {ON_THE_CPU}",
    "npu": f"Install the NPU vendor's runtime for ai-edge-litert, {ON_THE_CPU}",
    "auto": f"Name the accelerator to see why it fails, {ON_THE_CPU}",
    "cpu": "Leave out --accelerator, or export the bundle again.",
}


class CompiledModel:
    """Subgraph 0 of a model, compiled for an accelerator, with the methods of an interpreter that `Encoder` calls.

    Attributes:
        placement: where its operators run.
    """

    placement: Placement

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._buffers = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
        signature = compiled.get_signature_by_index(0)["key"]
        self._details = [
            _details(compiled.get_input_tensor_details(signature)),
            _details(compiled.get_output_tensor_details(signature)),
        ]

    def get_input_details(self) -> list[dict[str, Any]]:
        """Name, index, shape and dtype of each input."""
        return self._details[0]

    def get_output_details(self) -> list[dict[str, Any]]:
        """Name, index, shape and dtype of each output."""
        return self._details[1]

    def set_tensor(self, index: int, value: NDArray[Any]) -> None:
        """Copy an input's values to the accelerator."""
        self._buffers[0][index].write(value)

    def reset_all_variables(self) -> None:
        """Do nothing: models with variables are refused."""

    def invoke(self) -> None:
        """Run it.

        Raises:
            RuntimeError: the accelerator fails.
        """
        self._compiled.run_by_index(0, *self._buffers)

    def run_zeros(self) -> None:
        """Run it once with inputs of zeros; raises as `invoke` does."""
        for details in self.get_input_details():
            self.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
        self.invoke()
        self.get_tensor(0)

    def get_tensor(self, index: int) -> NDArray[Any]:
        """Copy an output's values from the accelerator; waits until they are there."""
        details = self._details[1][index]
        values: NDArray[Any] = self._buffers[1][index].read(int(np.prod(details["shape"])), details["dtype"])
        shaped: NDArray[Any] = values.reshape(details["shape"])
        return shaped


def open_compiled(model: bytes, accelerator: str, threads: int, xnnpack: bool) -> CompiledModel:
    """Compile subgraph 0 of a model.

    Args:
        model: the content of a .tflite file.
        accelerator: one of `choices.ACCELERATORS`. `auto` takes an NPU, else a GPU that is hardware.
        threads, xnnpack: for operators on the CPU, as in `RuntimeOptions`.

    Warns:
        AcceleratorWarning: some of the operators run on the CPU, or the GPU is a program.

    Raises:
        BackendError: ai-edge-litert is not installed, the accelerator is not there or takes no operator, or the model keeps
            state between runs.
        BundleError: the model is malformed.
    """
    _module()
    if keeps_state(model):
        raise BackendError("The encoder keeps state between runs, which CompiledModel cannot reset.", REMEDIES["cpu"])
    if accelerator != "auto":
        compiled = _compiled(model, accelerator, threads, xnnpack)
    else:
        compiled = _first_that_runs(model, threads, xnnpack)
    placement = compiled.placement
    if placement.software:
        _note(f"The GPU is a program that computes on the CPU: {placement.device}.")
    if placement.accelerator != "cpu" and placement.on_cpu:
        refused = f" ({'; '.join(placement.refused)})" if placement.refused else ""
        _note(
            f"The {placement.accelerator.upper()} runs {placement.accelerated} of the encoder's {placement.operators} "
            f"operators, the CPU the others{refused}."
        )
    return compiled


def _first_that_runs(model: bytes, threads: int, xnnpack: bool) -> CompiledModel:
    reasons = []
    for accelerator in IN_ORDER:
        try:
            compiled = _compiled(model, accelerator, threads, xnnpack)
        except BackendError as error:
            reasons.append(error.cause)
            continue
        if not compiled.placement.software:
            return compiled
        reasons.append(f"The GPU is a program that computes on the CPU: {compiled.placement.device}.")
    raise BackendError(f"No accelerator was found. {' '.join(reasons)}", REMEDIES["auto"])


def _compiled(model: bytes, accelerator: str, threads: int, xnnpack: bool) -> CompiledModel:
    litert, operators = _module(), len(read_graph(model)[0].operators)
    kinds = litert.HardwareAccelerator
    kernels = None if xnnpack else litert.CpuKernelMode.BUILTIN
    options = litert.Options(
        kinds.CPU | getattr(kinds, accelerator.upper()),
        cpu_options=litert.CpuOptions(num_threads=threads, kernel_mode=kernels),
        # Half precision would set its embeddings apart from those of other devices, in the same store.
        gpu_options=litert.GpuOptions(enforce_f32=True),
    )
    refusal = None
    with native_log() as log:
        try:
            environment = _environment()
            compiled = litert.CompiledModel.from_buffer(
                main_graph(model), options=options, environment=environment.of_litert
            )
            found = CompiledModel(compiled)
            found.run_zeros()  # so that a device that fails is found now
        except (RuntimeError, ValueError) as error:
            refusal = str(error)
    if refusal is not None:
        raise BackendError(f"{_named(accelerator)} cannot be used ({_reason(refusal, log)}).", REMEDIES[accelerator])
    fully = accelerator != "cpu" and compiled.is_fully_accelerated()
    environment.device = device_named(log) or environment.device  # named when the first model is compiled
    found.placement = Placement.of(accelerator, fully, operators, log, environment.device)
    if accelerator != "cpu" and not found.placement.accelerated:
        raise BackendError(
            f"{_named(accelerator)} runs none of the encoder's operators ({failure(log)}).", REMEDIES[accelerator]
        )
    return found


def _reason(refusal: str, log: Sequence[str]) -> str:
    told = failure(log)
    return told if refusal.startswith("ERROR") else refusal or told


def _named(accelerator: str) -> str:
    return "CompiledModel" if accelerator == "cpu" else f"The {accelerator.upper()}"


def _details(tensors: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    for tensor in tensors.values():
        if tensor["dtype"] not in DTYPES:
            raise BackendError(f"CompiledModel takes no tensors of {tensor['dtype']}.", REMEDIES["cpu"])
    return [
        {"name": name, "index": at, "shape": np.array(tensor["shape"], np.int32), "dtype": np.dtype(tensor["dtype"]).type}
        for at, (name, tensor) in enumerate(tensors.items())
    ]


def _note(text: str) -> None:
    warnings.warn(text, AcceleratorWarning, stacklevel=2)


def _module() -> Any:
    try:
        return importlib.import_module("ai_edge_litert.compiled_model")
    except ImportError as error:
        raise BackendError(
            f"Accelerators need ai-edge-litert's CompiledModel ({error}).", "Run: pip install ai-edge-litert"
        ) from None


class _Environment:
    """LiteRT's environment, which all models of the process share: each new one would load the drivers again.

    Attributes:
        of_litert: its own object.
        device: the name of the GPU, once it is known.
    """

    def __init__(self) -> None:
        self.of_litert = _module().Environment.create()
        self.device: str | None = None
        # It must not end before the process does: models may outlive this module at exit.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.of_litert.capsule))


@cache
def _environment() -> _Environment:
    return _Environment()
