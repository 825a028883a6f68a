"""Convert an encoder trained here, or another Keras encoder of images, and compare it with the float encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from converters.calibration.embedding_normalization import best_scale
from converters.calibration.learning_rates import choose_learning_rates
from converters.calibration.rejection import calibrate_rejection
from converters.data_licences import licence_of
from converters.external.keras_file import in_float32
from converters.external.source import is_saved_model
from converters.options import ExportOptions
from converters.quantization.checks import check, check_embeddings
from converters.quantization.convert import convert, convert_encoder, front_operators, range_examples
from converters.quantization.formats import RUNTIMES
from converters.quantization.parity import parity, require_parity
from converters.quantization.quantization_noise import measure_noise
from converters.quantization.quantize_aware import fine_tune, without_rounding
from converters.quantization.signature_errors import signature_errors
from converters.quantization.signatures import signature_shapes
from converters.tflite.edit import with_short_names
from converters.tflite.metadata import with_metadata
from converters.tflite.model import ModelFile
from edge_meta.datasets import Dataset
from edge_meta.datasets.training_splits import load_training
from edge_meta.errors import ExportError
from edge_meta.inputs import ImageInput, InputSpec, input_from_manifest
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import Encoder
from edge_meta.runtime.manifest import Manifest
from edge_meta.training import ENCODERS
from edge_meta.training.embeddings import embed_images
from edge_meta.training.encoder_copies import ends_in_unit_length, mirrored, scaled
from edge_meta.training.progress import Progress
from edge_meta.training.run import RunFolder, load_encoder
from edge_meta.types import Array

NOISE_EXAMPLES = 32  # that quantization noise is measured on


@dataclass(frozen=True)
class TrainedEncoder:
    """A Keras encoder and its origin.

    Attributes:
        calibration: the dataset to calibrate on.
        split: of it; see `load_training`.
        learning_rates: of the head's steps, if they were meta-learned.
        provenance: the manifest's field `training`.
    """

    encoder: keras.Model
    input_spec: InputSpec
    calibration: str
    split: str
    learning_rates: tuple[float, ...] | None
    provenance: dict[str, Any]


def load_trained(source: Path, options: ExportOptions) -> TrainedEncoder | None:
    """Load a run, by its folder or the encoder in it, or an encoder made here, given a dataset to calibrate on.

    Returns:
        None for any other model, which `convert_external` takes.

    Raises:
        TrainingError: there is no run, or it is damaged.
        ExportError: there are options for other makers' models, and it is a run.
    """
    if source.suffix == ".tflite" or is_saved_model(source):
        return None
    of_run = source.name == "encoder.keras" and (source.parent / "run.json").exists()
    if source.suffix == ".keras" and source.exists() and not of_run:
        if options.calibration is None or options.model_options is not None:
            return None
        with in_float32(source) as wide:
            encoder = load_encoder(wide)
        input_spec = _usual_input(encoder)
        return None if input_spec is None else TrainedEncoder(encoder, input_spec, options.calibration, "train", None, {})
    run = RunFolder(source.parent if of_run else source)
    facts = run.facts()
    trained = TrainedEncoder(
        encoder=run.load_encoder(),
        input_spec=input_from_manifest(facts["made"]["input"]),
        calibration=options.calibration or facts["asked"]["dataset"],
        split="train" if options.calibration else facts["asked"].get("split", "train"),
        learning_rates=run.learning_rates(),
        provenance={
            **facts["asked"],
            **{key: facts[key] for key in ("command", "versions", "host")},
            **{key: facts["made"][key] for key in ("data", "validation")},
            "curve": [{key: row[key] for key in ("episode", "loss", "val_accuracy")} for row in run.curve()],
        },
    )
    if options.model_options is not None:
        raise ExportError(f"{source} states its input and output.", "Leave out the options for other people's models.")
    return trained


def _usual_input(encoder: keras.Model) -> ImageInput | None:
    """The input that encoders made here take; None for another maker's model, whose input is to be found out.

    An encoder made here has the name and the layers of one of `ENCODERS`.
    """
    taken, given = encoder.input_shape, encoder.output_shape
    of_images = isinstance(taken, tuple) and len(taken) == 4 and taken[3] in (1, 3) and None not in taken[1:]
    if encoder.name not in ENCODERS or not of_images or not (isinstance(given, tuple) and len(given) == 2):
        return None
    made_here = ENCODERS[encoder.name](taken[1:])
    same = [layer.name for layer in made_here.layers[1:]] == [layer.name for layer in encoder.layers[1:]]
    return ImageInput.for_shape(taken[1:]) if same else None


def convert_trained(
    trained: TrainedEncoder,
    options: ExportOptions,
    on_note: Callable[[str], None],
    on_progress: Callable[[Progress], None] | None,
) -> tuple[bytes, Manifest]:
    """Convert an encoder to encoder.tflite and write its manifest, but for the checksums.

    Raises:
        ExportError: not convertible, a check failed, or too much accuracy is lost.
        DatasetError: there is no calibration data.
    """
    input_spec, quantize = trained.input_spec, options.quantize or "int8"
    if not isinstance(input_spec, ImageInput) and (options.mirror or options.quantize_aware):
        raise ExportError(f"{input_spec.noun.capitalize()}s are no images.", "Leave out --mirror and --quantize-aware.")
    train, val = load_training(trained.calibration, trained.split, input_spec)
    samples = input_spec.normalize(range_examples(train))

    encoder = tuned = trained.encoder
    if options.quantize_aware:
        on_note(f"fine-tuning for int8: {options.quantize_aware} episodes")
        tuned = fine_tune(encoder, train, input_spec, samples, options.quantize_aware, on_progress)
    if ends_in_unit_length(trained.encoder):
        # The cosines say which class is nearest; as squared distances they need a scale to say how certain that is.
        factor = best_scale(embed_images(trained.encoder, input_spec, val.examples), val)
        encoder, tuned = scaled(encoder, factor), scaled(tuned, factor)
    if options.mirror:
        encoder, tuned = mirrored(encoder), mirrored(tuned)

    on_note(f"converting to {quantize}")
    # A fine-tuned encoder has its own ranges.
    ranges_from = None if options.quantize_aware else samples
    whole = convert(tuned, quantize, ranges_from, options.max_classes, options.max_shots)
    model = with_short_names(whole)
    if isinstance(input_spec, ImageInput):
        model = with_metadata(model, input_spec, encoder.output_shape[-1], licence_of(trained.provenance))
    parsed = ModelFile.parse(model)
    check(parsed, quantize, front_operators(encoder))

    on_note(f"calibrating and comparing on {len(val.examples):,} validation {input_spec.noun}s")
    interpreter = Encoder(model)
    embeddings = embed_all(interpreter, input_spec, val.examples)
    check_embeddings(embeddings)
    rates = trained.learning_rates or choose_learning_rates(embeddings, val)
    intended = embed_images(tuned, input_spec, val.examples)
    report = parity(embed_images(encoder, input_spec, val.examples), embeddings, val) | {
        "signatures": signature_errors(interpreter.interpreter, intended, embeddings, val.labels, rates),
        "layers": [],
    }
    if quantize != "float32":
        names = [layer.name for layer in trained.encoder.layers]
        with without_rounding(tuned):
            exact = convert_encoder(tuned)
        report["layers"] = measure_noise(exact, whole, _noise_examples(val, input_spec), names)
    require_parity(report, quantize, options.max_drop)
    made_of = {"mirror": options.mirror, "quantize_aware": options.quantize_aware}
    return model, Manifest(
        encoder_id=parsed.encoder_id(input_spec.to_manifest()),
        files={},
        input_spec=input_spec,
        dim=interpreter.dim,
        quantization=quantize,
        learning_rates=rates,
        rates_learned=trained.learning_rates is not None,
        rejection=calibrate_rejection(embeddings, val),
        signatures=signature_shapes(interpreter.interpreter),
        runtimes=RUNTIMES,
        parity=report,
        training=trained.provenance | {key: value for key, value in made_of.items() if value},
    )


def _noise_examples(data: Dataset, input_spec: InputSpec) -> Array:
    """Examples spread over the data, normalized, (n, ...)."""
    return input_spec.normalize(data.examples[np.linspace(0, len(data.examples) - 1, NOISE_EXAMPLES).astype(int)])
