"""edge-meta export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import click

from converters.options import ExportOptions, ModelOptions
from edge_meta.choices import CHANNEL_ORDERS, ETHOS_U, INPUT_KINDS, QUANTIZATIONS, TARGETS
from edge_meta.cli.common import emit, json_option
from edge_meta.cli.progress import TrainingProgress, note
from edge_meta.cli.targets import check_usage, export_to_target
from edge_meta.runtime.bundle import Bundle


def _listed(kind: type[int] | type[float] | type[str]) -> Callable[..., tuple[Any, ...] | None]:
    """Make a callback that reads values with commas between them."""

    def read(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[Any, ...] | None:
        try:
            return None if text is None else tuple(kind(part) for part in text.split(","))
        except ValueError:
            raise click.BadParameter(f"{text!r} is not a list of numbers with commas.") from None

    return read


@click.command()
@click.argument(
    "sources", nargs=-1, required=True, metavar="RUN|MODEL.keras|SAVEDMODEL|MODEL.onnx|MODEL.pt2|MODEL.tflite...|BUNDLE"
)
@click.option(
    "--output", required=True, metavar="BUNDLE",
    help="The bundle's folder; NAME.zip makes one archive. For imprint: the .tflite file.",
)  # fmt: skip
@click.option(
    "--target",
    default="litert",
    show_default=True,
    type=click.Choice(TARGETS),
    help="Runtime or device to export for.",
)
@click.option("--store", metavar="FILE", help="For imprint: the store's .db file.  [default: in the user's data folder]")
@click.option(
    "--litert-js", metavar="FOLDER|TGZ",
    help="For web: where npm has installed LiteRT.js, or its archive.  [default: npm fetches it once]",
)  # fmt: skip
@click.option(
    "--ethos-u", metavar="NPU", type=click.Choice(ETHOS_U),
    help=f"For ethos-u: Vela's name of the NPU, ethos-u55-32 to ethos-u85-2048.  [default: {ETHOS_U[0]}]",
)  # fmt: skip
@click.option("--soc", metavar="CHIP", help="For npu: the phone's chip, such as SM8750 or Tensor_G5.")
@click.option(
    "--quantize",
    type=click.Choice(QUANTIZATIONS),
    help="Format of the encoder's weights and arithmetic.  [default: int8; a .tflite file keeps its own]",
)
@click.option("--calibration", metavar="D", help="Dataset to calibrate on.  [default: the run's]")
@click.option(
    "--mirror", is_flag=True,
    help="Embed each image together with its mirror image: more accurate, at twice the time. For a run with --reflections.",
)  # fmt: skip
@click.option("--max-classes", default=64, show_default=True, metavar="N", help="Classes in the file's heads, a fixed size.")
@click.option(
    "--max-shots", default=256, show_default=True, metavar="M", help="Shots in a train_step of the file, a fixed size."
)
@click.option(
    "--quantize-aware", default=0, metavar="EPISODES",
    help="Fine-tune for int8 first, where --quantize int8 alone loses too much; 300 is usual.  [default: none]",
)  # fmt: skip
@click.option(
    "--max-drop", default=1.0, show_default=True, metavar="POINTS",
    help="Largest loss of accuracy on validation classes; if the format loses more, nothing is written.",
)  # fmt: skip
@click.option("--explain", is_flag=True, help="Print the quantization noise of each layer, worst first.")
@click.option(
    "--output-tensor", metavar="T", help="Name or index of the embedding's tensor, or a Keras layer.  [default: judged]"
)
@click.option("--input-kind", type=click.Choice(INPUT_KINDS), help="[default: by metadata, name and shape]")
@click.option(
    "--input-shape",
    metavar="N,...",
    callback=_listed(int),
    help="Shape without the batch, if the model leaves it open or keeps state.",
)
@click.option("--mean", metavar="X[,...]", callback=_listed(float), help="The model takes (x − mean) · scale.")
@click.option(
    "--scale",
    metavar="X[,...]",
    callback=_listed(float),
    help="See --mean.  [default for both: as the file says, or by --calibration]",
)
@click.option("--channel-order", type=click.Choice(CHANNEL_ORDERS), help="Order of colours.  [default: rgb]")
@click.option("--sample-rate", type=int, metavar="HZ", help="Sample rate of audio.  [default: 16000]")
@click.option(
    "--channels",
    metavar="NAME,...",
    callback=_listed(str),
    help="Columns of a sensor's series, such as ax,ay,az: then series of any length are taken, and any of these columns.",
)
@click.option("--about", metavar="TEXT", help="How the model was trained, for the model card: data, teachers, licences.")
@click.option(
    "--between", multiple=True, metavar="EXPRESSION", callback=lambda context, parameter, texts: texts or None,
    help="Of a chain of files: the values that a file takes, in terms of x, the values before it; x/10+2 and the like. "
    "Once for each file but the first.  [default: x, but for known pairs]",
)  # fmt: skip
@click.option(
    "--converter", metavar="VENV", help="Folder of a venv with onnx2tf, for a .onnx file, or with litert-torch, for .pt2."
)
@click.option(
    "--upgrade-from", multiple=True, metavar="BUNDLE",
    help="Bundle of an older encoder whose stores `edge-meta migrate` can move to this one; may be repeated.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing bundle.")
@json_option
def export(
    sources: tuple[str, ...],
    output: str,
    target: str,
    store: str | None,
    litert_js: str | None,
    ethos_u: str | None,
    soc: str | None,
    explain: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Make a bundle from RUN, a folder made by `edge-meta train` (or the encoder.keras in it), or from another model.

    \b
    Examples:
      edge-meta export runs/omniglot --output omniglot.bundle
      edge-meta export runs/omniglot --output omniglot16.bundle --quantize float16
      edge-meta export runs/hard --output hard.bundle --quantize-aware 300
      edge-meta export runs/omniglot --output omniglot.bundle --explain --max-drop 0.2 --json
      edge-meta export mine.keras --calibration folder:photos --output mine.bundle
      edge-meta export mine.onnx --converter onnx2tf-venv --calibration folder:a --output mine.bundle
      edge-meta export mobilenet.tflite --calibration folder:photos --output mobilenet.bundle
      edge-meta export speech.tflite --sample-rate 8000 --calibration folder:words --output my.bundle
      edge-meta export mel.tflite embedding.tflite --between x/10+2 --scale 1 --output words.bundle
      edge-meta export runs/better --upgrade-from omniglot --output better.bundle
      edge-meta export omniglot --target tflm --output board.bundle
      edge-meta export omniglot --target web --output site
      edge-meta export omniglot --target ethos-u --ethos-u ethos-u65-512 --output npu
      edge-meta export omniglot --target imprint --store letters.db --output letters.tflite

    Quantize the encoder and write it with its heads into one .tflite file. Calibrate the learning rate and rejection, and
    compare the quantized encoder with the float one, all on validation classes.

    Models of any maker may take images, audio, or arrays such as sensor series and token ids. A .tflite file keeps its
    weights and its quantization. Options from --output-tensor to --sample-rate give facts that such a model does not state;
    x in --mean is a pixel from 0 to 255, a sample from −1 to 1, or an array's value. Several .tflite files are a chain: each
    runs on what the one before it gives, in windows over time where it takes fewer frames, and the result is averaged.

    Other targets take BUNDLE, a finished one or a shipped one's name, or any other source by way of a temporary bundle: tflm
    for microcontrollers, web for browsers, edgetpu for Coral's compiler, ethos-u for Arm's NPUs, npu for a phone's by its
    maker's SDK. imprint writes a plain classifier of the labels enrolled in a store, one .tflite file. All targets of one
    bundle have its encoder id.
    """
    source = sources[0] if len(sources) == 1 else sources
    if store is not None and target != "imprint":
        raise click.UsageError("--store is for --target imprint.")
    if litert_js is not None and target != "web":
        raise click.UsageError("--litert-js is for --target web.")
    if ethos_u is not None and target != "ethos-u":
        raise click.UsageError("--ethos-u is for --target ethos-u.")
    if (soc is not None) != (target == "npu"):
        raise click.UsageError("--soc is for --target npu, which needs it.")
    if target != "litert":
        if explain:
            raise click.UsageError("--explain is for --target litert.")
        check_usage(source, target)
    stated = {field.name: given.pop(field.name) for field in fields(ModelOptions)}
    of_model = {name: value for name, value in stated.items() if value is not None}
    options = ExportOptions(**given, model_options=ModelOptions(**of_model) if of_model else None)
    if target != "litert":
        result, lines = export_to_target(source, output, target, store, litert_js, ethos_u, soc, options)
        emit(result, as_json, lines)
        return
    from converters import export_bundle

    bundle = export_bundle(source, output, options, note, TrainingProgress())
    lines = [*_summary(bundle), *(_noise(bundle.manifest.parity.get("layers")) if explain else [])]
    emit(_fields(bundle), as_json, [*lines, f"Next: edge-meta enroll {output} LABEL FILE..."])


def _fields(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "bundle": str(bundle.path),
        "encoder_id": manifest.encoder_id,
        "quantization": manifest.quantization,
        "runtimes": list(manifest.runtimes),
        "dim": manifest.dim,
        "model_bytes": len(bundle.model),
        "parity": manifest.parity,
        "upgrades": [record.to_manifest() for record in manifest.embedding_maps],
    }


def _summary(bundle: Bundle) -> list[str]:
    manifest = bundle.manifest
    lines = [f"{bundle.path}: {manifest.quantization}, {len(bundle.model):,} bytes, {manifest.dim} dimensions"]
    before, after = ("handed in", "exported") if "source" in manifest.parity else ("float32", manifest.quantization)
    for entry in manifest.parity.get("episodes", []):
        lines.append(
            f"{entry['way']}-way {entry['shot']}-shot on validation classes: {before} {_percent(entry['float32'])}, "
            f"{after} {_percent(entry['quantized'])}, drop {_percent(entry['drop'])} points"
        )
    for record in manifest.embedding_maps:
        lines.append(f"takes stores of encoder {record.encoder_id[:12]} by edge-meta migrate: {record.accuracy}")
    return lines


def _noise(layers: Sequence[dict[str, Any]] | None) -> list[str]:
    """The quantization noise of each layer, worst first; None where it was not measured."""
    if layers is None:
        return ["The noise of layers is not measured: that takes a run, or an encoder made here with --calibration."]
    if not layers:
        return ["No layer's quantization adds noise, or none can be told apart."]
    worst = layers[0]
    return [
        f"Quantization hurts most at {worst['layer']} ({worst['operator']}): {worst['own_db']:.1f} dB of signal to its own "
        f"noise, {worst['total_db']:.1f} dB with that of all layers before it.",
        f"{'own dB':>8}{'total dB':>10}  layer",
        *(f"{row['own_db']:>8.1f}{row['total_db']:>10.1f}  {row['layer']} ({row['operator']})" for row in layers),
    ]


def _percent(interval: dict[str, float]) -> str:
    return f"{100 * interval['mean']:.2f} ± {100 * interval['ci95']:.2f}"
