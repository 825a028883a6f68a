"""Pack the sources for a board as a library for Arduino, PlatformIO, CMake and Zephyr: one archive, as they take it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import edge_meta

NAME = "library.zip"
FOLDER = "edge_meta"  # in the archive
PROJECT = Path(__file__).parent / "board" / "project"
EXAMPLE = ("firmware.cc", "firmware_port.h")  # a program, so it is no part of the library


def archive(sources: Mapping[str, bytes]) -> bytes:
    """Pack the library.

    Args:
        sources: the C and C++ files, by name.
    """
    files = {**_sources(sources), **_descriptions(sources)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{FOLDER}/{name}")  # of 1980, and with the same attributes on every system
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            packed.writestr(entry, files[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _sources(sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """The sources where a library has them; Arduino compiles no .cc."""
    return {
        f"extras/{name}" if name in EXAMPLE else f"src/{_library_name(name)}": content for name, content in sources.items()
    }


def _descriptions(sources: Mapping[str, bytes]) -> dict[str, bytes]:
    compiled = [_library_name(name) for name in sorted(sources) if name not in EXAMPLE and not name.endswith(".h")]
    values = {
        "{version}": edge_meta.__version__,
        "{sources}": "\n".join(f"  src/{name}" for name in compiled),
        "{zephyr_sources}": "\n".join(f"    ../src/{name}" for name in compiled),
    }
    files = {}
    for path in filter(Path.is_file, sorted(PROJECT.rglob("*"))):
        text = path.read_text()
        for mark, value in values.items():
            text = text.replace(mark, value)
        files[path.relative_to(PROJECT).as_posix()] = text.encode()
    return files


def _library_name(name: str) -> str:
    return name.removesuffix(".cc") + ".cpp" if name.endswith(".cc") else name
