"""Say in a sentence why a source is none that an export takes, and the way to one that is."""

from __future__ import annotations

from pathlib import Path

from converters.bundle_writer import is_finished
from edge_meta.errors import ExportError

TAKEN = {".keras", ".tflite", ".onnx", ".pt2"}
_REASONS = {
    ".h5": (
        "is in Keras's older format, which may hold code",
        'Save it again where it comes from: keras.models.load_model("{name}").save("{stem}.keras")',
    ),
    ".pt": (
        "holds PyTorch weights or a pickled object, not the network itself",
        'Save the network: torch.export.save(torch.export.export(model.eval(), (example,)), "{stem}.pt2")',
    ),
    ".pb": ("is a graph without its variables", "Name the folder of a SavedModel, which has a saved_model.pb in it."),
    ".safetensors": ("holds weights, not the network itself", "Build the network with them, and save it whole."),
}
_REASONS |= {".hdf5": _REASONS[".h5"], ".pth": _REASONS[".pt"], ".ckpt": _REASONS[".pt"], ".bin": _REASONS[".safetensors"]}


def check_source(source: Path) -> None:
    """Raises ExportError when there is no such file or folder, or a file is of a kind that no export takes."""
    if is_finished(source):
        raise ExportError(f"{source} is a finished bundle.", "Name another --target to export it for.")
    if source.parts[:1] in (("hf:",), ("https:",), ("http:",)) and not source.exists():
        address = f"{source.parts[0]}//{'/'.join(source.parts[1:])}"  # a path has one slash of two
        raise ExportError(f"{address} is not on this machine.", f"Fetch it first: edge-meta get {address}")
    if not source.exists():
        raise ExportError(f"{source} does not exist.", "Check the path.")
    suffix = source.suffix
    if source.is_dir() or suffix in TAKEN:
        return
    if suffix.lower() in TAKEN:
        raise ExportError(
            f"{source} has a name in capital letters, by which its kind is not known.",
            f"Rename it to {source.stem}{suffix.lower()}",
        )
    cause, remedy = _REASONS.get(
        suffix.lower(),
        (
            "is a file of no kind that can be exported",
            "Name a run's folder, a SavedModel's, or a .keras, .tflite, .onnx or .pt2 file.",
        ),
    )
    raise ExportError(f"{source} {cause}.", remedy.format(name=source.name, stem=source.stem))
