"""Export: a run or a model in, a bundle out. A bundle is written whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_meta.errors import BackendError, ExportError

try:
    import tensorflow  # noqa: F401
except ImportError:
    raise BackendError(
        "Exporting needs TensorFlow, which is not installed.", 'Run: pip install "edge-meta[train]"'
    ) from None

from converters.bundle_writer import check_output, write
from converters.calibration.embedding_map import fit_embedding_maps
from converters.convert_trained import convert_trained, load_trained
from converters.external.convert import convert_external
from converters.external.prepare import Prepared, Source, prepared
from converters.model_card import model_card
from converters.options import ExportOptions
from edge_meta.runtime.bundle import MANIFEST, MODEL, MODEL_CARD, Bundle
from edge_meta.runtime.first_run import remember_run
from edge_meta.training.progress import Progress


def export_bundle(
    source: Source,
    output: str | Path,
    options: ExportOptions | None = None,
    on_note: Callable[[str], None] = lambda note: None,
    on_progress: Callable[[Progress], None] | None = None,
    **fields: Any,
) -> Bundle:
    """Make a bundle of a training run, or of another maker's model.

    Args:
        source: a run's folder or the encoder.keras in it; another Keras encoder of images, whose input is then taken to be
            that of `ImageInput.for_shape`; or any other .keras file, SavedModel folder, or .tflite file, which keeps its
            weights and its quantization; or a chain of .tflite files in order, each of which takes what the one before it
            gives.
        output: the bundle's folder; a name that ends in .zip makes one uncompressed archive.
        options: by default those of `ExportOptions()`.
        on_note: called with a line about each stage.
        on_progress: called after each episode of fine-tuning.
        fields: fields of `ExportOptions` as keywords, such as quantize="float16"; they replace those of `options`.

    Raises:
        ExportError: not exportable, a check failed, too much accuracy is lost, or `output` is taken; nothing is written.
        TrainingError: `source` is not a run.
        DatasetError: there is no calibration data.
    """
    options = replace(options or ExportOptions(), **fields)
    output = Path(output)
    check_output(output, options.overwrite)
    with prepared(source, options, on_note) as ready:
        return _export(ready, output, on_note, on_progress)


def _export(
    ready: Prepared, output: Path, on_note: Callable[[str], None], on_progress: Callable[[Progress], None] | None
) -> Bundle:
    source, options = ready.path, ready.options
    older = [Bundle.open(bundle) for bundle in options.upgrade_from]
    trained = load_trained(source, options)
    if trained is not None:
        model, manifest = convert_trained(trained, options, on_note, on_progress)
    else:
        if options.mirror or options.quantize_aware:
            raise ExportError(f"{source} was not trained here.", "Leave out --mirror and --quantize-aware.")
        model, manifest = convert_external(source, options, on_note)
        manifest = replace(manifest, training={**manifest.training, **ready.provenance})
    calibration = trained.calibration if trained else options.calibration
    maps = fit_embedding_maps(older, model, manifest, calibration, on_note)
    manifest = replace(manifest, embedding_maps=tuple(maps))
    card = model_card(output.name.removesuffix(".zip").removesuffix(".bundle"), manifest, len(model)).encode()
    files = {MODEL: model, MODEL_CARD: card, **{record.file: map_.to_bytes() for record, map_ in maps.items()}}
    manifest = replace(manifest, files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
    write(output, {MANIFEST: manifest.to_json().encode(), **files})
    bundle = Bundle.open(output)
    if trained is not None:
        remember_run(bundle)  # the checks of the export have run it
    return bundle
