"""TypeScript checks the page's types, which are written in JSDoc. `make check-page` runs this.

Needs node, and the folder EDGE_META_LITERTJS, in which npm has installed typescript.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from converters.targets.web import PAGE

COMPILER = Path(os.environ.get("EDGE_META_LITERTJS", "")) / "node_modules" / "typescript" / "bin" / "tsc"
pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and COMPILER.is_file()), reason="there is no TypeScript; run: make check-page"
)
# They run in a service worker and an audio worklet, whose globals TypeScript's types of a page lack.
OTHER_GLOBALS = ("sw.js", "recorder.js")
OPTIONS = [
    "--allowJs", "--checkJs", "--noEmit", "--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler",
    "--lib", "es2022,dom,dom.iterable",
]  # fmt: skip


def complaints(folder: Path) -> list[str]:
    """TypeScript's errors in the modules of a folder, which has the page and a stand-in for LiteRT.js."""
    (folder / "litert.d.ts").write_text("export const loadLiteRt: any, loadAndCompile: any, Tensor: any;\n")
    modules = sorted(path.name for path in folder.glob("*.js") if path.name not in OTHER_GLOBALS)
    command = ["node", str(COMPILER.resolve()), *OPTIONS, *modules]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout.splitlines()


def test_types_of_the_page_are_right(tmp_path: Path) -> None:
    shutil.copytree(PAGE, tmp_path, dirs_exist_ok=True)
    assert complaints(tmp_path) == []


def test_a_wrong_type_on_the_page_is_found(tmp_path: Path) -> None:
    shutil.copytree(PAGE, tmp_path, dirs_exist_ok=True)
    with (tmp_path / "linear.js").open("a") as file:
        file.write("squaredDistance('a', 'b');\n")
    assert any("linear.js" in line and "TS2345" in line for line in complaints(tmp_path))
