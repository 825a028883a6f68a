"""Refuse options of an export that would change nothing of another maker's model."""

from __future__ import annotations

from converters.options import ExportOptions
from edge_meta.errors import ExportError

OF_HEADS = ("max_classes", "max_shots")


def refuse_without_effect(options: ExportOptions) -> None:
    """Raises ExportError for an option that is not at its default and has no effect."""
    default = ExportOptions()
    for name in OF_HEADS:
        if getattr(options, name) != getattr(default, name):
            raise ExportError(
                f"A bundle of another maker's model has no heads in its file, so --{name.replace('_', '-')} has no effect.",
                "Leave it out.",
            )
    if options.max_drop != default.max_drop and options.calibration is None:
        raise ExportError("Without --calibration no accuracy is measured, so --max-drop has no effect.", "Leave it out.")
