"""edge-meta export."""

from __future__ import annotations

import click

from edge_meta.cli.common import emit, json_option
from edge_meta.cli.progress import note
from edge_meta.cli.targets import derived


@click.command()
@click.argument("source", metavar="RUN|ENCODER.keras|BUNDLE")
@click.option(
    "--output", required=True, metavar="BUNDLE",
    help="The bundle's folder; NAME.zip makes one archive. For imprint: the .tflite file.",
)  # fmt: skip
@click.option(
    "--target",
    default="litert",
    show_default=True,
    type=click.Choice(["litert", "tflm", "web", "edgetpu", "imprint"]),
    help="What the encoder is exported for.",
)
@click.option("--store", metavar="FILE", help="For imprint: the store's .db file.  [default: in the user's data folder]")
@click.option("--quantize", default="int8", show_default=True, type=click.Choice(["float32", "int8"]))
@click.option("--calibration", metavar="D", help="Dataset to calibrate on.  [default: the run's]")
@click.option(
    "--mirror", is_flag=True,
    help="Embed each image together with its mirror image: more accurate, at twice the time. For a run with --reflections.",
)  # fmt: skip
@click.option("--max-classes", default=64, show_default=True, metavar="N", help="Static size of the heads in the file.")
@click.option("--max-shots", default=256, show_default=True, metavar="M", help="Shots in one train_step of the file.")
@click.option(
    "--upgrade-from", multiple=True, metavar="BUNDLE",
    help="Bundle of an older encoder, whose stores edge-meta migrate shall move to this one; may be given several times.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace a bundle that is already there.")
@json_option
def export(
    source: str,
    output: str,
    target: str,
    store: str | None,
    quantize: str,
    calibration: str | None,
    mirror: bool,
    max_classes: int,
    max_shots: int,
    upgrade_from: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make a bundle of RUN, a folder made by `edge-meta train` (or the encoder.keras in it), or of a Keras encoder of yours.

    \b
    Examples:
      edge-meta export runs/omniglot --output omniglot.bundle
      edge-meta export runs/omniglot --output omniglot32.bundle --quantize float32
      edge-meta export mine.keras --calibration folder:photos --output mine.bundle
      edge-meta export runs/better --upgrade-from omniglot --output better.bundle
      edge-meta export omniglot --target tflm --output board.bundle
      edge-meta export omniglot --target imprint --store letters.db --output letters.tflite

    The encoder is quantized and put into one .tflite file with its heads; learning rate and rejection are calibrated, and
    the quantized encoder is compared with the float one, all on validation classes.

    Other targets are made of BUNDLE, a finished one or a shipped one's name, or of a bundle made on the way: tflm for
    microcontrollers, web for browsers, edgetpu for Coral's compiler. imprint makes a plain classifier of what is enrolled
    in a store, one .tflite file. All targets of one bundle have its encoder id.
    """
    if store is not None and target != "imprint":
        raise click.UsageError("--store is for --target imprint.")
    if target != "litert":
        settings = {
            "quantize": quantize, "calibration": calibration, "mirror": mirror,
            "max_classes": max_classes, "max_shots": max_shots, "upgrade_from": upgrade_from,
        }  # fmt: skip
        result, lines = derived(source, output, target, store, overwrite, settings)
        emit(result, as_json, lines)
        return
    from converters import export_bundle

    bundle = export_bundle(
        source, output, quantize, calibration, mirror, max_classes, max_shots, overwrite, note, upgrade_from
    )
    manifest = bundle.manifest
    result = {
        "bundle": str(bundle.path),
        "encoder_id": manifest.encoder_id,
        "quantization": manifest.quantization,
        "dim": manifest.dim,
        "model_bytes": len(bundle.model),
        "parity": manifest.parity,
        "upgrades": [upgrade.to_manifest() for upgrade in manifest.upgrades],
    }
    lines = [f"{bundle.path}: {manifest.quantization}, {len(bundle.model):,} bytes, {manifest.dim} dimensions"]
    for entry in manifest.parity["episodes"]:
        lines.append(
            f"{entry['way']}-way {entry['shot']}-shot on validation classes: float32 {_percent(entry['float32'])}, "
            f"{manifest.quantization} {_percent(entry['quantized'])}, drop {_percent(entry['drop'])} points"
        )
    for upgrade in manifest.upgrades:
        lines.append(f"takes stores of encoder {upgrade.encoder_id[:12]} by edge-meta migrate: {upgrade.kept}")
    lines.append(f"Next: edge-meta enroll {output} LABEL FILE...")
    emit(result, as_json, lines)


def _percent(interval: dict[str, float]) -> str:
    return f"{100 * interval['mean']:.2f} ± {100 * interval['ci95']:.2f}"
