"""Convert another maker's model: fit its file to what devices expect, calibrate it, and write its manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from converters.calibration.embedding_normalization import best_normalization
from converters.calibration.learning_rates import choose_learning_rates, fallback_learning_rates
from converters.calibration.rejection import calibrate_rejection
from converters.external.encoder import ExternalEncoder, external_encoder, source_inputs
from converters.external.source import to_tflite
from converters.options import ExportOptions, ModelOptions
from converters.quantization.checks import check_embeddings
from converters.quantization.convert import range_examples
from converters.quantization.signatures import signature_shapes
from converters.tflite.metadata import with_metadata
from converters.tflite.model import ModelFile
from edge_meta.datasets import load_dataset
from edge_meta.errors import ExportError
from edge_meta.inputs import ImageInput
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import Encoder
from edge_meta.runtime.manifest import Manifest


def convert_external(source: Path, options: ExportOptions, on_note: Callable[[str], None]) -> tuple[bytes, Manifest]:
    """Convert a .tflite file, a .keras file or a SavedModel to encoder.tflite and write its manifest, but for the checksums.

    Raises:
        ExportError: it cannot be an encoder, or the options do not fit it.
        DatasetError: there is no calibration data.
    """
    external = _external_encoder(source, options, on_note)
    input_spec, model = external.input_spec, external.model
    rates, rejection, training = fallback_learning_rates(external.squared_norm), None, external.provenance
    if options.calibration is None:
        on_note("without --calibration, the bundle never says unknown, and its learning rate is a guess")
    else:
        # As far as is known it was trained on none of them, so the largest split is used.
        data = load_dataset(options.calibration, "train", input_spec)
        on_note(f"calibrating on {len(data.examples):,} examples")
        embeddings = embed_all(Encoder(model), input_spec, data.examples)
        check_embeddings(embeddings)
        normalization = best_normalization(embeddings, data)
        model, embeddings = normalization.add_to(model, input_spec.noun), normalization.apply(embeddings)
        rates, rejection = choose_learning_rates(embeddings, data), calibrate_rejection(embeddings, data)
        centred = normalization.mean is not None
        training = {**training, "calibration": options.calibration, "centred": centred, "scale": normalization.scale}
    if isinstance(input_spec, ImageInput):
        model = with_metadata(model, input_spec, external.dim, "not stated")
    interpreter, parsed = Encoder(model), ModelFile.parse(model)
    return model, Manifest(
        encoder_id=parsed.encoder_id(input_spec.to_manifest()),
        files={},
        input_spec=input_spec,
        dim=interpreter.dim,
        quantization=parsed.quantization,
        learning_rates=rates,
        rejection=rejection,
        signatures=signature_shapes(interpreter.interpreter),
        training=training,
    )


def _external_encoder(source: Path, options: ExportOptions, on_note: Callable[[str], None]) -> ExternalEncoder:
    """The model as a .tflite file that has been fitted: as it is, or converted."""
    model_options = options.model_options or ModelOptions()
    if source.suffix != ".tflite":
        return _converted(source, options, model_options, on_note)
    if options.quantize is not None:
        raise ExportError(f"{source} is converted already, and stays as it is.", "Leave --quantize out.")
    try:
        content = source.read_bytes()
    except OSError as error:
        raise ExportError(f"{source} cannot be read ({error.strerror}).", "Check the path.") from None
    return external_encoder(content, source.name, model_options, on_note)


def _converted(
    source: Path, options: ExportOptions, model_options: ModelOptions, on_note: Callable[[str], None]
) -> ExternalEncoder:
    """A SavedModel or a Keras model, converted; int8 is calibrated on what the float file is given."""
    quantize = options.quantize or "int8"
    if quantize not in ("float32", "int8"):
        raise ExportError(f"{source} can be converted to float32 and int8.", "Use one of these with --quantize.")
    if quantize == "int8" and options.calibration is None:
        raise ExportError(
            f"{source} does not say what it was trained on.",
            "Name a dataset with --calibration, or leave it in float32 with --quantize float32.",
        )
    on_note(f"converting to {quantize}")
    external = external_encoder(to_tflite(source), source.name, model_options, on_note)
    if options.calibration is None or quantize == "float32":
        return external
    data = load_dataset(options.calibration, "train", external.input_spec)
    samples = source_inputs(external, external.input_spec.normalize(range_examples(data)))
    return external_encoder(to_tflite(source, samples), source.name, model_options, lambda note: None)
