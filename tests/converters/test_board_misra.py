"""The rules of MISRA C that the board's library breaks, against those that the page lists."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.board import ENCODER_ID

from converters.targets.board_config import LIBRARY, config
from converters.targets.integer import End
from edge_meta.runtime.bundle import Bundle

PAGE = Path(__file__).parents[2] / "docs" / "board-misra.md"
VERSION = "2.10"  # another one knows other rules


def why_not() -> str:
    if shutil.which("cppcheck") is None:
        return "cppcheck is not installed"
    found = subprocess.run(["cppcheck", "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    return "" if found == VERSION else f"cppcheck is {found}, and the page is for {VERSION}"


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_the_library_keeps_misra_but_for_listed_rules(tmp_path: Path) -> None:
    rejection = Bundle.open("objects").manifest.rejection
    (tmp_path / "edge_meta_config.h").write_text(config(ENCODER_ID, 112, End(0.1, 0), rejection, 784))
    command = [
        "cppcheck", "--addon=misra", "--std=c99", "--platform=arm32-wchar_t4", "-DEM_NO_TFLM", "-DEM_INPUT_STEPS=8",
        "-DEM_INPUT_CHANNELS=3", f"-I{tmp_path}", f"-I{LIBRARY}", *map(str, sorted(LIBRARY.glob("*.c"))),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    found = set(re.findall(r"\[misra-c2012-(\d+\.\d+)\]", done.stderr))
    rows = re.findall(r"^\| ([\d., ]+) \|", PAGE.read_text(), re.MULTILINE)
    assert found == {rule for row in rows for rule in row.split(", ")}
