"""Make bundles of encoders, on a workstation: convert, quantize, calibrate, compare with the float encoder, write.

    from converters import export_bundle
    bundle = export_bundle("runs/omniglot", "omniglot.bundle", quantize="int8")

Only `export_bundle` needs TensorFlow, which is loaded when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from converters.options import ExportOptions, ModelOptions

if TYPE_CHECKING:
    from converters.pipeline import export_bundle

__all__ = ["ExportOptions", "ModelOptions", "export_bundle"]


def __getattr__(name: str) -> Any:
    if name == "export_bundle":
        from converters.pipeline import export_bundle

        return export_bundle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
