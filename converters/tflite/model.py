"""What stands in a .tflite file: operators, tensors, signatures; and the encoder id that is derived from them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

_OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
MIN_RUNTIME = b"min_runtime_version"

_TYPES = {code: name for name, code in vars(schema.TensorType).items() if not name.startswith("_")}


@dataclass(frozen=True)
class Tensor:
    """A tensor of a subgraph.

    Attributes:
        place: its number in the order in which operators first use the subgraph's tensors, which tells how they are wired.
        scales, zero_points: () when it is not quantized.
        data: a constant's bytes, b"" for what is computed.
    """

    place: int
    dtype: str
    shape: tuple[int, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    data: bytes


@dataclass(frozen=True)
class Operator:
    name: str
    options: dict[str, Any]
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]

    @property
    def weights(self) -> bytes:
        return b"".join(tensor.data for tensor in self.inputs if tensor)


@dataclass(frozen=True)
class ModelFile:
    """A parsed .tflite file.

    Attributes:
        subgraphs: the operators of each, in order of execution.
        signatures: name → index into `subgraphs`.
        min_runtime: the oldest TFLite release that has all operators in their versions, as the converter noted it.
    """

    subgraphs: tuple[tuple[Operator, ...], ...]
    signatures: dict[str, int]
    min_runtime: tuple[int, ...]

    @classmethod
    def parse(cls, content: bytes) -> ModelFile:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
        names = [operator_name(code) for code in model.operatorCodes]
        return cls(
            subgraphs=tuple(_operators(model, subgraph, names) for subgraph in model.subgraphs),
            signatures={entry.signatureKey.decode(): entry.subgraphIndex for entry in model.signatureDefs or []},
            min_runtime=version_of(model),
        )

    @property
    def quantization(self) -> str:
        """In which dtype the operator with the most weights computes; `dynamic`, `float16`: its weights alone are less."""
        heaviest = max(self.subgraphs[self.signatures.get("embed", 0)], key=lambda operator: len(operator.weights))
        dtype, weights = heaviest.outputs[0].dtype, {tensor.dtype for tensor in heaviest.inputs if tensor and tensor.data}
        if dtype != "float32":
            return dtype
        return "float16" if "float16" in weights else "dynamic" if "int8" in weights else dtype

    def encoder_id(self, input_spec: dict[str, Any]) -> str:
        """32 hexadecimal digits: SHA-256 over the encoder's operators, weights, quantization, and its input.

        Tensor names, operator versions, file layout and other signatures do not count, so that all targets made from one
        export have the same id.
        """
        sha = hashlib.sha256(repr(sorted(input_spec.items())).encode())
        for operator in self.subgraphs[self.signatures.get("embed", 0)]:
            sha.update(repr((operator.name, sorted(operator.options.items()))).encode())
            for tensor in (*operator.inputs, *operator.outputs):
                if tensor is not None:
                    sha.update(repr((tensor.place, tensor.dtype, tensor.shape, tensor.scales, tensor.zero_points)).encode())
                    sha.update(tensor.data)
        return sha.hexdigest()[:32]


def operator_name(code: Any) -> str:
    """CONV_2D or the like, or `custom NAME`, of the schema's operator code."""
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    return f"custom {code.customCode.decode()}" if code.customCode else _OPERATORS[builtin]


def version_of(model: Any) -> tuple[int, ...]:
    """The oldest TFLite release that has all operators of a schema's object, as the converter noted it; else (0,)."""
    for entry in model.metadata or []:
        if entry.name == MIN_RUNTIME:
            text = bytes(model.buffers[entry.buffer].data).split(b"\0")[0].decode()
            return tuple(int(part) for part in text.split("."))
    return (0,)


def _operators(model: Any, subgraph: Any, names: list[str]) -> tuple[Operator, ...]:
    used = [index for operator in subgraph.operators for index in (*operator.inputs, *operator.outputs) if index >= 0]
    tensors = {
        index: _tensor(model, subgraph.tensors[index], place) for place, index in enumerate(dict.fromkeys(map(int, used)))
    }

    def options(operator: Any) -> dict[str, Any]:
        return {
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in vars(operator.builtinOptions or object.__new__(_Empty)).items()
        }

    return tuple(
        Operator(
            name=names[operator.opcodeIndex],
            options=options(operator),
            inputs=tuple(None if index < 0 else tensors[index] for index in operator.inputs),
            outputs=tuple(tensors[index] for index in operator.outputs),
        )
        for operator in subgraph.operators
    )


class _Empty:
    """Stands in for the options of an operator that has none."""


def _tensor(model: Any, tensor: Any, place: int) -> Tensor:
    quantization = tensor.quantization
    has_scale = quantization is not None and quantization.scale is not None
    data = model.buffers[tensor.buffer].data
    return Tensor(
        place=place,
        dtype=_TYPES[tensor.type].lower(),
        shape=tuple(int(size) for size in (tensor.shape if tensor.shape is not None else ())),
        scales=tuple(float(scale) for scale in quantization.scale) if has_scale else (),
        zero_points=tuple(int(point) for point in quantization.zeroPoint) if has_scale else (),
        data=b"" if data is None else bytes(bytearray(data)),
    )
