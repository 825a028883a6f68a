"""The text that edge-meta inspect prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge_meta.inputs import input_from_manifest
from edge_meta.reports import board_text
from edge_meta.reports.target_text import target_lines
from edge_meta.reports.unknown_text import expected_lines, no_promise
from edge_meta.runtime.embedding_map_record import MigrationAccuracy
from edge_meta.runtime.placement import Placement


def lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """Lines of text for the facts that `--json` prints; `verified`, `runtime` and `board` may be missing."""
    yield from _bundle(facts)
    yield from _store(facts)
    if "verified" in facts:
        ran = ", ".join(facts["verified"]["signatures"]) or "its graph"
        yield f"verified: {facts['verified']['backend']} ran {ran}"
    if "runtime" in facts:
        yield from _runtime(facts["runtime"])
    if "board" in facts:
        yield from board_text.lines(facts["board"])


def _bundle(facts: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{facts['bundle']}: format {facts['format']}, encoder {facts['encoder_id'][:12]}, {facts['quantization']}, "
        f"{facts['model_bytes']:,} bytes"
    )
    yield f"{input_from_manifest(facts['input'])} → {facts['dim']} values, {facts['metric']}"
    yield "says unknown" if facts["says_unknown"] else "never says unknown: it was exported without --calibration"
    yield from target_lines(facts["target"] or {})
    for upgrade in facts["upgrades"]:
        accuracy = MigrationAccuracy(**upgrade["kept"])
        yield f"takes stores of encoder {upgrade['encoder_id'][:12]} by edge-meta migrate: {accuracy}"


def _store(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"{facts['store']}: {len(facts['classes'])} classes{', adapted' if facts['adapted'] else ''}"
    for entry in facts["classes"]:
        yield f"  {entry['label']}: {entry['shots']} shots"
        for shot in entry.get("ids", []):
            migrated = f", migrated from encoder {shot['migrated_from'][:12]}" if shot["migrated_from"] else ""
            yield f"    {shot['id']}  from {shot['origin'][:8]}{migrated}"
    if facts["none_shots"]:
        yield f"  none of these, never answered: {facts['none_shots']} shots"
        for shot in facts.get("none_ids", []):
            yield f"    {shot['id']}  from {shot['origin'][:8]}"
    if facts["expected"] is not None:
        yield from expected_lines(facts["expected"])
    if facts["says_unknown"] and facts["classes"] and not facts["can_promise"]:
        yield no_promise(len(facts["classes"]))


def _runtime(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"runs in {facts['backend']}: {_kernels(facts)}, {facts['threads']} thread(s)"
    if facts["placement"] is not None:
        yield from _placement(Placement(**facts["placement"]))
    for backend in facts["backends"]:
        yield f"  {backend['backend']} {backend['version'] or '–'}: {backend['reason']}"
    yield "largest difference of embeddings from those of the first:"
    for run in facts["runs"]:
        yield f"  {run['backend']}, {_kernels(run)}: {_difference(run)}"
    host = facts["host"]
    yield f"{host['cpu']}, {host['cores']} cores: {' '.join(host['features']) or 'features unknown'}"


def _placement(placement: Placement) -> Iterator[str]:
    if placement.accelerator == "cpu":
        return
    name, software = placement.accelerator.upper(), ", a program that computes on the CPU" if placement.software else ""
    device = f" ({placement.device}{software})" if placement.device else ""
    share = f"{placement.accelerated} of {placement.operators} operators on the {name}"
    yield f"  {share}{device}, {placement.on_cpu} on the CPU"
    yield from (f"    not on the {name}: {refused}" for refused in placement.refused)


def _kernels(run: Mapping[str, Any]) -> str:
    if run["accelerator"]:
        return f"CompiledModel on the {run['accelerator'].upper()}"
    delegate = f", delegate {run['delegate']}" if run["delegate"] else ""
    return f"{'with' if run['xnnpack'] else 'without'} XNNPACK{delegate}"


def _difference(run: Mapping[str, Any]) -> str:
    if run["difference"] is None:
        return f"none; {run['refusal']}"
    if run["steps"] is None:
        return f"{run['difference']:.3g}"
    return f"{run['difference']:.3g}, {run['steps']:.0f} quantization steps; {run['within_step']:.1%} of values within one"
