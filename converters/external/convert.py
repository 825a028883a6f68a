"""Convert another maker's model: fit its file to what devices expect, compare it, calibrate it, and write its manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from converters.calibration.embedding_normalization import best_normalization
from converters.calibration.learning_rates import choose_learning_rates, fallback_learning_rates
from converters.calibration.rejection import calibrate_rejection
from converters.external.agreement import require_agreement, varied_examples
from converters.external.choice import Choice, choose
from converters.external.encoder import ExternalEncoder, fit_encoder
from converters.external.function_part import first_arithmetic, output_names, part_of_function, wanted_tensor
from converters.external.judgement import few_of_each
from converters.external.noise_bound import bound_of_same_weights, noise_bound
from converters.external.options_without_effect import refuse_without_effect
from converters.external.source import load_function, to_tflite
from converters.external.source_model import SourceModel, TensorFlowModel, TfliteModel
from converters.external.state_stream import StreamedModel, state_stream
from converters.options import ExportOptions, ModelOptions
from converters.quantization.checks import check_embeddings
from converters.quantization.convert import range_examples
from converters.quantization.formats import FORMATS
from converters.quantization.parity import parity, require_parity
from converters.quantization.signatures import signature_shapes
from converters.tflite.edit import ends_in_integers
from converters.tflite.edit_graph import Graph
from converters.tflite.metadata import with_metadata
from converters.tflite.model import ModelFile
from edge_meta.errors import ExportError
from edge_meta.inputs import ImageInput
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import Encoder
from edge_meta.runtime.manifest import Manifest


@dataclass(frozen=True)
class _Converted:
    """A fitted file, and the model it came from.

    Attributes:
        source: the model as it was handed in.
        rounded: the source converted to float32, and to another format; None where nothing was rounded.
        backend: that the file is compared in: its source's kernels, where they are known.
        digest: SHA-256 of the source's file, None for a folder.
    """

    encoder: ExternalEncoder
    choice: Choice
    source: SourceModel
    rounded: tuple[bytes, bytes] | None
    backend: RuntimeOptions
    digest: str | None


def convert_external(source: Path, options: ExportOptions, on_note: Callable[[str], None]) -> tuple[bytes, Manifest]:
    """Convert a .tflite file, a .keras file or a SavedModel to encoder.tflite and write its manifest, but for the checksums.

    Raises:
        ExportError: it cannot be an encoder, the options do not fit it, or the result differs from it.
        DatasetError: there is no calibration data.
    """
    refuse_without_effect(options)
    model_options = options.model_options or ModelOptions()
    convert = _as_it_is if source.suffix == ".tflite" else _converted
    converted = convert(source, options, model_options, on_note)
    choice, data = converted.choice, converted.choice.data
    input_spec, model = converted.encoder.input_spec, converted.encoder.model
    report = _compared(converted, options, on_note)
    training: dict[str, Any] = {
        "source": source.name,
        **({"sha256": converted.digest} if converted.digest else {}),
        "tensor": choice.tensor_name,
        **({"about": model_options.about} if model_options.about else {}),
    }
    rates, rejection, outside = fallback_learning_rates(converted.encoder.squared_norm), None, None
    if data is None:
        on_note("without --calibration, the bundle never says unknown, and its learning rate is a guess")
    else:
        # As far as is known it was trained on none of them, so the largest split is used.
        on_note(f"calibrating on {len(data.examples):,} examples")
        embeddings = embed_all(Encoder(model), input_spec, data.examples)
        check_embeddings(embeddings)
        normalization = best_normalization(embeddings, data)
        embeddings = normalization.apply(embeddings)
        if ends_in_integers(model):
            # Operators in float32 behind it would shut out every device that has integers alone.
            outside = normalization.outside_of_file()
        else:
            model = normalization.add_to(model, input_spec.noun)
        rates, rejection = choose_learning_rates(embeddings, data), calibrate_rejection(embeddings, data)
        centred = normalization.mean is not None
        training = {**training, "calibration": options.calibration, "centred": centred, "scale": normalization.scale}
    if isinstance(input_spec, ImageInput):
        model = with_metadata(model, input_spec, converted.encoder.dim, "not stated")
    interpreter, parsed = Encoder(model), ModelFile.parse(model)
    return model, Manifest(
        # What is done outside of the file makes another encoder, too.
        encoder_id=parsed.encoder_id(input_spec.to_manifest() | ({"output": outside.to_manifest()} if outside else {})),
        files={},
        input_spec=input_spec,
        dim=interpreter.dim,
        quantization=parsed.quantization,
        learning_rates=rates,
        rejection=rejection,
        signatures=signature_shapes(interpreter.interpreter),
        parity=report,
        training=training,
        normalization=outside,
    )


def _as_it_is(
    source: Path, options: ExportOptions, model_options: ModelOptions, on_note: Callable[[str], None]
) -> _Converted:
    """A .tflite file, which keeps its weights and its quantization."""
    if options.quantize is not None:
        raise ExportError(f"{source} is converted already, and stays as it is.", "Leave --quantize out.")
    try:
        content = source.read_bytes()
    except OSError as error:
        raise ExportError(f"{source} cannot be read ({error.strerror}).", "Check the path.") from None
    digest = hashlib.sha256(content).hexdigest()
    stream = state_stream(content, source.name, model_options.input_shape)
    if stream is not None:
        on_note(stream.about(source.name))
        content = stream.unrolled()
    choice = choose(content, source.name, model_options, options.calibration, on_note)
    encoder = fit_encoder(choice.content, choice, on_note)
    model: SourceModel = TfliteModel(choice.content, choice.inputs, (choice.tensor,))
    if stream is not None and stream.steps > 1:
        model = StreamedModel(stream, choice.tensor)
    return _Converted(
        encoder,
        choice,
        model,
        None,
        # Fast kernels of integers round otherwise than others, which is no fault of the file.
        RuntimeOptions(xnnpack=False),
        digest,
    )


def _converted(
    source: Path, options: ExportOptions, model_options: ModelOptions, on_note: Callable[[str], None]
) -> _Converted:
    """A SavedModel or a Keras model, converted; formats of integers are calibrated on what the float file is given."""
    quantize = options.quantize or "int8"
    if FORMATS[quantize].calibrated and options.calibration is None:
        raise ExportError(
            f"{source} does not say what it was trained on.",
            "Name a dataset with --calibration, or leave it in float32 with --quantize float32.",
        )
    function, names = load_function(source, model_options.input_shape)
    on_note(f"converting to {quantize}")
    # The whole in float32 first: its tensors are the candidates, and its first operators say the range.
    whole = to_tflite(source, function)
    wanted = wanted_tensor(function, whole, names, model_options.output_tensor)
    asked = replace(model_options, output_tensor=wanted)
    outputs, first = output_names(function, names), first_arithmetic(function)
    choice = choose(whole, source.name, asked, options.calibration, on_note, outputs, first)
    part = part_of_function(function, whole, choice)
    samples = None
    if FORMATS[quantize].calibrated and choice.data is not None:
        values = choice.source_input.values(range_examples(choice.data))
        samples = [list(part.inputs.feed(value).values()) for value in values]
    content = to_tflite(source, part.function, quantize, samples)
    graph = Graph(content, source.name)
    (tensor,) = graph.outputs
    fitted = replace(choice, tensor=tensor)
    return _Converted(
        fit_encoder(content, fitted, on_note),
        choice,
        TensorFlowModel(part.function, part.inputs),
        None if quantize == "float32" else (to_tflite(source, part.function), content),
        RuntimeOptions(),
        hashlib.sha256(source.read_bytes()).hexdigest() if source.is_file() else None,
    )


def _compared(converted: _Converted, options: ExportOptions, on_note: Callable[[str], None]) -> dict[str, Any]:
    """Run the model that was handed in and the fitted file on the same examples; returns the manifest's field `parity`.

    Raises:
        ExportError: they differ by more than the format explains, or more accuracy is lost than was allowed.
    """
    choice, encoder = converted.choice, converted.encoder
    name, data = choice.source_input.name, choice.data
    few = None if data is None else few_of_each(data)
    examples = varied_examples(choice.source_input.spec, choice.source_input.ids) if few is None else few.examples
    on_note(f"comparing with {name} on {len(examples)} {'random ' if few is None else ''}{encoder.input_spec.noun}s")
    values, noun = choice.source_input.values(examples), encoder.input_spec.noun
    source = converted.source.embed(values)
    if converted.rounded is None:
        most = bound_of_same_weights(encoder.model, source, name)
    else:
        most = noise_bound(*converted.rounded, values, source, name, noun)
    found = embed_all(Encoder(encoder.model, converted.backend), encoder.input_spec, examples)
    report: dict[str, Any] = {"source": require_agreement(source, found, most, name, noun)}
    report["source"]["explained"] = float(f"{most:.3g}")
    report["source"]["inputs"] = "random" if few is None else few.name
    if few is not None:
        report |= parity(source, found, few) | {"layers": []}
        require_parity(report, ModelFile.parse(encoder.model).quantization, options.max_drop)
    return report | ({"candidates": choice.report} if choice.report else {})
