"""edge-meta export --target."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from edge_meta.cli.progress import note

# Options that say how a bundle is made, and so have nothing to say to a finished one.
MAKING = (
    "quantize", "calibration", "mirror", "quantize_aware", "max_classes", "max_shots", "max_drop", "upgrade_from",
    "output_tensor", "input_kind", "input_shape", "mean", "scale", "channel_order", "sample_rate",
)  # fmt: skip


def derived(
    source: str, output: str, target: str, store: str | None, overwrite: bool, settings: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Make something else of a bundle, or of a run by way of one; the result as JSON fields and as lines."""
    from converters.targets import export_target, imprint, is_finished, opened

    context = click.get_current_context()
    given = [name for name in MAKING if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given and is_finished(source):
        raise click.UsageError(f"{source} is a finished bundle: --{given[0].replace('_', '-')} does not apply to it.")
    if target == "imprint" and not is_finished(source):
        raise click.UsageError(f"{source} is no bundle, and only into a bundle can classes have been enrolled.")
    with opened(source, on_note=note, **settings) as bundle:
        if target == "imprint":
            labels = imprint(bundle, store, output, overwrite)
            result = {"file": output, "target": target, "encoder_id": bundle.manifest.encoder_id, "labels": list(labels)}
            return result, [f"{output}: a classifier of {len(labels)} labels, {', '.join(labels)}; it never says unknown"]
        made = export_target(bundle, output, target, overwrite, note)
    manifest = made.manifest
    result = {
        "bundle": str(made.path),
        "encoder_id": manifest.encoder_id,
        "target": dict(manifest.target),
        "files": sorted(manifest.files),
        "model_bytes": len(made.model),
    }
    return result, [f"{made.path}: for {target}, {len(made.model):,} bytes; {', '.join(result['files'])}"]
