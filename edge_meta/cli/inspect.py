"""edge-meta inspect."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from edge_meta.cli.common import emit, json_option, runtime_options, store_option
from edge_meta.runtime import backend_comparison
from edge_meta.runtime.backend_comparison import BackendRun
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import open_encoder
from edge_meta.runtime.machine import host
from edge_meta.runtime.manifest import FORMAT, METRIC
from edge_meta.runtime.subprocess_check import check_bundle

Part = tuple[dict[str, Any], list[str]]  # fields for --json, and lines for people


@click.command()
@click.argument("bundle")
@click.option("--shots", "list_shots", is_flag=True, help="List every shot with its id and origin.")
@click.option("--verify", is_flag=True, help="Run every signature of the encoder once, in a process of its own.")
@click.option("--runtime", is_flag=True, help="Tell which interpreters are there, and how their embeddings differ.")
@store_option
@runtime_options
@json_option
def inspect(
    bundle: str, list_shots: bool, verify: bool, runtime: bool, store: str | None, options: RuntimeOptions, as_json: bool
) -> None:
    """Show what BUNDLE is and what is enrolled.

    \b
    Examples:
      edge-meta inspect omniglot
      edge-meta inspect letters.bundle --shots --json
      edge-meta inspect download.zip --verify       a bundle from somewhere: does its encoder run, without a crash?
      edge-meta inspect omniglot --runtime --delegate libedgetpu.so.1

    --backend, --threads, --xnnpack and --delegate are for --runtime; --verify takes --backend.
    """
    opened = Bundle.open(bundle)
    parts = [_bundle(opened), _store(opened, store, list_shots)]
    if verify:
        parts.append(_verified(opened, options))
    if runtime:
        parts.append(_runtime(opened, options))
    emit({key: value for fields, _ in parts for key, value in fields.items()}, as_json, [at for _, of in parts for at in of])


def _bundle(opened: Bundle) -> Part:
    manifest = opened.manifest
    fields = {
        "bundle": str(opened.path),
        "format": FORMAT,
        "encoder_id": manifest.encoder_id,
        "input": manifest.input_spec.to_manifest(),
        "dim": manifest.dim,
        "metric": METRIC,
        "quantization": manifest.quantization,
        "model_bytes": len(opened.model),
        "upgrades": [record.to_manifest() for record in manifest.embedding_maps],
    }
    return fields, [
        f"{opened.path}: format {FORMAT}, encoder {manifest.encoder_id[:12]}, {manifest.quantization}, "
        f"{len(opened.model):,} bytes",
        f"{manifest.input_spec} → {manifest.dim} values, {METRIC}",
        *(
            f"takes stores of encoder {of.encoder_id[:12]} by edge-meta migrate: {of.accuracy}"
            for of in manifest.embedding_maps
        ),
    ]


def _store(opened: Bundle, store: str | None, list_shots: bool) -> Part:
    with opened.open_store(store) as kept:
        snapshot, shots = kept.snapshot(), kept.shots() if list_shots else []
        path, migrated = kept.path, kept.migrated()
    classes: list[dict[str, Any]] = []
    for label, count in zip(snapshot.labels, snapshot.counts.tolist(), strict=True):
        entry: dict[str, Any] = {"label": label, "shots": count}
        if list_shots:
            entry["ids"] = [
                {"id": shot, "origin": origin, "migrated_from": migrated.get(origin)}
                for owner, shot, origin in shots
                if owner == label
            ]
        classes.append(entry)
    lines = [f"{path}: {len(classes)} classes{', adapted' if snapshot.columns else ''}"]
    for entry in classes:
        lines.append(f"  {entry['label']}: {entry['shots']} shots")
        lines += [f"    {shot['id']}  from {shot['origin'][:8]}{_migrated(shot)}" for shot in entry.get("ids", [])]
    encoders = sorted(set(migrated.values()))
    return {"store": str(path), "adapted": bool(snapshot.columns), "migrated_from": encoders, "classes": classes}, lines


def _migrated(shot: dict[str, Any]) -> str:
    return f", migrated from encoder {shot['migrated_from'][:12]}" if shot["migrated_from"] else ""


def _verified(opened: Bundle, options: RuntimeOptions) -> Part:
    report = check_bundle(opened, options.backend)
    ran = ", ".join(report.signatures) or "its graph"
    return {"verified": asdict(report)}, [f"verified: {report.backend} ran {ran}"]


def _runtime(opened: Bundle, options: RuntimeOptions) -> Part:
    encoder = open_encoder(opened, options)
    xnnpack = backend_comparison.uses_xnnpack(opened, encoder)
    backends, runs = (
        backend_comparison.availability(options.backend),
        backend_comparison.compare_backends(opened, encoder.options),
    )
    cpu = {**host(), "features": backend_comparison.cpu_features()}
    fields = {
        "backend": encoder.backend,
        "threads": encoder.options.threads,
        "xnnpack": xnnpack,
        "delegate": encoder.options.delegate,
        "backends": [asdict(backend) for backend in backends],
        "runs": [asdict(run) for run in runs],
        "host": cpu,
    }
    lines = [f"runs in {encoder.backend}: {_way(xnnpack, encoder.options.delegate)}, {encoder.options.threads} thread(s)"]
    lines += [f"  {backend.backend} {backend.version or '–'}: {backend.reason}" for backend in backends]
    lines.append("largest difference of embeddings from those of the first:")
    lines += [f"  {run.backend}, {_way(run.xnnpack, run.delegate)}: {_apart(run)}" for run in runs]
    lines.append(f"{cpu['cpu']}, {cpu['cores']} cores: {' '.join(cpu['features']) or 'features not told'}")
    return {"runtime": fields}, lines


def _way(xnnpack: bool, delegate: object) -> str:
    return f"{'with' if xnnpack else 'without'} XNNPACK" + (f", delegate {delegate}" if delegate else "")


def _apart(run: BackendRun) -> str:
    if run.difference is None:
        return f"none; {run.refusal}"
    if run.steps is None or run.within_step is None:
        return f"{run.difference:.3g}"
    return f"{run.difference:.3g}, {run.steps:.0f} quantization steps; {run.within_step:.1%} of values within one"
