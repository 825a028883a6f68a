"""edge-meta inspect."""

from __future__ import annotations

from typing import Any

import click

from edge_meta.cli.common import emit, json_option, store_option
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.manifest import FORMAT, METRIC


@click.command()
@click.argument("bundle")
@click.option("--shots", "list_shots", is_flag=True, help="List every shot with its id and origin.")
@store_option
@json_option
def inspect(bundle: str, list_shots: bool, store: str | None, as_json: bool) -> None:
    """Show what BUNDLE is and what is enrolled.

    \b
    Examples:
      edge-meta inspect omniglot
      edge-meta inspect letters.bundle --shots --json
    """
    opened = Bundle.open(bundle)
    manifest = opened.manifest
    with opened.open_store(store) as kept:
        snapshot, shots = kept.snapshot(), kept.shots() if list_shots else []
        path = kept.path
    classes: list[dict[str, Any]] = []
    for label, count in zip(snapshot.labels, snapshot.counts.tolist(), strict=True):
        entry: dict[str, Any] = {"label": label, "shots": count}
        if list_shots:
            entry["ids"] = [{"id": shot, "origin": origin} for owner, shot, origin in shots if owner == label]
        classes.append(entry)
    result = {
        "bundle": str(opened.path),
        "format": FORMAT,
        "encoder_id": manifest.encoder_id,
        "input": manifest.image_input.to_manifest(),
        "dim": manifest.dim,
        "metric": METRIC,
        "quantization": manifest.quantization,
        "model_bytes": len(opened.model),
        "store": str(path),
        "adapted": bool(snapshot.columns),
        "classes": classes,
    }
    lines = [
        f"{opened.path}: format {FORMAT}, encoder {manifest.encoder_id[:12]}, {manifest.quantization}, "
        f"{len(opened.model):,} bytes",
        f"{manifest.image_input} → {manifest.dim} values, {METRIC}",
        f"{path}: {len(classes)} classes{', adapted' if snapshot.columns else ''}",
    ]
    for entry in classes:
        lines.append(f"  {entry['label']}: {entry['shots']} shots")
        lines += [f"    {shot['id']}  from {shot['origin'][:8]}" for shot in entry.get("ids", [])]
    emit(result, as_json, lines)
