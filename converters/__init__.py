"""From an encoder to a bundle, on a workstation: quantize, check, calibrate, prove, pack."""

from edge_meta.errors import BackendError

try:
    import tensorflow  # noqa: F401
except ImportError:
    raise BackendError(
        "Exporting needs TensorFlow, which is not installed.", 'Run: pip install "edge-meta[train]"'
    ) from None

from converters.pipeline import export_bundle

__all__ = ["export_bundle"]
