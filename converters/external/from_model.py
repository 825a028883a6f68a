"""Somebody else's model as an encoder: its file fitted to what devices expect, and its manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from converters.calibration import settings
from converters.calibration.embedding_normalization import best_normalization
from converters.calibration.rejection import calibrate_rejection
from converters.external.encoder import ExternalEncoder, external_encoder, own_values
from converters.external.input_spec import ModelOptions
from converters.external.source import converted
from converters.quantization.signatures import signature_shapes
from converters.tflite.metadata import with_metadata
from converters.tflite.model import ModelFile
from edge_meta.datasets import load_dataset
from edge_meta.errors import ExportError
from edge_meta.inputs import ImageInput
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import Encoder
from edge_meta.runtime.manifest import Manifest


def from_model(
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
        foreign = external_encoder(content, source.name, options, on_note)
    else:
        foreign = _converted(source, quantize or "int8", calibration, options, on_note)
    takes, model = foreign.takes, foreign.model
    rates, rejection, training = settings.fallback_rates(foreign.squared_norm), None, foreign.provenance
    if calibration is None:
        on_note("without --calibration, the bundle never says unknown, and its learning rate is a guess")
    else:
        # It was trained on none of them, as far as is known, so that the largest split serves.
        data = load_dataset(calibration, "train", takes)
        on_note(f"calibrating on {len(data.examples):,} examples")
        embeddings = embed_all(Encoder(model), takes, data.examples)
        settings.check_embeddings(embeddings)
        metric = best_normalization(embeddings, data)
        model, embeddings = metric.put_into(model, takes.noun), metric.apply(embeddings)
        rates, rejection = settings.learning_rates(embeddings, data), calibrate_rejection(embeddings, data)
        training = {**training, "calibration": calibration, "centred": metric.mean is not None, "scale": metric.scale}
    if isinstance(takes, ImageInput):
        model = with_metadata(model, takes, foreign.dim, "not stated")
    interpreter, parsed = Encoder(model), ModelFile.parse(model)
    return model, Manifest(
        encoder_id=parsed.encoder_id(takes.to_manifest()),
        files={},
        input_spec=takes,
        dim=interpreter.dim,
        quantization=parsed.quantization,
        learning_rates=rates,
        rejection=rejection,
        signatures=signature_shapes(interpreter.interpreter),
        training=training,
    )


def _converted(
    source: Path, quantize: str, calibration: str | None, options: ModelOptions, on_note: Callable[[str], None]
) -> ExternalEncoder:
    """A SavedModel or a Keras model as a .tflite file that has been fitted; calibrated on what the float file takes."""
    if quantize not in ("float32", "int8"):
        raise ExportError(f"{source} can be converted to float32 and int8.", "Use one of these with --quantize.")
    if quantize == "int8" and calibration is None:
        raise ExportError(
            f"{source} does not say what it was trained on.",
            "Name a dataset with --calibration, or leave it in float32 with --quantize float32.",
        )
    on_note(f"converting to {quantize}")
    foreign = external_encoder(converted(source), source.name, options, on_note)
    if quantize == "float32":
        return foreign
    data = load_dataset(calibration, "train", foreign.takes)
    samples = own_values(foreign, foreign.takes.normalize(settings.some_examples(data)))
    return external_encoder(converted(source, samples), source.name, options, lambda note: None)
