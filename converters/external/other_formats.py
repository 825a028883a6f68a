"""Convert .onnx and .pt2 files by converters that live in a venv of their own, in a child process.

onnx2tf needs an older TensorFlow than this project has, and litert-torch brings PyTorch with it.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_meta.errors import ExportError

ONNX2TF_IMAGES = "calibration_image_sample_data_20x128x128x3_float32.npy"
PT2_CHILD = Path(__file__).with_name("pt2_child.py")


@dataclass(frozen=True)
class Converter:
    """A converter.

    Attributes:
        package: as pip knows it; also a name for its venv.
        arguments: of the venv's Python, from paths of the source and of the folder for the result.
        result: the result's path, from that folder.
    """

    package: str
    arguments: Callable[[Path, Path], list[str]]
    result: Callable[[Path], Path]


CONVERTERS = {
    ".onnx": Converter(
        "onnx2tf",
        # With a signature, and one example at a time where the batch is open.
        lambda source, folder: ["-m", "onnx2tf", "-i", str(source), "-o", str(folder), "-osd", "-b", "1"],
        lambda folder: folder,
    ),
    ".pt2": Converter(
        "litert-torch",
        lambda source, folder: [str(PT2_CHILD), str(source), str(folder / "model.tflite")],
        lambda folder: folder / "model.tflite",
    ),
}


def convert_format(source: Path, venv: str | Path | None, folder: Path, on_note: Callable[[str], None]) -> Path:
    """Convert a file of another format to a SavedModel or a .tflite file.

    Args:
        source: a .onnx or .pt2 file. The converter may run code that is in it.
        venv: the folder of a venv that has the converter.
        folder: an empty one for the result.

    Raises:
        ExportError: there is no venv, or the converter fails; its log is in a file that the message names.
    """
    converter = CONVERTERS[source.suffix]
    if venv is None:
        name = converter.package
        raise ExportError(
            f"{source} is converted by {name}, in a venv of its own.",
            f"Run: python -m venv {name}-venv && {name}-venv/bin/pip install {name} and add --converter {name}-venv",
        )
    places = (Path(venv) / "bin" / "python", Path(venv) / "Scripts" / "python.exe")
    python = next((place for place in places if place.exists()), None)
    if python is None:
        raise ExportError(f"{venv} is no venv: there is no {places[0]}.", "Name the folder that python -m venv made.")
    on_note(f"converting with {converter.package} in {venv}")
    result = folder / source.stem
    result.mkdir()
    # onnx2tf would fetch photos to try a model of images on, unless there are some in the current folder.
    np.save(folder / ONNX2TF_IMAGES, np.random.default_rng(0).random((20, 128, 128, 3), np.float32))
    command = [str(python.absolute()), "-I", *converter.arguments(source.absolute(), result)]
    # This project's packages are of other versions than the venv's.
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    environment["PATH"] = os.pathsep.join((str(python.absolute().parent), os.environ.get("PATH", "")))
    with tempfile.NamedTemporaryFile("w+b", prefix="edge-meta-", suffix=".log", delete=False) as log:
        code = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, env=environment, check=False
        ).returncode
        log.seek(0)
        text = log.read().decode(errors="replace")
    made = converter.result(result)
    if code == 0 and (made / "saved_model.pb" if made == result else made).is_file():
        os.unlink(log.name)
        return made
    if f"No module named {converter.package.replace('-', '_')}" in text.replace("'", ""):
        os.unlink(log.name)
        raise ExportError(f"{venv} has no {converter.package}.", f"Run: {python} -m pip install {converter.package}")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = lines[-1][:200].rstrip(".") if lines else "it said nothing"
    raise ExportError(
        f"{source} cannot be converted by {converter.package} ({said}).",
        f"Use other layers, or convert it yourself to .tflite. The converter's log is {log.name}",
    )
