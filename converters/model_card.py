"""Write README.md of a bundle: facts to know before using it."""

from __future__ import annotations

from typing import Any

from converters.data_licences import LICENCES, notice_of
from converters.quantization.formats import FORMATS
from edge_meta.runtime.manifest import Manifest


def model_card(name: str, manifest: Manifest, size: int) -> str:
    """Write the card in Markdown.

    Args:
        size: of encoder.tflite, in bytes.
    """
    training = manifest.training
    dataset = str(training.get("dataset", "unknown"))
    lines = [
        f"# {name}",
        "",
        f"An encoder for few-shot classification on devices: {manifest.input_spec} in, {manifest.dim} values out.",
        f"`encoder.tflite` is {size:,} bytes, {manifest.quantization}; encoder id `{manifest.encoder_id}`.",
        *_format(manifest),
        "",
        "## Training",
        "",
        f"* Data: {LICENCES.get(dataset, f'{dataset}, whose licence is not known here')}; meta-train classes only."
        if "source" not in training
        else f"* Made of `{training['source']}`, tensor `{training['tensor']}`, with its weights as they were.",
        *([f"* {training['about']}"] if "about" in training else []),
    ]
    if training.get("centred"):
        lines.append("* Embeddings are centred on the calibration data and brought to one length (Wang et al. 2019).")
    if manifest.normalization is not None:
        lines.append(
            "* That is done behind `encoder.tflite`, as `embedding` in the manifest says; programs of your own do it, too."
        )
    if "method" in training:
        lines.append(
            f"* {training['method']}, {training['encoder']}, {training['way']}-way {training['shot']}-shot with "
            f"{training['query']} queries, {training['episodes']} episodes, seed {training['seed']}."
        )
    if training.get("start"):
        lines.append(f"* It began with the encoder of the run `{training['start']}`.")
    if training.get("mirror"):
        lines.append("* Each image is embedded together with its mirror image; the two embeddings stand side by side.")
    if training.get("quantize_aware"):
        lines.append(f"* Then fine-tuned with the rounding of int8 for {training['quantize_aware']} episodes.")
    if training.get("curve"):
        reached = ", ".join(f"{row['episode']}: {100 * row['val_accuracy']:.2f}" for row in training["curve"])
        host = training["host"]
        lines += [
            f"* With `{' '.join(training['command'])}` on {host['platform']}, {host['cores']} cores.",
            f"* Accuracy on validation classes, {training['validation']}, in % by episode; the best is exported: {reached}.",
        ]
    lines += ["", "## Accuracy", "", *_accuracy(manifest.parity)]
    for record in manifest.embedding_maps:
        lines += ["", f"Stores of encoder `{record.encoder_id}` can be migrated: {record.accuracy}, on validation classes."]
    rejection = manifest.rejection
    lines += [
        "",
        "## Limits",
        "",
        "* It sees what its training data had; judge it on your own classes with `edge-meta evaluate`.",
        f"* Unknown is calibrated on strangers from the validation data, of whom it accepts {rejection.false_accept:.0%} "
        f"unless asked otherwise, with {rejection.labels[0]} to {rejection.labels[-1]} enrolled classes; other data differ."
        if rejection
        else "* Not calibrated for unknown: it always names an enrolled label.",
        "* Latency depends on the device: `edge-meta benchmark` measures it.",
    ]
    if notice := notice_of(training):
        lines += ["", "## Licence of the training data", "", notice]
    return "\n".join(lines) + "\n"


def _accuracy(parity: Any) -> list[str]:
    compared = _source(parity["source"]) if "source" in parity else []
    if not parity.get("episodes"):
        return [*compared, "Accuracy is not measured: no classes were given."]
    before, after = ("handed in", "exported") if compared else ("float32", "quantized")
    rows = [
        *compared,
        f"Prototypes, {parity['dataset']}, {parity['split']} classes, frozen batch norm, 95 % intervals; the same episodes "
        "for both:",
        "",
        f"| episodes | {before} | {after} | drop |",
        "| --- | --- | --- | --- |",
    ]
    for entry in parity["episodes"]:
        cells = " | ".join(
            f"{100 * entry[key]['mean']:.2f} ± {100 * entry[key]['ci95']:.2f}" for key in ("float32", "quantized", "drop")
        )
        rows.append(f"| {entry['way']}-way {entry['shot']}-shot, {entry['query']} queries × {entry['episodes']} | {cells} |")
    cosine = parity["cosine"]
    rows += [
        "",
        f"* Cosine of float and quantized embeddings: median {cosine['p50']:.4f}, tenth percentile {cosine['p10']:.4f}, "
        f"least {cosine['p0']:.4f}.",
    ]
    if errors := parity.get("signatures"):
        listed = ", ".join(f"{name} {error:.1g}" for name, error in errors.items())
        rows.append(
            "* Largest error of each signature, as a share of its largest value, embed against the Keras encoder, "
            f"the heads against float64: {listed}."
        )
    if layers := parity.get("layers"):
        worst = ", ".join(f"{layer['layer']} {layer['own_db']:.1f} dB" for layer in layers[:3])
        rows.append(f"* Layers whose quantization adds most noise, as signal to their own noise: {worst}.")
    return rows


def _source(compared: Any) -> list[str]:
    """The comparison of another maker's model with the file made of it."""
    cosine = compared["cosine"]
    inputs = "random inputs" if compared["inputs"] == "random" else f"examples of {compared['inputs']}"
    return [
        f"Compared with the model that was handed in, on {compared['examples']} {inputs}: the embeddings differ by "
        f"{compared['noise']:.2g} of what tells these apart; cosine, centred: median {cosine['p50']:.4f}, least "
        f"{cosine['p0']:.4f}.",
        "",
    ]


def _format(manifest: Manifest) -> list[str]:
    """Name the format and the runtimes that take it; nothing for a file that was not converted here."""
    if manifest.quantization not in FORMATS or not manifest.runtimes:
        return []
    used = FORMATS[manifest.quantization]
    lines = [
        f"The encoder has {used.about}; heads, inputs and outputs are float32.",
        f"It runs in {', '.join(manifest.runtimes)}.",
    ]
    if used.refused_by:
        lines.append(f"{', '.join(used.refused_by)} refuses this format.")
    return lines
