"""Export: convert, check, calibrate, prove, pack. A bundle is written whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from converters import calibrate
from converters.checks import check
from converters.litert import QUANTIZATIONS, convert
from converters.metadata import licence_of, with_metadata
from converters.model_card import model_card
from converters.model_file import ModelFile
from converters.packing import check_output, write
from converters.parity import parity
from converters.rejection import calibrate_rejection
from converters.upgrade import fit_upgrades
from edge_meta.datasets import load_dataset
from edge_meta.errors import ExportError
from edge_meta.inputs import ImageInput
from edge_meta.runtime.bundle import MANIFEST, MODEL, MODEL_CARD, Bundle
from edge_meta.runtime.evaluate import embed_all
from edge_meta.runtime.interpreter import Encoder
from edge_meta.runtime.manifest import Manifest
from edge_meta.training.encoders import mirrored
from edge_meta.training.method import embed
from edge_meta.training.run import RunFolder, load_encoder

CALIBRATION_IMAGES = 300


def export_bundle(
    source: str | Path,
    output: str | Path,
    quantize: str = "int8",
    calibration: str | None = None,
    mirror: bool = False,
    max_classes: int = 64,
    max_shots: int = 256,
    overwrite: bool = False,
    on_note: Callable[[str], None] = lambda note: None,
    upgrade_from: Sequence[str | Path] = (),
) -> Bundle:
    """Make a bundle of a training run.

    Args:
        source: a run's folder or the encoder.keras in it; or another Keras encoder, whose input is then taken to be that of
            `ImageInput.for_shape`.
        output: the bundle's folder; a name that ends in .zip makes one uncompressed archive.
        quantize: `int8` or `float32`.
        calibration: the dataset that quantization, learning rate and rejection are calibrated on (its train and val
            classes); the run's own unless given, and needed where there is no run.
        mirror: embed each image together with its mirror image, which is more accurate and takes twice the time; for an
            encoder that was trained with mirrored classes. See `mirrored`.
        max_classes, max_shots: static sizes of the heads in encoder.tflite. Python's runtime knows no such limit.
        overwrite: replace a bundle that is at `output`.
        on_note: called with a line about each stage.
        upgrade_from: bundles of older encoders whose stores are to be migrated to this one; see `converters.upgrade`.

    Raises:
        ExportError: not exportable, a check failed, or `output` is taken; nothing is written.
        TrainingError: `source` is not a run. DatasetError: no calibration data.
    """
    output = Path(output)
    _check_request(output, quantize, max_classes, max_shots, overwrite)
    older = [Bundle.open(bundle) for bundle in upgrade_from]
    trained = _load(Path(source), calibration)
    encoder, image_input = trained.encoder, trained.image_input
    if mirror:
        encoder = mirrored(encoder)
    train, val = (load_dataset(trained.calibration, split, image_input) for split in ("train", "val"))

    on_note(f"converting to {quantize}")
    rng = np.random.default_rng(calibrate.SEED)
    chosen = rng.choice(len(train.images), min(CALIBRATION_IMAGES, len(train.images)), replace=False)
    model = convert(encoder, quantize, image_input.normalize(train.images[chosen]), max_classes, max_shots)
    model = with_metadata(model, image_input, encoder.output_shape[-1], licence_of(trained.provenance))
    parsed = ModelFile.parse(model)
    check(parsed, quantize)

    on_note(f"calibrating and comparing on {len(val.images):,} validation images")
    interpreter = Encoder(model)
    embeddings = embed_all(interpreter, image_input, val.images)
    calibrate.check_embeddings(embeddings)
    encoder_id = parsed.encoder_id(image_input.to_manifest())
    upgrades = fit_upgrades(older, encoder_id, train, val, lambda seen: embed_all(interpreter, image_input, seen), on_note)
    manifest = Manifest(
        encoder_id=encoder_id,
        files={MODEL: _sha256(model)},
        image_input=image_input,
        dim=interpreter.dim,
        quantization=quantize,
        learning_rates=trained.learning_rates or calibrate.learning_rates(embeddings, val),
        rates_learned=trained.learning_rates is not None,
        rejection=calibrate_rejection(embeddings, val),
        signatures=_signatures(interpreter.interpreter),
        parity=parity(embed(encoder, image_input, val.images), embeddings, val),
        training=trained.provenance | ({"mirror": True} if mirror else {}),
        upgrades=tuple(upgrades),
    )
    card = model_card(output.name.removesuffix(".zip").removesuffix(".bundle"), manifest, len(model)).encode()
    files = {MODEL: model, MODEL_CARD: card, **{upgrade.file: along.to_bytes() for upgrade, along in upgrades.items()}}
    checksums = {name: _sha256(content) for name, content in files.items()}
    manifest = Manifest(**{**vars(manifest), "files": checksums})
    write(output, {MANIFEST: manifest.to_json().encode(), **files})
    return Bundle.open(output)


@dataclass(frozen=True)
class _Trained:
    """What is exported, and what is known of how it came about."""

    encoder: keras.Model
    image_input: ImageInput
    calibration: str
    learning_rates: tuple[float, ...] | None
    provenance: dict[str, Any]


def _load(source: Path, calibration: str | None) -> _Trained:
    """A run, by its folder or the encoder in it; or another Keras encoder, which needs a dataset to calibrate on."""
    if source.suffix == ".tflite":
        raise ExportError(f"{source} is converted already; only Keras encoders can be exported.", "Name a run's folder.")
    of_run = source.name == "encoder.keras" and (source.parent / "run.json").exists()
    if source.suffix == ".keras" and source.exists() and not of_run:
        if calibration is None:
            raise ExportError(f"{source} does not say what it was trained on.", "Name a dataset with --calibration.")
        encoder = load_encoder(source)
        shape = encoder.input_shape[1:]
        if len(shape) != 3 or shape[2] not in (1, 3) or None in shape or len(encoder.output_shape) != 2:
            raise ExportError(
                f"{source} takes {encoder.input_shape} and gives {encoder.output_shape}.",
                "An encoder takes (batch, height, width, 1 or 3 channels) and gives (batch, dim).",
            )
        return _Trained(encoder, ImageInput.for_shape(shape), calibration, None, {})
    run = RunFolder(source.parent if of_run else source)
    facts = run.facts()
    return _Trained(
        encoder=run.load_encoder(),
        image_input=ImageInput.from_manifest(facts["made"]["input"]),
        calibration=calibration or facts["asked"]["dataset"],
        learning_rates=run.learning_rates(),
        provenance={
            **facts["asked"],
            **{key: facts[key] for key in ("command", "versions", "host")},
            **{key: facts["made"][key] for key in ("data", "validation")},
            "curve": [{key: row[key] for key in ("episode", "loss", "val_accuracy")} for row in run.curve()],
        },
    )


def _check_request(output: Path, quantize: str, max_classes: int, max_shots: int, overwrite: bool) -> None:
    if quantize not in QUANTIZATIONS:
        raise ExportError(f"There is no quantization {quantize!r}.", f"Use one of {', '.join(QUANTIZATIONS)}.")
    if not (2 <= max_classes <= 100_000 and 1 <= max_shots <= 100_000):
        raise ExportError("The heads' sizes are out of range.", "Use 2 to 100000 classes and 1 to 100000 shots.")
    check_output(output, overwrite)


def _signatures(interpreter: Any) -> dict[str, Any]:
    """Signature → input and output names → shapes."""
    described: dict[str, Any] = {}
    for name in sorted(interpreter.get_signature_list()):
        runner = interpreter.get_signature_runner(name)
        described[name] = {
            side: {key: [int(size) for size in value["shape"]] for key, value in sorted(details.items())}
            for side, details in (("inputs", runner.get_input_details()), ("outputs", runner.get_output_details()))
        }
    return described


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
