"""edge-meta inspect."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import click

from edge_meta.cli.common import emit, given, json_option, runtime_options, store_option
from edge_meta.heads.scoring import ScoringHead
from edge_meta.reports.inspect_text import lines
from edge_meta.runtime import backend_comparison
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import open_encoder
from edge_meta.runtime.limits import Limits
from edge_meta.runtime.machine import host
from edge_meta.runtime.manifest import FORMAT, METRIC
from edge_meta.runtime.store_migration import open_users_store
from edge_meta.runtime.subprocess_check import check_bundle
from edge_meta.store.reader import NONE


@click.command()
@click.argument("bundle")
@click.option("--shots", "list_shots", is_flag=True, help="List every shot with its id and origin.")
@click.option("--verify", is_flag=True, help="Run every signature of the encoder once, in a separate process.")
@click.option("--runtime", is_flag=True, help="List the interpreters, and compare their embeddings.")
@click.option(
    "--board", is_flag=True, help="List the flash, RAM and instructions on a microcontroller, and boards that have them."
)
@store_option
@runtime_options
@json_option
def inspect(
    bundle: str,
    list_shots: bool,
    verify: bool,
    runtime: bool,
    board: bool,
    store: str | None,
    options: RuntimeOptions,
    as_json: bool,
) -> None:
    """Show what BUNDLE is and what is enrolled.

    \b
    Examples:
      edge-meta inspect omniglot
      edge-meta inspect letters.bundle --shots --json
      edge-meta inspect download.zip --verify    # does the encoder of a stranger's bundle run?
      edge-meta inspect omniglot --runtime --delegate libedgetpu.so.1
      edge-meta inspect omniglot --runtime --accelerator gpu    # which operators run where?
      edge-meta inspect omniglot --board    # which microcontrollers have room for it?

    The options of the interpreter, from --backend to --fallback, are for --runtime; --verify takes --backend alone.
    """
    _refuse_unused(verify, runtime)
    opened = Bundle.open(bundle)
    facts = {**_bundle(opened), **_store(opened, store, list_shots)}
    if verify:
        facts["verified"] = asdict(check_bundle(opened, options.backend))
    if runtime:
        facts["runtime"] = _runtime(opened, options)
    if board:
        facts["board"] = _board(opened)
    emit(facts, as_json, lines(facts))


def _refuse_unused(verify: bool, runtime: bool) -> None:
    """Raise UsageError for an option of the interpreter that would have no effect."""
    unused = (
        [] if runtime else given(field.name for field in fields(RuntimeOptions) if not (verify and field.name == "backend"))
    )
    for parameter in click.get_current_context().command.params:
        if parameter.name in unused:
            options = "--runtime or --verify" if parameter.name == "backend" else "--runtime"
            raise click.UsageError(f"{parameter.opts[0]} is for {options}.")


def _bundle(opened: Bundle) -> dict[str, Any]:
    manifest = opened.manifest
    return {
        "bundle": str(opened.path),
        "format": FORMAT,
        "encoder_id": manifest.encoder_id,
        "input": manifest.input_spec.to_manifest(),
        "dim": manifest.dim,
        "metric": METRIC,
        "quantization": manifest.quantization,
        "model_bytes": len(opened.model),
        "says_unknown": manifest.rejection is not None,
        "target": dict(manifest.target) or None,
        "upgrades": [record.to_manifest() for record in manifest.embedding_maps],
    }


def _store(bundle: Bundle, path: str | None, list_shots: bool) -> dict[str, Any]:
    from edge_meta.evaluation.expected import expected_shares

    rejection = bundle.manifest.rejection
    with open_users_store(bundle, path) as store:
        snapshot, none, shots = store.snapshot(), store.snapshot(NONE), store.shots() if list_shots else []
        used_path, migrated = store.path, store.migrated()
        head = ScoringHead(snapshot)
        expected = expected_shares(store, head, Limits(store, head, bundle.manifest).of_labels)
    ids: dict[str, list[dict[str, Any]]] = {label: [] for label in (*snapshot.labels, NONE)}
    for label, shot, origin in shots:
        ids[label].append({"id": shot, "origin": origin, "migrated_from": migrated.get(origin)})
    classes: list[dict[str, Any]] = [
        {"label": label, "shots": count} for label, count in zip(snapshot.labels, snapshot.counts.tolist(), strict=True)
    ]
    if list_shots:
        classes = [{**entry, "ids": ids[entry["label"]]} for entry in classes]
    of_none = {"none_shots": int(none.counts.sum())} | ({"none_ids": ids[NONE]} if list_shots else {})
    return {
        "store": str(used_path),
        "adapted": bool(snapshot.columns),
        "migrated_from": sorted(set(migrated.values())),
        "classes": classes,
        **of_none,
        "can_promise": rejection is not None and rejection.can_promise(len(classes)),
        "expected": None if rejection is None or expected is None else expected.facts(),
    }


def _board(bundle: Bundle) -> dict[str, Any]:
    from converters.targets.board_fit import facts  # not before it is needed: it imports the interpreter's schema

    return facts(bundle)


def _runtime(bundle: Bundle, options: RuntimeOptions) -> dict[str, Any]:
    encoder = open_encoder(bundle, options)
    return {
        "backend": encoder.backend,
        "threads": encoder.options.threads,
        "xnnpack": backend_comparison.uses_xnnpack(bundle, encoder),
        "delegate": encoder.options.delegate,
        "accelerator": encoder.options.accelerator,
        "placement": None if encoder.placement is None else asdict(encoder.placement),
        "backends": [asdict(backend) for backend in backend_comparison.availability(options.backend)],
        "runs": [asdict(run) for run in backend_comparison.compare_backends(bundle, encoder.options)],
        "host": {**host(), "features": backend_comparison.cpu_features()},
    }
