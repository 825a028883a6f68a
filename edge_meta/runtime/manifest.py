"""Read and write manifest.json, format 1."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_meta.errors import BundleError
from edge_meta.heads.rejection import Rejection
from edge_meta.inputs import InputSpec, input_from_manifest
from edge_meta.runtime.embedding_map_record import EmbeddingMapRecord
from edge_meta.runtime.output_normalization import OutputNormalization
from edge_meta.store.schema import ENCODER_ID

FORMAT = 1
METRIC = "squared_euclidean"
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Manifest:
    """The fields of manifest.json. A device only shows `runtimes`, `signatures`, `parity`, `training` and `target`.

    Attributes:
        encoder_id: the encoder's identity; stores are bound to it.
        files: file name → SHA-256, for every other file of the bundle.
        learning_rates: of the linear head, one for each gradient step of `adapt`.
        rates_learned: whether the learning rates were meta-learned with the encoder, not chosen afterwards.
        rejection: None if the bundle is not calibrated; then every query is known.
        runtimes: those that the converted file was checked for.
        target: the `name` of the bundle's target other than LiteRT, and measurements on it.
        normalization: of the file's output, which is done outside of the file; None where the output is the embedding.
        embedding_maps: from the older encoders whose stores can be migrated to this one; `upgrades` in the JSON.
    """

    encoder_id: str
    files: Mapping[str, str]
    input_spec: InputSpec
    dim: int
    quantization: str
    learning_rates: tuple[float, ...]
    rejection: Rejection | None = None
    signatures: Mapping[str, Any] = field(default_factory=dict)
    runtimes: tuple[str, ...] = ()
    parity: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    rates_learned: bool = False
    target: Mapping[str, Any] = field(default_factory=dict)
    embedding_maps: tuple[EmbeddingMapRecord, ...] = ()
    normalization: OutputNormalization | None = None

    def to_json(self) -> str:
        """Write the manifest as JSON text."""
        fields = {
            "format": FORMAT,
            "encoder_id": self.encoder_id,
            "files": dict(self.files),
            "input": self.input_spec.to_manifest(),
            "embedding": {
                "dim": self.dim,
                "metric": METRIC,
                **(self.normalization.to_manifest() if self.normalization else {}),
            },
            "quantization": self.quantization,
            "runtimes": list(self.runtimes),
            "signatures": dict(self.signatures),
            "head": {
                "start": "prototypes",
                "steps": len(self.learning_rates),
                "learning_rates": list(self.learning_rates),
                **({"learned": True} if self.rates_learned else {}),
            },
            "rejection": self.rejection and self.rejection.to_manifest(),
            "parity": dict(self.parity),
            "training": dict(self.training),
            **({"target": dict(self.target)} if self.target else {}),
            **({"upgrades": [record.to_manifest() for record in self.embedding_maps]} if self.embedding_maps else {}),
        }
        return json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, name: str) -> Manifest:
        """Parse a manifest; `name` is what an error calls the bundle.

        Raises:
            BundleError: not JSON, of a newer format, or fields are missing or out of range.
        """
        damaged = "Get the bundle again from where it came, or export it again."
        try:
            fields = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
            version = fields["format"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise BundleError(f"manifest.json in {name} is damaged.", damaged) from None
        if type(version) is not int or version < FORMAT:
            raise BundleError(f"manifest.json in {name} has an unknown format version ({version!r}).", damaged)
        if version != FORMAT:
            raise BundleError(
                f"{name} is of bundle format {version}; this edge_meta reads format {FORMAT}.",
                "Run: pip install --upgrade edge-meta",
            )
        try:
            return cls._from_fields(fields)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BundleError(f"manifest.json in {name} is damaged ({type(error).__name__}: {error}).", damaged) from None

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Manifest:
        encoder_id, dim = fields["encoder_id"], int(fields["embedding"]["dim"])
        if not ENCODER_ID.fullmatch(encoder_id) or not 1 <= dim <= 65536 or fields["embedding"]["metric"] != METRIC:
            raise ValueError("encoder_id or embedding is out of range")
        quantization = str(fields["quantization"])
        if not quantization.isprintable():
            raise ValueError("quantization is not a word")  # control characters could steer a terminal
        files = {str(name): str(digest) for name, digest in fields["files"].items()}
        if "encoder.tflite" not in files or not all(map(FILE_NAME.fullmatch, files)):
            raise ValueError("files are not those of a bundle")
        rates = tuple(float(rate) for rate in fields["head"]["learning_rates"])
        if not rates or not all(math.isfinite(rate) for rate in rates):
            raise ValueError("the learning rates are missing, or not finite")
        embedding_maps = tuple(EmbeddingMapRecord.from_manifest(entry) for entry in fields.get("upgrades", []))
        if len({encoder_id, *(record.encoder_id for record in embedding_maps)}) <= len(embedding_maps):
            raise ValueError("two embedding maps are from one encoder, or one is from the bundle's own")
        if not {record.file for record in embedding_maps} <= files.keys():
            raise ValueError("an embedding map has no file")
        return cls(
            encoder_id=encoder_id,
            files=files,
            input_spec=input_from_manifest(fields["input"]),
            dim=dim,
            quantization=quantization,
            learning_rates=rates,
            rejection=None if fields["rejection"] is None else Rejection.from_manifest(fields["rejection"]),
            signatures=dict(fields["signatures"]),
            runtimes=tuple(str(name) for name in fields.get("runtimes", ())),
            parity=dict(fields["parity"]),
            training=dict(fields["training"]),
            rates_learned=fields["head"].get("learned", False) is True,
            target=dict(fields.get("target", {})),
            embedding_maps=embedding_maps,
            normalization=OutputNormalization.from_manifest(fields["embedding"], dim),
        )


# JSON that two readers, such as a phone's and this one, would read differently is refused.


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is there twice")
    return fields


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
