"""Export: convert, check, calibrate, prove, pack. A bundle is written whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from converters import calibrate
from converters.checks import check
from converters.formats import FORMATS, RUNTIMES
from converters.layers import layer_errors
from converters.litert import convert
from converters.model_card import model_card
from converters.model_file import ModelFile
from converters.parity import parity, require_parity
from converters.quantize_aware import fine_tune, without_rounding
from converters.signature_errors import signature_errors
from edge_meta.datasets import load_dataset
from edge_meta.errors import ExportError
from edge_meta.inputs import ImageInput
from edge_meta.runtime.bundle import MANIFEST, MODEL, MODEL_CARD, Bundle
from edge_meta.runtime.evaluate import embed_all
from edge_meta.runtime.interpreter import Encoder
from edge_meta.runtime.manifest import Manifest
from edge_meta.training.encoders import mirrored
from edge_meta.training.loop import Progress
from edge_meta.training.method import embed
from edge_meta.training.run import RunFolder, load_encoder

CALIBRATION_IMAGES = 300
EXPLAINING_IMAGES = 32


def export_bundle(
    source: str | Path,
    output: str | Path,
    quantize: str = "int8",
    calibration: str | None = None,
    mirror: bool = False,
    quantize_aware: int = 0,
    max_classes: int = 64,
    max_shots: int = 256,
    max_drop: float = 1.0,
    overwrite: bool = False,
    on_note: Callable[[str], None] = lambda note: None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Bundle:
    """Make a bundle of a training run.

    Args:
        source: a run's folder or the encoder.keras in it; or another Keras encoder, whose input is then taken to be that of
            `ImageInput.for_shape`.
        output: the bundle's folder; a name that ends in .zip makes one uncompressed archive.
        quantize: the format, one of `FORMATS`.
        calibration: the dataset that quantization, learning rate and rejection are calibrated on (its train and val
            classes); the run's own unless given, and needed where there is no run.
        mirror: embed each image together with its mirror image, which is more accurate and takes twice the time; for an
            encoder that was trained with mirrored classes. See `mirrored`.
        quantize_aware: episodes of fine-tuning for int8, on the training classes, where int8 loses much without; see
            `converters.quantize_aware`.
        max_classes, max_shots: static sizes of the heads in encoder.tflite. Python's runtime knows no such limit.
        max_drop: percentage points of accuracy on validation classes that the format may cost, in the mean over the same
            episodes with 1 shot or with 5.
        overwrite: replace a bundle that is at `output`.
        on_note: called with a line about each stage.
        on_progress: called after each episode of fine-tuning.

    Raises:
        ExportError: not exportable, a check failed, too much accuracy is lost, or `output` is taken; nothing is written.
        TrainingError: `source` is not a run. DatasetError: no calibration data.
    """
    output = Path(output)
    _check_request(output, quantize, max_classes, max_shots, overwrite)
    if quantize_aware < 0 or (quantize_aware and quantize != "int8"):
        raise ExportError("Fine-tuning is for int8, and takes 1 episode or more.", "Use --quantize int8, and 300 episodes.")
    trained = _load(Path(source), calibration)
    image_input = trained.image_input
    train, val = (load_dataset(trained.calibration, split, image_input) for split in ("train", "val"))
    rng = np.random.default_rng(calibrate.SEED)
    chosen = rng.choice(len(train.images), min(CALIBRATION_IMAGES, len(train.images)), replace=False)
    samples = image_input.normalize(train.images[chosen])

    encoder = tuned = trained.encoder
    if quantize_aware:
        on_note(f"fine-tuning for int8: {quantize_aware} episodes")
        tuned = fine_tune(encoder, train, image_input, samples, quantize_aware, on_progress)
    if mirror:
        encoder, tuned = mirrored(encoder), mirrored(tuned)

    on_note(f"converting to {quantize}")
    # An encoder that was fine-tuned has its ranges in it.
    model = convert(tuned, quantize, None if quantize_aware else samples, max_classes, max_shots)
    parsed = ModelFile.parse(model)
    check(parsed, quantize)

    on_note(f"calibrating and comparing on {len(val.images):,} validation images")
    interpreter = Encoder(model)
    embeddings = embed_all(interpreter, image_input, val.images)
    calibrate.check_embeddings(embeddings)
    rates = trained.learning_rates or calibrate.learning_rates(embeddings, val)
    meant = embed(tuned, image_input, val.images)
    report = parity(embed(encoder, image_input, val.images), embeddings, val) | {
        "signatures": signature_errors(interpreter.interpreter, meant, embeddings, val.labels, rates),
        "layers": [],
    }
    if quantize != "float32":
        with without_rounding(tuned):
            reference = convert(tuned, "float32", None, max_classes, max_shots)
        some = np.linspace(0, len(val.images) - 1, EXPLAINING_IMAGES).astype(int)
        names = [layer.name for layer in trained.encoder.layers]
        report["layers"] = layer_errors(reference, model, image_input.normalize(val.images[some]), names)
    require_parity(report, quantize, max_drop)
    made_of = {"mirror": mirror, "quantize_aware": quantize_aware}
    manifest = Manifest(
        encoder_id=parsed.encoder_id(image_input.to_manifest()),
        files={MODEL: _sha256(model)},
        image_input=image_input,
        dim=interpreter.dim,
        quantization=quantize,
        learning_rates=rates,
        rejection=calibrate.rejection(embeddings, val),
        signatures=_signatures(interpreter.interpreter),
        runtimes=RUNTIMES,
        parity=report,
        training=trained.provenance | {key: value for key, value in made_of.items() if value},
    )
    card = model_card(output.name.removesuffix(".zip").removesuffix(".bundle"), manifest, len(model)).encode()
    files = {MODEL: model, MODEL_CARD: card}
    checksums = {name: _sha256(content) for name, content in files.items()}
    manifest = Manifest(**{**vars(manifest), "files": checksums})
    _write(output, {MANIFEST: manifest.to_json().encode(), **files})
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
    if quantize not in FORMATS:
        raise ExportError(f"There is no quantization {quantize!r}.", f"Use one of {', '.join(FORMATS)}.")
    if not (2 <= max_classes <= 100_000 and 1 <= max_shots <= 100_000):
        raise ExportError("The heads' sizes are out of range.", "Use 2 to 100000 classes and 1 to 100000 shots.")
    if output.exists():
        if not overwrite:
            raise ExportError(f"{output} exists.", "Use --overwrite to replace it, or choose another --output.")
        if not _is_bundle(output):
            raise ExportError(f"{output} is not a bundle, so it is not replaced.", "Choose another --output.")


def _is_bundle(path: Path) -> bool:
    if path.is_dir():
        return (path / MANIFEST).exists()
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


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


def _write(output: Path, files: dict[str, bytes]) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as scratch:
            made = Path(scratch) / "new"
            if output.suffix == ".zip":
                with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
                    for name, content in files.items():
                        archive.writestr(zipfile.ZipInfo(name), content)
            else:
                made.mkdir()
                for name, content in files.items():
                    (made / name).write_bytes(content)
            if output.is_dir():
                # A folder cannot be replaced in one step; the old one is back if the second step fails.
                old = Path(shutil.move(output, Path(scratch) / "old"))
                try:
                    made.rename(output)
                except BaseException:
                    old.rename(output)
                    raise
            else:
                made.replace(output)
    except OSError as error:
        raise ExportError(f"{output} cannot be written ({error}).", "Choose another --output, or free space.") from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
