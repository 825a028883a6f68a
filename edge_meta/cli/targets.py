"""edge-meta export --target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from edge_meta.cli.progress import note

if TYPE_CHECKING:
    from converters.options import ExportOptions

# Options of making a bundle, which do not apply to a finished one.
MAKING = (
    "quantize", "calibration", "mirror", "quantize_aware", "max_classes", "max_shots", "max_drop", "upgrade_from",
    "output_tensor", "input_kind", "input_shape", "mean", "scale", "channel_order", "sample_rate",
)  # fmt: skip


def check_usage(source: str, target: str) -> None:
    """Raises UsageError when options of the current command do not apply to its source."""
    from converters.bundle_writer import is_finished

    context = click.get_current_context()
    given = [name for name in MAKING if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given and is_finished(source):
        raise click.UsageError(f"{source} is a finished bundle: --{given[0].replace('_', '-')} does not apply to it.")
    if target == "imprint" and not is_finished(source):
        raise click.UsageError(f"{source} is no bundle, and classes are enrolled in a bundle's store only.")


def export_to_target(
    source: str, output: str, target: str, store: str | None, options: ExportOptions
) -> tuple[dict[str, Any], list[str]]:
    """Export a bundle, or a run by way of a temporary bundle, to a target; returns JSON fields and lines for people."""
    from converters.targets import export_target, imprint, opened

    with opened(source, options, note) as bundle:
        if target == "imprint":
            labels = imprint(bundle, store, output, options.overwrite)
            fields = {"file": output, "target": target, "encoder_id": bundle.manifest.encoder_id, "labels": list(labels)}
            return fields, [f"{output}: a classifier of {len(labels)} labels, {', '.join(labels)}; it never says unknown"]
        made = export_target(bundle, output, target, options.overwrite, note)
    manifest = made.manifest
    result: dict[str, Any] = {
        "bundle": str(made.path),
        "encoder_id": manifest.encoder_id,
        "target": dict(manifest.target),
        "files": sorted(manifest.files),
        "model_bytes": len(made.model),
    }
    return result, [f"{made.path}: for {target}, {len(made.model):,} bytes; {', '.join(result['files'])}"]
