"""Helpers for tests of the device's side: drawn images, stores, the command line. They need only a device's packages."""

from __future__ import annotations

import ctypes.util
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from edge_meta.cli import main
from edge_meta.runtime.bundle import Bundle
from edge_meta.store.store import Store
from edge_meta.types import Array

Pixels = NDArray[np.uint8]
ENERGY_RANGE = 1_000_000_000  # µJ, at which counters begin again


def draw(kind: int, take: int = 0, height: int = 28, width: int = 28) -> Pixels:
    """Draw black strokes on white, (height, width); the takes of a kind are alike."""
    corners = np.random.default_rng(kind).uniform(0.05, 0.9, (6, 2))
    corners += np.random.default_rng((kind, take)).normal(0, 0.015, corners.shape)
    along = np.linspace(0, 1, 4 * max(height, width))[:, None]
    points = np.concatenate([start + (end - start) * along for start, end in pairwise(corners)])
    pen = max(1, min(height, width) // 14)
    rows, columns = np.clip(points * (height, width), 0, (height - pen, width - pen)).astype(int).T
    image = np.full((height, width), 255, np.uint8)
    for down in range(pen):
        for right in range(pen):
            image[rows + down, columns + right] = 0
    return image


def takes(kind: int, count: int, first: int = 0) -> Pixels:
    """Draw several takes of a kind, (count, 28, 28)."""
    return np.stack([draw(kind, take) for take in range(first, first + count)])


def mixed(label: int, count: int, first: int = 0) -> Pixels:
    """Draw several takes of each of three kinds, (3 · count, 28, 28).

    The prototypes of labels 0 to 2 then lie near each other's examples, so that adapting pays.
    """
    return np.concatenate([takes(label + 3 * kind, count, first) for kind in range(3)])


def noise(height: int, width: int, channels: int = 1) -> Pixels:
    """Random pixels (height, width, channels), the same for the same size."""
    return np.random.default_rng((height, width)).integers(0, 256, (height, width, channels), np.uint8)


def png(folder: Path, name: str, pixels: Pixels) -> Path:
    """Save pixels as an image file in a folder."""
    from PIL import Image

    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def wav(folder: Path, content: bytes, width: int = 2, channels: int = 1, rate: int = 16000) -> Path:
    """Write samples of `width` bytes as a .wav file into a folder."""
    path = folder / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(content)
    return path


def tone(hertz: float, rate: int, count: int) -> NDArray[np.float64]:
    return 10000.0 * np.sin(2 * np.pi * hertz * np.arange(count) / rate)


def altered(
    folder: Path,
    change: Callable[[dict[str, Any]], object] = lambda fields: None,
    files: Mapping[str, bytes] | None = None,
    name: str = "altered.bundle",
) -> Path:
    """Copy the shipped bundle into a folder, change its manifest, and replace files together with their checksums."""
    copy = folder / name
    shutil.copytree(Bundle.open("omniglot").path, copy)
    fields = json.loads((copy / "manifest.json").read_bytes())
    for file, content in (files or {}).items():
        (copy / file).write_bytes(content)
        fields["files"][file] = hashlib.sha256(content).hexdigest()
    change(fields)
    (copy / "manifest.json").write_text(json.dumps(fields), "utf-8")
    return copy


def embeddings(seed: int, count: int, dim: int = 16) -> Array:
    """Draw random embeddings, (count, dim)."""
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def opened(path: Path, **options: Any) -> Store:
    """Open the store at a path, by default for an encoder of dim 16."""
    return Store(path, **{"encoder_id": "0123456789abcdef" * 2, "dim": 16, **options})


def state(store: Store) -> tuple[object, ...]:
    """Read all that classifying depends on, to the bit."""
    now = store.snapshot()
    columns = {now.labels[k]: (weights.tobytes(), bias) for k, (weights, bias) in now.columns.items()}
    return now.labels, now.counts.tolist(), now.prototypes.tobytes(), now.scatters.tolist(), columns


def adapt(store: Store, seed: int = 0) -> None:
    """Replace every column of a store's head by random values."""
    with store.adapting() as change:
        rng, shape = np.random.default_rng(seed), change.snapshot.prototypes.T.shape
        change.replace_head(rng.normal(size=shape).astype("f4"), rng.normal(size=shape[1]).astype("f4"))


def bytes_in(folder: Path) -> bytes:
    """Read the content of all files in a folder, whatever their names."""
    return b"\xff".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def cli(*arguments: object, code: int = 0) -> Result:
    """Run edge-meta in this process and require an exit code."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def python(folder: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a new Python process in a folder other than the checkout."""
    inherited = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env={**inherited, **environment},
        stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="surrogateescape", timeout=120,
        check=False,
    )  # fmt: skip


def said_in_bounds(folder: Path, code: str, *arguments: str | Path, megabytes: int) -> str:
    """Run code in a new Python, which imports NumPy and takes its arguments from sys.argv[1:]; returns what it prints.

    Any EdgeMetaError is printed. The code may take that many megabytes beyond what its imports take, and two minutes.
    """
    body = f"""import sys, numpy as np
from pathlib import Path
from edge_meta.errors import EdgeMetaError
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024
{IMPORTED}
before = peak()
try:
{indent(dedent(code), "    ")}
except EdgeMetaError as error:
    print(error)
print(peak() - before)"""
    done = python(folder, "-c", body, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    text, taken = done.stdout.rstrip("\n").rsplit("\n", 1)
    assert int(taken) <= megabytes, f"{taken} MB; {text}"
    return text


# What a decoder needs is loaded before memory is measured.
IMPORTED = """from edge_meta.datasets import load_dataset
from edge_meta.inputs import ArrayInput, AudioInput, ImageInput
import PIL.Image, PIL.ImageOps, zipfile
PIL.Image.init()
np.einsum("ab,bc->ac", np.ones((64, 64), "f4"), np.ones((64, 64), "f4"), optimize=True)"""


def said(result: Result) -> dict[str, Any]:
    """Parse the one JSON object on stdout; require that stderr is empty."""
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    fields: dict[str, Any] = json.loads(result.stdout)
    return fields


def swiftshader() -> dict[str, str]:
    """The environment in which Vulkan finds SwiftShader, a GPU that is a program, in Debian's chromium; skip without it."""
    driver = Path("/usr/lib/chromium/vk_swiftshader_icd.json")
    if not driver.exists():
        pytest.skip("there is no SwiftShader to run as a GPU: apt-get install chromium libvulkan1")
    if ctypes.util.find_library("vulkan") is None:
        pytest.skip("there is no Vulkan loader: apt-get install libvulkan1")
    return {"VK_ICD_FILENAMES": str(driver), "XDG_RUNTIME_DIR": tempfile.gettempdir()}


def complaint(result: Result) -> str:
    """Return the one paragraph on stderr; require that stdout is empty."""
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr
    assert "\n" not in result.stderr.rstrip("\n")
    return result.stderr


def powercap(folder: Path, *packages: int) -> Path:
    """Write the packages' counters in µJ into a folder, and those of a part that is not to be added."""
    zones = {f"intel-rapl:{at}": energy for at, energy in enumerate(packages)} | {"intel-rapl:0:0": 123}
    for zone, energy in zones.items():
        (folder / zone).mkdir(exist_ok=True)
        (folder / zone / "energy_uj").write_text(f"{energy}\n")
        (folder / zone / "max_energy_range_uj").write_text(f"{ENERGY_RANGE}\n")
    return folder
