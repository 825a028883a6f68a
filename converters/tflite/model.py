"""Read a .tflite file: its operators, tensors, signatures and metadata, and the encoder id derived from them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

MIN_RUNTIME = "min_runtime_version"

# Names of the schema's enums: CONV_2D → its number, a tensor type's number → float32 or the like.
OPERATOR_CODES = {name: code for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
DTYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}

_OPERATOR_NAMES = {code: name for name, code in OPERATOR_CODES.items()}


def parse(content: bytes) -> Any:
    """Parse a file into a tree of the schema's objects (ModelT); `edit.serialize` turns it back into bytes."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))


def operator_name(model: Any, operator: Any) -> str:
    """CONV_2D or the like, `custom NAME` for an operator that is not TFLite's own, or `operator N` for an unknown one."""
    code = model.operatorCodes[operator.opcodeIndex]
    if code.customCode:
        return f"custom {code.customCode.decode(errors='replace')}"
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    return str(_OPERATOR_NAMES.get(builtin, f"operator {builtin}"))


def constant_data(model: Any, tensor: Any) -> bytes:
    """The bytes of a tensor's or metadata entry's buffer, b"" for a tensor that is computed."""
    data = model.buffers[tensor.buffer].data
    return b"" if data is None else bytes(bytearray(data))


def metadata_entry(model: Any, name: str) -> bytes:
    """The bytes of an entry of the file's metadata, b"" if there is none of that name."""
    entries = (entry for entry in model.metadata or [] if entry.name == name.encode())
    return next((constant_data(model, entry) for entry in entries), b"")


def min_runtime(model: Any) -> tuple[int, ...]:
    """The oldest TFLite release that has all operators in their versions, as the converter noted it; else (0,)."""
    text = metadata_entry(model, MIN_RUNTIME).split(b"\0")[0].decode()
    return tuple(int(part) for part in text.split(".")) if text else (0,)


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of a subgraph.

    Attributes:
        place: its number in the order in which operators first use the subgraph's tensors; it identifies the wiring.
        scales, zero_points: () when it is not quantized.
        data: a constant's bytes, b"" for a computed tensor.
    """

    place: int
    dtype: str
    shape: tuple[int, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    data: bytes


@dataclass(frozen=True)
class OperatorInfo:
    """An operator of a subgraph; an optional input that is left out is None."""

    name: str
    options: dict[str, Any]
    inputs: tuple[TensorInfo | None, ...]
    outputs: tuple[TensorInfo, ...]

    @property
    def weights(self) -> bytes:
        """The bytes of all its constants."""
        return b"".join(tensor.data for tensor in self.inputs if tensor)


@dataclass(frozen=True)
class ModelFile:
    """A .tflite file's content, to read and compare.

    Attributes:
        subgraphs: the operators of each, in order of execution.
        signatures: name → index into `subgraphs`.
        min_runtime: see `min_runtime`.
    """

    subgraphs: tuple[tuple[OperatorInfo, ...], ...]
    signatures: dict[str, int]
    min_runtime: tuple[int, ...]

    @classmethod
    def parse(cls, content: bytes) -> ModelFile:
        """Read a file's bytes."""
        model = parse(content)
        return cls(
            subgraphs=tuple(_operators(model, subgraph) for subgraph in model.subgraphs),
            signatures={entry.signatureKey.decode(): entry.subgraphIndex for entry in model.signatureDefs or []},
            min_runtime=min_runtime(model),
        )

    @property
    def quantization(self) -> str:
        """The dtype that the operator with the most weights computes in; `float16` or `dynamic` if only its weights are
        narrower than float32."""
        heaviest = max(self.subgraphs[self.signatures.get("embed", 0)], key=lambda operator: len(operator.weights))
        dtype, weights = heaviest.outputs[0].dtype, {tensor.dtype for tensor in heaviest.inputs if tensor and tensor.data}
        if dtype != "float32":
            return dtype
        return "float16" if "float16" in weights else "dynamic" if "int8" in weights else dtype

    def encoder_id(self, input_spec: dict[str, Any]) -> str:
        """32 hexadecimal digits: SHA-256 over the encoder's operators, weights, quantization, and its input.

        Tensor names, operator versions, file layout and other signatures do not count, so that all targets made from one
        export have the same id.

        Args:
            input_spec: the manifest's field `input`.
        """
        sha = hashlib.sha256(repr(sorted(input_spec.items())).encode())
        for operator in self.subgraphs[self.signatures.get("embed", 0)]:
            sha.update(repr((operator.name, sorted(operator.options.items()))).encode())
            for tensor in (*operator.inputs, *operator.outputs):
                if tensor is not None:
                    sha.update(repr((tensor.place, tensor.dtype, tensor.shape, tensor.scales, tensor.zero_points)).encode())
                    sha.update(tensor.data)
        return sha.hexdigest()[:32]


def _operators(model: Any, subgraph: Any) -> tuple[OperatorInfo, ...]:
    used = [index for operator in subgraph.operators for index in (*operator.inputs, *operator.outputs) if index >= 0]
    places = enumerate(dict.fromkeys(map(int, used)))
    tensors = {index: _tensor(model, subgraph.tensors[index], place) for place, index in places}
    return tuple(
        OperatorInfo(
            name=operator_name(model, operator),
            options=_options(operator),
            inputs=tuple(None if index < 0 else tensors[index] for index in operator.inputs),
            outputs=tuple(tensors[index] for index in operator.outputs),
        )
        for operator in subgraph.operators
    )


def _options(operator: Any) -> dict[str, Any]:
    if operator.builtinOptions is None:
        return {}
    fields = vars(operator.builtinOptions).items()
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in fields}


def _tensor(model: Any, tensor: Any, place: int) -> TensorInfo:
    quantization = tensor.quantization
    has_scale = quantization is not None and quantization.scale is not None
    return TensorInfo(
        place=place,
        dtype=DTYPES[tensor.type],
        shape=tuple(int(size) for size in (tensor.shape if tensor.shape is not None else ())),
        scales=tuple(float(scale) for scale in quantization.scale) if has_scale else (),
        zero_points=tuple(int(point) for point in quantization.zeroPoint) if has_scale else (),
        data=constant_data(model, tensor),
    )
