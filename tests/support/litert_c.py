"""For tests of native programs: compile C against LiteRT's headers and the library in the ai-edge-litert wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEADERS = Path(os.environ.get("LITERT_C", ROOT.parent / "shared" / "litert_c")) / "litert_c_headers.tar.xz"
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]


def library() -> Path | None:
    """LiteRT's shared library in the wheel; None where there is none."""
    found = find_spec("ai_edge_litert")
    paths = [Path(folder) / "libLiteRt.so" for folder in (found and found.submodule_search_locations) or []]
    return next((path for path in paths if path.exists()), None)


WHY_NOT = (
    "there is no C compiler" if shutil.which("cc") is None
    else "LITERT_C names no folder with litert_c_headers.tar.xz, LiteRT's C headers" if not HEADERS.exists()
    else "ai-edge-litert has no libLiteRt.so here" if library() is None
    else ""
)  # fmt: skip


def compile_with_litert(sources: list[Path], folder: Path) -> Path:
    """Compile C files into a program in a folder; any warning in them is an error. Returns the program."""
    with tarfile.open(HEADERS) as archive:
        archive.extractall(folder / "headers", filter="data")
    shared = library()
    assert shared is not None
    program = folder / "program"
    link: list[str | Path] = ["-L", shared.parent, "-lLiteRt", f"-Wl,-rpath,{shared.parent}", "-lm"]
    command: list[str | Path] = ["cc", *WARNINGS, "-O2", "-isystem", folder / "headers", *sources, "-o", program, *link]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program
