"""Export: a run or a model in, a bundle out. A bundle is written whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from converters.bundle_writer import check_output, write
from converters.calibration.embedding_map import fit_embedding_maps
from converters.external.from_model import from_model
from converters.external.input_spec import ModelOptions
from converters.from_run import Conversion, from_run, load_trained
from converters.model_card import model_card
from edge_meta.errors import ExportError
from edge_meta.runtime.bundle import MANIFEST, MODEL, MODEL_CARD, Bundle
from edge_meta.training.progress import Progress


def export_bundle(
    source: str | Path,
    output: str | Path,
    quantize: str | None = None,
    calibration: str | None = None,
    mirror: bool = False,
    quantize_aware: int = 0,
    max_classes: int = 64,
    max_shots: int = 256,
    max_drop: float = 1.0,
    overwrite: bool = False,
    on_note: Callable[[str], None] = lambda note: None,
    on_progress: Callable[[Progress], None] | None = None,
    model_options: ModelOptions | None = None,
    upgrade_from: Sequence[str | Path] = (),
) -> Bundle:
    """Make a bundle of a training run, or of somebody else's model.

    Args:
        source: a run's folder or the encoder.keras in it; another Keras encoder of images, whose input is then taken to be
            that of `ImageInput.for_shape`; or any other .keras file, SavedModel folder, or .tflite file, which keeps its
            weights and its quantization.
        output: the bundle's folder; a name that ends in .zip makes one uncompressed archive.
        quantize: the format, one of `FORMATS`, `int8` unless given; for a .tflite file, None.
        calibration: the dataset that quantization, learning rate and rejection are calibrated on (its train and val
            classes); the run's own unless given, and needed for int8. A bundle without it never says unknown.
        mirror: embed each image together with its mirror image, which is more accurate and takes twice the time; for an
            encoder that was trained with mirrored classes. See `mirrored`.
        quantize_aware: episodes of fine-tuning for int8, on the training classes, where int8 loses much without; see
            `converters.quantization.quantize_aware`.
        max_classes, max_shots: static sizes of the heads in encoder.tflite. Python's runtime knows no such limit.
        max_drop: percentage points of accuracy on validation classes that the format may cost, in the mean over the same
            episodes with 1 shot or with 5.
        overwrite: replace a bundle that is at `output`.
        on_note: called with a line about each stage.
        on_progress: called after each episode of fine-tuning.
        model_options: what other people's models do not say of themselves.
        upgrade_from: bundles of older encoders whose stores migrate to this one; see `converters.calibration.embedding_map`.

    Raises:
        ExportError: not exportable, a check failed, too much accuracy is lost, or `output` is taken; nothing is written.
        TrainingError: `source` is not a run. DatasetError: no calibration data.
    """
    source, output = Path(source), Path(output)
    how = Conversion(quantize or "int8", mirror, quantize_aware, max_classes, max_shots, max_drop)
    check_output(output, overwrite)
    older = [Bundle.open(bundle) for bundle in upgrade_from]
    trained = load_trained(source, calibration, model_options is not None)
    if trained is not None:
        if model_options is not None:
            raise ExportError(
                f"{source} says itself what it takes and gives.", "Leave out the options for other people's models."
            )
        model, manifest = from_run(trained, how, on_note, on_progress)
    else:
        if mirror or quantize_aware:
            raise ExportError(
                f"{source} is no encoder that was trained here, as far as is known.",
                "Leave out --mirror and --quantize-aware.",
            )
        model, manifest = from_model(source, quantize, calibration, model_options or ModelOptions(), on_note)
    maps = fit_embedding_maps(older, model, manifest, trained.calibration if trained else calibration, on_note)
    manifest = replace(manifest, embedding_maps=tuple(maps))
    card = model_card(output.name.removesuffix(".zip").removesuffix(".bundle"), manifest, len(model)).encode()
    files = {MODEL: model, MODEL_CARD: card, **{record.file: along.to_bytes() for record, along in maps.items()}}
    manifest = replace(manifest, files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
    write(output, {MANIFEST: manifest.to_json().encode(), **files})
    return Bundle.open(output)
