"""An encoder of ours, or a Keras encoder of images, as encoder.tflite: converted, calibrated, and proved to be as good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from converters.calibration import settings
from converters.calibration.rejection import calibrate_rejection
from converters.external.source import is_saved_model
from converters.model_card import licence_of
from converters.quantization.checks import check
from converters.quantization.convert import convert
from converters.quantization.formats import FORMATS, RUNTIMES
from converters.quantization.parity import parity, require_parity
from converters.quantization.quantization_noise import layer_errors
from converters.quantization.quantize_aware import fine_tune, without_rounding
from converters.quantization.signature_errors import signature_errors
from converters.quantization.signatures import signature_shapes
from converters.tflite.edit import with_short_names
from converters.tflite.metadata import with_metadata
from converters.tflite.model import ModelFile
from edge_meta.datasets import load_dataset
from edge_meta.errors import ExportError
from edge_meta.evaluation.evaluator import embed_all
from edge_meta.inputs import ImageInput
from edge_meta.runtime.interpreter import Encoder
from edge_meta.runtime.manifest import Manifest
from edge_meta.training.base import embed
from edge_meta.training.encoders import mirrored
from edge_meta.training.run import RunFolder, load_encoder
from edge_meta.training.trainer import Progress

EXPLAINING_IMAGES = 32


@dataclass(frozen=True)
class Conversion:
    """How an encoder is to be converted; see `export_bundle`.

    Raises:
        ExportError: there is no such format, or a number is out of range.
    """

    quantize: str
    mirror: bool
    quantize_aware: int
    max_classes: int
    max_shots: int
    max_drop: float

    def __post_init__(self) -> None:
        if self.quantize not in FORMATS:
            raise ExportError(f"There is no quantization {self.quantize!r}.", f"Use one of {', '.join(FORMATS)}.")
        if self.quantize_aware < 0 or (self.quantize_aware and self.quantize != "int8"):
            raise ExportError(
                "Fine-tuning is for int8, and takes 1 episode or more.", "Use --quantize int8, and 300 episodes."
            )
        if not (2 <= self.max_classes <= 100_000 and 1 <= self.max_shots <= 100_000):
            raise ExportError("The heads' sizes are out of range.", "Use 2 to 100000 classes and 1 to 100000 shots.")


@dataclass(frozen=True)
class Trained:
    """What is exported, and what is known of how it came about."""

    encoder: keras.Model
    input_spec: ImageInput
    calibration: str
    learning_rates: tuple[float, ...] | None
    provenance: dict[str, Any]


def load_trained(source: Path, calibration: str | None, has_options: bool) -> Trained | None:
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
        return Trained(encoder, ImageInput.for_shape(takes[1:]), calibration, None, {})
    run = RunFolder(source.parent if of_run else source)
    facts = run.facts()
    return Trained(
        encoder=run.load_encoder(),
        input_spec=ImageInput.from_manifest(facts["made"]["input"]),
        calibration=calibration or facts["asked"]["dataset"],
        learning_rates=run.learning_rates(),
        provenance={
            **facts["asked"],
            **{key: facts[key] for key in ("command", "versions", "host")},
            **{key: facts["made"][key] for key in ("data", "validation")},
            "curve": [{key: row[key] for key in ("episode", "loss", "val_accuracy")} for row in run.curve()],
        },
    )


def from_run(
    trained: Trained,
    how: Conversion,
    on_note: Callable[[str], None],
    on_progress: Callable[[Progress], None] | None,
) -> tuple[bytes, Manifest]:
    """encoder.tflite, and its manifest, but for the checksums.

    Raises:
        ExportError: not convertible, a check failed, or too much accuracy is lost. DatasetError: no calibration data.
    """
    input_spec = trained.input_spec
    train, val = (load_dataset(trained.calibration, split, input_spec) for split in ("train", "val"))
    samples = input_spec.normalize(settings.some_examples(train))

    encoder = tuned = trained.encoder
    if how.quantize_aware:
        on_note(f"fine-tuning for int8: {how.quantize_aware} episodes")
        tuned = fine_tune(encoder, train, input_spec, samples, how.quantize_aware, on_progress)
    if how.mirror:
        encoder, tuned = mirrored(encoder), mirrored(tuned)

    on_note(f"converting to {how.quantize}")
    # An encoder that was fine-tuned has its ranges in it.
    whole = convert(tuned, how.quantize, None if how.quantize_aware else samples, how.max_classes, how.max_shots)
    model = with_metadata(with_short_names(whole), input_spec, encoder.output_shape[-1], licence_of(trained.provenance))
    parsed = ModelFile.parse(model)
    check(parsed, how.quantize)

    on_note(f"calibrating and comparing on {len(val.examples):,} validation images")
    interpreter = Encoder(model)
    embeddings = embed_all(interpreter, input_spec, val.examples)
    settings.check_embeddings(embeddings)
    rates = trained.learning_rates or settings.learning_rates(embeddings, val)
    meant = embed(tuned, input_spec, val.examples)
    report = parity(embed(encoder, input_spec, val.examples), embeddings, val) | {
        "signatures": signature_errors(interpreter.interpreter, meant, embeddings, val.labels, rates),
        "layers": [],
    }
    if how.quantize != "float32":
        with without_rounding(tuned):
            reference = convert(tuned, "float32", None, how.max_classes, how.max_shots)
        some = np.linspace(0, len(val.examples) - 1, EXPLAINING_IMAGES).astype(int)
        names = [layer.name for layer in trained.encoder.layers]
        report["layers"] = layer_errors(reference, whole, input_spec.normalize(val.examples[some]), names)
    require_parity(report, how.quantize, how.max_drop)
    made_of = {"mirror": how.mirror, "quantize_aware": how.quantize_aware}
    return model, Manifest(
        encoder_id=parsed.encoder_id(input_spec.to_manifest()),
        files={},
        input_spec=input_spec,
        dim=interpreter.dim,
        quantization=how.quantize,
        learning_rates=rates,
        rates_learned=trained.learning_rates is not None,
        rejection=calibrate_rejection(embeddings, val),
        signatures=signature_shapes(interpreter.interpreter),
        runtimes=RUNTIMES,
        parity=report,
        training=trained.provenance | {key: value for key, value in made_of.items() if value},
    )
