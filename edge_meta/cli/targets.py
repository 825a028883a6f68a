"""edge-meta export --target."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from converters.options import ExportOptions, ModelOptions
from edge_meta.choices import ETHOS_U
from edge_meta.cli.common import given
from edge_meta.cli.progress import note
from edge_meta.reports.target_text import target_lines

# Options of a new bundle, which do not apply to a finished one.
OF_A_NEW_BUNDLE = [
    field.name
    for field in (*fields(ExportOptions), *fields(ModelOptions))
    if field.name not in ("model_options", "overwrite")
]


def check_usage(source: str | tuple[str, ...], target: str) -> None:
    """Raises UsageError when options of the current command do not apply to its source."""
    from converters.bundle_writer import is_finished

    unused, finished = given(OF_A_NEW_BUNDLE), isinstance(source, str) and is_finished(source)
    if unused and finished:
        raise click.UsageError(f"{source} is a finished bundle: --{unused[0].replace('_', '-')} does not apply to it.")
    if target == "imprint" and not finished:
        raise click.UsageError(f"{source} is no bundle, and classes are enrolled in a bundle's store only.")


def export_to_target(
    source: str | tuple[str, ...],
    output: str,
    target: str,
    store: str | None,
    litert_js: str | None,
    ethos_u: str | None,
    soc: str | None,
    options: ExportOptions,
) -> tuple[dict[str, Any], list[str]]:
    """Export a bundle, or a run by way of a temporary bundle, to a target; returns JSON fields and lines for people."""
    from converters.targets import export_target, imprint, opened
    from converters.targets.web.litert_js import LiteRtJs

    with opened(source, options, note) as bundle:
        if target == "imprint":
            labels = imprint(bundle, store, output, options.overwrite)
            fields = {"file": output, "target": target, "encoder_id": bundle.manifest.encoder_id, "labels": list(labels)}
            return fields, [f"{output}: a classifier of {len(labels)} labels, {', '.join(labels)}; it never says unknown"]
        library = LiteRtJs(Path(litert_js)) if litert_js else None
        made = export_target(bundle, output, target, options.overwrite, note, library, ethos_u or ETHOS_U[0], soc)
    manifest = made.manifest
    result: dict[str, Any] = {
        "bundle": str(made.path),
        "encoder_id": manifest.encoder_id,
        "target": dict(manifest.target),
        "files": sorted(manifest.files),
        "model_bytes": len(made.model),
    }
    first = f"{made.path}: for {target}, {len(made.model):,} bytes; {', '.join(result['files'])}"
    return result, [first, *target_lines(manifest.target)]
