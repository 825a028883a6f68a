"""README.md of a bundle: what a person who gets one wants to know before using it."""

from __future__ import annotations

from typing import Any

from edge_meta.runtime.manifest import Manifest

LICENCES = {
    "omniglot": "Omniglot (Lake et al. 2015), MIT licence",
    "glyphs": "characters drawn from the DejaVu and STIX fonts",
}


def model_card(name: str, manifest: Manifest, size: int) -> str:
    """The card as Markdown; `size` is encoder.tflite's, in bytes."""
    shape = "×".join(str(side) for side in manifest.image_input.shape)
    training = manifest.training
    dataset = str(training.get("dataset", "unknown"))
    lines = [
        f"# {name}",
        "",
        f"An encoder for few-shot classification on devices: a {shape} image in, {manifest.dim} values out.",
        f"`encoder.tflite` is {size:,} bytes, {manifest.quantization}; encoder id `{manifest.encoder_id}`.",
        "",
        "## Training",
        "",
        f"* Data: {LICENCES.get(dataset, dataset)}; meta-train classes only.",
    ]
    if "method" in training:
        lines.append(
            f"* {training['method']}, {training['encoder']}, {training['way']}-way {training['shot']}-shot with "
            f"{training['query']} queries, {training['episodes']} episodes, seed {training['seed']}."
        )
    if training.get("mirror"):
        lines.append("* Each image is embedded together with its mirror image; the two embeddings stand side by side.")
    if training.get("curve"):
        reached = ", ".join(f"{row['episode']}: {100 * row['val_accuracy']:.2f}" for row in training["curve"])
        host = training["host"]
        lines += [
            f"* With `{' '.join(training['command'])}` on {host['platform']}, {host['cores']} cores.",
            f"* Accuracy on validation classes, {training['validation']}, in % by episode; the best is exported: {reached}.",
        ]
    lines += ["", "## Accuracy", "", *_accuracy(manifest.parity)]
    for upgrade in manifest.upgrades:
        lines += ["", f"Stores of encoder `{upgrade.encoder_id}` can be migrated: {upgrade.kept}, on validation classes."]
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
    return "\n".join(lines) + "\n"


def _accuracy(parity: Any) -> list[str]:
    if not parity:
        return ["Not measured: no validation classes were given."]
    rows = [
        f"Prototypes, {parity['dataset']}, {parity['split']} classes, frozen batch norm, 95 % intervals; the same episodes "
        "for both:",
        "",
        "| episodes | float32 | quantized | drop |",
        "| --- | --- | --- | --- |",
    ]
    for entry in parity["episodes"]:
        cells = " | ".join(
            f"{100 * entry[key]['mean']:.2f} ± {100 * entry[key]['ci95']:.2f}" for key in ("float32", "quantized", "drop")
        )
        rows.append(f"| {entry['way']}-way {entry['shot']}-shot, {entry['query']} queries × {entry['episodes']} | {cells} |")
    return [*rows, "", f"Cosine of float and quantized embeddings: median {parity['cosine']['p50']:.4f}."]
