"""edge-meta export."""

from __future__ import annotations

import click

from edge_meta.cli.common import emit, json_option
from edge_meta.cli.progress import TrainingProgress, note

FORMATS = ["float32", "float16", "dynamic", "int8", "int16x8"]


@click.command()
@click.argument("source", metavar="RUN|ENCODER.keras")
@click.option("--output", required=True, metavar="BUNDLE", help="The bundle's folder; NAME.zip makes one archive.")
@click.option(
    "--quantize",
    default="int8",
    show_default=True,
    type=click.Choice(FORMATS),
    help="Format of the encoder's weights and arithmetic.",
)
@click.option("--calibration", metavar="D", help="Dataset to calibrate on.  [default: the run's]")
@click.option(
    "--mirror", is_flag=True,
    help="Embed each image together with its mirror image: more accurate, at twice the time. For a run with --reflections.",
)  # fmt: skip
@click.option("--max-classes", default=64, show_default=True, metavar="N", help="Static size of the heads in the file.")
@click.option("--max-shots", default=256, show_default=True, metavar="M", help="Shots in one train_step of the file.")
@click.option(
    "--quantize-aware", default=0, metavar="EPISODES",
    help="Fine-tune the encoder for int8 first, where --quantize int8 alone loses too much; 300 is usual.  [default: none]",
)  # fmt: skip
@click.option(
    "--max-drop", default=1.0, show_default=True, metavar="POINTS",
    help="Accuracy that the format may cost on validation classes; beyond it nothing is written.",
)  # fmt: skip
@click.option("--explain", is_flag=True, help="Print which layers' quantization adds how much noise, worst first.")
@click.option("--overwrite", is_flag=True, help="Replace a bundle that is already there.")
@json_option
def export(
    source: str,
    output: str,
    quantize: str,
    calibration: str | None,
    mirror: bool,
    quantize_aware: int,
    max_classes: int,
    max_shots: int,
    max_drop: float,
    explain: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make a bundle of RUN, a folder made by `edge-meta train` (or the encoder.keras in it), or of a Keras encoder of yours.

    \b
    Examples:
      edge-meta export runs/omniglot --output omniglot.bundle
      edge-meta export runs/omniglot --output omniglot16.bundle --quantize float16
      edge-meta export runs/hard --output hard.bundle --quantize-aware 300
      edge-meta export runs/omniglot --output omniglot.bundle --explain --max-drop 0.2 --json
      edge-meta export mine.keras --calibration folder:photos --output mine.bundle

    The encoder is quantized and put into one .tflite file with its heads; learning rate and rejection are calibrated, and
    the quantized encoder is compared with the float one, all on validation classes.
    """
    from converters import export_bundle, layers

    bundle = export_bundle(
        source, output, quantize, calibration, mirror, quantize_aware, max_classes, max_shots, max_drop, overwrite, note,
        TrainingProgress(),
    )  # fmt: skip
    manifest = bundle.manifest
    result = {
        "bundle": str(bundle.path),
        "encoder_id": manifest.encoder_id,
        "quantization": manifest.quantization,
        "runtimes": manifest.runtimes,
        "dim": manifest.dim,
        "model_bytes": len(bundle.model),
        "parity": manifest.parity,
    }
    lines = [f"{bundle.path}: {manifest.quantization}, {len(bundle.model):,} bytes, {manifest.dim} dimensions"]
    for entry in manifest.parity["episodes"]:
        lines.append(
            f"{entry['way']}-way {entry['shot']}-shot on validation classes: float32 {_percent(entry['float32'])}, "
            f"{manifest.quantization} {_percent(entry['quantized'])}, drop {_percent(entry['drop'])} points"
        )
    if explain:
        lines += layers.explain(manifest.parity["layers"])
    lines.append(f"Next: edge-meta enroll {output} LABEL FILE...")
    emit(result, as_json, lines)


def _percent(interval: dict[str, float]) -> str:
    return f"{100 * interval['mean']:.2f} ± {100 * interval['ci95']:.2f}"
