"""manifest.json: what a bundle says of itself, format 1."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_meta.errors import BundleError
from edge_meta.inputs import ImageInput

FORMAT = 1
METRIC = "squared_euclidean"
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Rejection:
    """When the nearest label is not near enough: the calibration of "unknown".

    A query is known if its squared distance to the nearest prototype is at most `far + one_shot / shots`, where `shots` is
    how many examples that prototype is the mean of. With fewer shots a prototype lies further from its class's true mean,
    by σ²/shots, hence the second term.

    Attributes:
        false_accept: the fraction of strangers that were accepted when this was calibrated.
    """

    far: float
    one_shot: float
    false_accept: float

    def knows(self, distance: float, shots: int) -> bool:
        return distance <= self.far + self.one_shot / shots


@dataclass(frozen=True)
class Manifest:
    """The manifest's fields that a device acts on, and those it only shows: `runtimes`, `signatures`, `parity`, `training`.

    Attributes:
        encoder_id: the encoder's identity; stores are bound to it.
        files: file name → SHA-256, for every other file of the bundle.
        learning_rates: of the linear head, one for each step of `adapt`.
        rejection: None when the bundle was not calibrated; then every query is known.
        runtimes: what the converted file was checked for.
    """

    encoder_id: str
    files: Mapping[str, str]
    image_input: ImageInput
    dim: int
    quantization: str
    learning_rates: tuple[float, ...]
    rejection: Rejection | None = None
    signatures: Mapping[str, Any] = field(default_factory=dict)
    runtimes: tuple[str, ...] = ()
    parity: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        rejection = self.rejection
        fields = {
            "format": FORMAT,
            "encoder_id": self.encoder_id,
            "files": dict(self.files),
            "input": self.image_input.to_manifest(),
            "embedding": {"dim": self.dim, "metric": METRIC},
            "quantization": self.quantization,
            "runtimes": list(self.runtimes),
            "signatures": dict(self.signatures),
            "head": {
                "start": "prototypes",
                "steps": len(self.learning_rates),
                "learning_rates": list(self.learning_rates),
            },
            "rejection": rejection
            and {
                "far": rejection.far,
                "one_shot": rejection.one_shot,
                "false_accept": rejection.false_accept,
            },
            "parity": dict(self.parity),
            "training": dict(self.training),
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
            fields = json.loads(text)
            version = fields["format"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise BundleError(f"manifest.json in {name} is damaged.", damaged) from None
        if type(version) is not int or version < FORMAT:
            raise BundleError(f"manifest.json in {name} has no format version that there ever was ({version!r}).", damaged)
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
        if (
            not re.fullmatch("[0-9A-Za-z_-]{1,64}", encoder_id)
            or not 1 <= dim <= 65536
            or fields["embedding"]["metric"] != METRIC
        ):
            raise ValueError("encoder_id or embedding is out of range")
        files = {str(name): str(digest) for name, digest in fields["files"].items()}
        if "encoder.tflite" not in files or not all(map(FILE_NAME.fullmatch, files)):
            raise ValueError("files are not those of a bundle")
        rates = tuple(float(rate) for rate in fields["head"]["learning_rates"])
        if not rates or not all(math.isfinite(rate) for rate in rates):
            raise ValueError("the learning rates are missing, or not finite")
        rejection = None
        if fields["rejection"] is not None:
            values = [float(fields["rejection"][key]) for key in ("far", "one_shot", "false_accept")]
            if not all(math.isfinite(value) for value in values):
                raise ValueError("the rejection is not finite")
            rejection = Rejection(*values)
        return cls(
            encoder_id=encoder_id,
            files=files,
            image_input=ImageInput.from_manifest(fields["input"]),
            dim=dim,
            quantization=str(fields["quantization"]),
            learning_rates=rates,
            rejection=rejection,
            signatures=dict(fields["signatures"]),
            runtimes=tuple(str(name) for name in fields.get("runtimes", ())),
            parity=dict(fields["parity"]),
            training=dict(fields["training"]),
        )
