"""Export: convert, check, calibrate, prove, pack. A bundle is written whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from converters import calibrate
from converters.checks import check
from converters.foreign import ForeignEncoder, foreign_encoder, own_values
from converters.foreign_input import ModelOptions
from converters.foreign_source import converted, is_saved_model
from converters.litert import QUANTIZATIONS, convert
from converters.metadata import licence_of, with_metadata
from converters.metric import best_metric
from converters.model_card import model_card
from converters.model_file import ModelFile
from converters.packing import check_output, write
from converters.parity import parity
from converters.rejection import calibrate_rejection
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
    quantize: str | None = None,
    calibration: str | None = None,
    mirror: bool = False,
    max_classes: int = 64,
    max_shots: int = 256,
    overwrite: bool = False,
    on_note: Callable[[str], None] = lambda note: None,
    model_options: ModelOptions | None = None,
) -> Bundle:
    """Make a bundle of a training run, or of somebody else's model.

    Args:
        source: a run's folder or the encoder.keras in it; another Keras encoder of images, whose input is then taken to be
            that of `ImageInput.for_shape`; or any other .keras file, SavedModel folder, or .tflite file, which keeps its
            weights and its quantization.
        output: the bundle's folder; a name that ends in .zip makes one uncompressed archive.
        quantize: `int8`, the default, or `float32`; for a .tflite file, None.
        calibration: the dataset that quantization, learning rate and rejection are calibrated on (its train and val
            classes); the run's own unless given, and needed for int8. A bundle without it never says unknown.
        mirror: embed each image together with its mirror image, which is more accurate and takes twice the time; for an
            encoder that was trained with mirrored classes. See `mirrored`.
        max_classes, max_shots: static sizes of the heads in encoder.tflite. Python's runtime knows no such limit.
        overwrite: replace a bundle that is at `output`.
        on_note: called with a line about each stage.
        model_options: what other people's models do not say of themselves.

    Raises:
        ExportError: not exportable, a check failed, or `output` is taken; nothing is written.
        TrainingError: `source` is not a run. DatasetError: no calibration data.
    """
    source, output = Path(source), Path(output)
    _check_request(output, quantize or "int8", max_classes, max_shots, overwrite)
    trained = _load(source, calibration, model_options is not None)
    if trained is not None and model_options is not None:
        raise ExportError(
            f"{source} says itself what it takes and gives.", "Leave out the options for other people's models."
        )
    if trained is None and mirror:
        raise ExportError(f"{source} was not trained with mirror images, as far as is known.", "Leave --mirror out.")
    if trained is not None:
        model, manifest = _of_run(trained, quantize or "int8", mirror, max_classes, max_shots, on_note)
    else:
        model, manifest = _of_model(source, quantize, calibration, model_options or ModelOptions(), on_note)
    card = model_card(output.name.removesuffix(".zip").removesuffix(".bundle"), manifest, len(model)).encode()
    files = {MODEL: model, MODEL_CARD: card}
    manifest = replace(manifest, files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
    write(output, {MANIFEST: manifest.to_json().encode(), **files})
    return Bundle.open(output)


def _of_run(
    trained: _Trained, quantize: str, mirror: bool, max_classes: int, max_shots: int, on_note: Callable[[str], None]
) -> tuple[bytes, Manifest]:
    """encoder.tflite of an encoder of ours, and its manifest, but for the checksums."""
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
    return model, Manifest(
        encoder_id=parsed.encoder_id(image_input.to_manifest()),
        files={},
        image_input=image_input,
        dim=interpreter.dim,
        quantization=quantize,
        learning_rates=trained.learning_rates or calibrate.learning_rates(embeddings, val),
        rates_learned=trained.learning_rates is not None,
        rejection=calibrate_rejection(embeddings, val),
        signatures=_signatures(interpreter.interpreter),
        parity=parity(embed(encoder, image_input, val.images), embeddings, val),
        training=trained.provenance | ({"mirror": True} if mirror else {}),
    )


def _of_model(
    source: Path, quantize: str | None, calibration: str | None, options: ModelOptions, on_note: Callable[[str], None]
) -> tuple[bytes, Manifest]:
    """encoder.tflite of somebody else's file, and its manifest, but for the checksums."""
    if source.suffix == ".tflite":
        if quantize is not None:
            raise ExportError(f"{source} is converted already, and stays as it is.", "Leave --quantize out.")
        try:
            content = source.read_bytes()
        except OSError as error:
            raise ExportError(f"{source} cannot be read ({error.strerror}).", "Check the path.") from None
        foreign = foreign_encoder(content, source.name, options, on_note)
    else:
        foreign = _converted(source, quantize or "int8", calibration, options, on_note)
    takes, model = foreign.takes, foreign.model
    rates, rejection, training = calibrate.fallback_rates(foreign.squared_norm), None, foreign.provenance
    if calibration is None:
        on_note("without --calibration, the bundle never says unknown, and its learning rate is a guess")
    else:
        # It was trained on none of them, as far as is known, so that the largest split serves.
        data = load_dataset(calibration, "train", takes)
        on_note(f"calibrating on {len(data.images):,} examples")
        embeddings = embed_all(Encoder(model), takes, data.images)
        calibrate.check_embeddings(embeddings)
        metric = best_metric(embeddings, data)
        model, embeddings = metric.put_into(model, takes.noun), metric.apply(embeddings)
        rates, rejection = calibrate.learning_rates(embeddings, data), calibrate_rejection(embeddings, data)
        training = {**training, "calibration": calibration, "centred": metric.mean is not None, "scale": metric.scale}
    if isinstance(takes, ImageInput):
        model = with_metadata(model, takes, foreign.dim, "not stated")
    interpreter, parsed = Encoder(model), ModelFile.parse(model)
    return model, Manifest(
        encoder_id=parsed.encoder_id(takes.to_manifest()),
        files={},
        image_input=takes,
        dim=interpreter.dim,
        quantization=parsed.quantization,
        learning_rates=rates,
        rejection=rejection,
        signatures=_signatures(interpreter.interpreter),
        training=training,
    )


def _converted(
    source: Path, quantize: str, calibration: str | None, options: ModelOptions, on_note: Callable[[str], None]
) -> ForeignEncoder:
    """A SavedModel or a Keras model as a .tflite file that has been fitted; calibrated on what the float file takes."""
    if quantize not in ("float32", "int8"):
        raise ExportError(f"{source} can be converted to float32 and int8.", "Use one of these with --quantize.")
    if quantize == "int8" and calibration is None:
        raise ExportError(
            f"{source} does not say what it was trained on.",
            "Name a dataset with --calibration, or leave it in float32 with --quantize float32.",
        )
    on_note(f"converting to {quantize}")
    foreign = foreign_encoder(converted(source), source.name, options, on_note)
    if quantize == "float32":
        return foreign
    data = load_dataset(calibration, "train", foreign.takes)
    rng = np.random.default_rng(calibrate.SEED)
    chosen = rng.choice(len(data.images), min(CALIBRATION_IMAGES, len(data.images)), replace=False)
    samples = own_values(foreign, foreign.takes.normalize(data.images[chosen]))
    return foreign_encoder(converted(source, samples), source.name, options, lambda note: None)


@dataclass(frozen=True)
class _Trained:
    """What is exported, and what is known of how it came about."""

    encoder: keras.Model
    image_input: ImageInput
    calibration: str
    learning_rates: tuple[float, ...] | None
    provenance: dict[str, Any]


def _load(source: Path, calibration: str | None, has_options: bool) -> _Trained | None:
    """A run, by its folder or the encoder in it; or another Keras encoder of images, which needs a dataset to calibrate on.

    None for models that are only fitted to what devices expect.
    """
    if source.suffix == ".tflite" or is_saved_model(source):
        return None
    of_run = source.name == "encoder.keras" and (source.parent / "run.json").exists()
    if source.suffix == ".keras" and source.exists() and not of_run:
        if calibration is None or has_options:
            return None
        encoder = load_encoder(source)
        takes, gives = encoder.input_shape, encoder.output_shape
        of_images = isinstance(takes, tuple) and len(takes) == 4 and takes[3] in (1, 3) and None not in takes[1:]
        if not of_images or not isinstance(gives, tuple) or len(gives) != 2:
            return None
        return _Trained(encoder, ImageInput.for_shape(takes[1:]), calibration, None, {})
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
