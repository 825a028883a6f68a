"""The inputs and outputs of a model, as an interpreter reports them after it has run the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
    """The inputs and outputs of a signature; the tensors' names are the signature's own."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class ModelReport:
    """A model's inputs and outputs.

    Attributes:
        backend: that ran it.
        main: subgraph 0, which a plain `invoke()` runs; the tensors' names are the model's.
        signatures: by name.
    """

    backend: str
    main: Endpoints
    signatures: Mapping[str, Endpoints]

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> ModelReport:
        """Read back the fields that `dataclasses.asdict` and JSON made of a report."""
        signatures = {name: _endpoints(of) for name, of in fields["signatures"].items()}
        return cls(fields["backend"], _endpoints(fields["main"]), signatures)


def _endpoints(fields: dict[str, Any]) -> Endpoints:
    return Endpoints(tuple(map(_tensor, fields["inputs"])), tuple(map(_tensor, fields["outputs"])))


def _tensor(fields: dict[str, Any]) -> Tensor:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return Tensor(**values)
