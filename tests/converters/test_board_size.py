"""The sizes that the package states of a board's library, against what the cross compiler makes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.board import ENCODER_ID
from support.device import cli
from support.firmware import CPU, FLAGS, MISSING, WARNINGS, cross

from converters.targets import board_fit, board_size
from converters.targets.board_config import LIBRARY, config
from converters.targets.board_fit import Encoder
from converters.targets.board_size import CODE, Choice
from converters.targets.boards import BOARDS, Board
from converters.targets.integer import End
from edge_meta.reports import board_text
from edge_meta.runtime.bundle import Bundle

needs_tools = pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} is not installed")
needs_interpreter = pytest.mark.skipif(find_spec("tflite_micro") is None, reason="tflite-micro is not installed")
DIM = 112
ALL = ("edge_meta", "edge_meta_adapt", "edge_meta_flash", "edge_meta_records")
ALONE = Choice(DIM, int8=True, none=0, adapt=False, flash=False)


def compiled(folder: Path, sources: Sequence[str], *flags: str) -> list[Path]:
    """Objects of sources of the library, with the limits of the shipped photos."""
    rejection = Bundle.open("objects").manifest.rejection
    (folder / "edge_meta_config.h").write_text(config(ENCODER_ID, DIM, End(0.1, 0), rejection, 784))
    objects = [folder / f"{source}.o" for source in sources]
    for source, made in zip(sources, objects, strict=True):
        cross("gcc", *CPU, *FLAGS, *WARNINGS, "-Wdouble-promotion", "-std=c99", *flags, f"-I{folder}",
              "-c", LIBRARY / f"{source}.c", "-o", made)  # fmt: skip
    return objects


def measured(objects: Sequence[Path]) -> int:
    """Bytes of code and constants; the objects have no memory of their own."""
    lines = [line.split() for line in cross("size", *objects).splitlines()[1:]]
    assert [line[1:3] for line in lines] == [["0", "0"]] * len(objects)
    return sum(int(line[0]) for line in lines)


@needs_tools
def test_the_code_is_as_large_as_stated(tmp_path: Path) -> None:
    alone = measured(compiled(tmp_path, ALL[:1], "-DEM_ADAPT=0", "-DEM_FLASH=0"))
    with_adapt = measured(compiled(tmp_path, ALL[:2], "-DEM_FLASH=0"))
    everything = measured(compiled(tmp_path, ALL))
    names, console = (measured(compiled(tmp_path, [f"edge_meta_{part}"])) for part in ("names", "console"))
    found = {
        "classes": alone,
        "adapt": with_adapt - alone,
        "flash": everything - with_adapt,
        "names": names,
        "console": console,
    }
    for part, size in found.items():
        assert size == pytest.approx(CODE[part], rel=0.02), part
    assert alone <= 4096
    assert everything <= 13_800


@needs_tools
def test_the_library_needs_no_doubles_and_nearly_no_libc(tmp_path: Path) -> None:
    objects = compiled(tmp_path, ALL)
    symbols = {line.split()[-1] for line in cross("nm", "-u", *objects).splitlines() if " U " in line}
    outside = {symbol for symbol in symbols if not symbol.startswith("em_")}
    assert outside <= {"memcpy", "memmove", "memset", "__aeabi_uldivmod"}


@needs_tools
@pytest.mark.parametrize(
    "choice",
    [
        ALONE,
        replace(ALONE, int8=False, none=8),
        replace(ALONE, adapt=True, classes=5, shots=1),
        replace(ALONE, flash=True, shots=20),
        Choice(DIM, int8=True),
        Choice(27, int8=False, classes=64, shots=3, none=1),
        Choice(DIM, int8=True, shots=1, none=40, adapt=False),
    ],
)
def test_a_store_takes_the_stated_memory(tmp_path: Path, choice: Choice) -> None:
    (tmp_path / "edge_meta_config.h").write_text(
        config(ENCODER_ID, choice.dim, End(0.1, 0) if choice.int8 else None, None, 784)
    )
    source = tmp_path / "memory.c"
    source.write_text('#include "edge_meta_flash.h"\nem_store store;\n#if EM_FLASH\nem_flash flash;\n#endif\n')
    macros = {"CLASSES": choice.classes, "SHOTS": choice.shots, "NONE": choice.none}
    macros |= {"ADAPT": int(choice.adapt), "FLASH": int(choice.flash)}
    cross("gcc", *CPU, *FLAGS, *(f"-DEM_{name}={value}" for name, value in macros.items()), f"-I{tmp_path}", f"-I{LIBRARY}",
          "-c", source, "-o", tmp_path / "memory.o")  # fmt: skip
    sizes = [int(line.split()[1], 16) for line in cross("nm", "-S", tmp_path / "memory.o").splitlines()]
    assert sum(sizes) == board_size.ram_bytes(choice)


@needs_tools
def test_no_function_needs_more_stack_than_stated(tmp_path: Path) -> None:
    compiled(tmp_path, ALL, "-fstack-usage")
    usage = {
        line.split("\t")[0].split(":")[-1]: int(line.split("\t")[1])
        for path in tmp_path.glob("*.su")
        for line in path.read_text().splitlines()
    }
    assert max(usage.values()) <= 984
    assert usage["em_classify"] <= 700


@needs_interpreter
def test_inspect_lists_the_boards_that_have_room() -> None:
    found = json.loads(cli("inspect", "omniglot", "--board", "--json").stdout)["board"]
    assert found["model_bytes"] == 130_080
    assert [each["name"] for each in found["boards"]] == [board.name for board in BOARDS]
    fits = {each["name"]: each["fits"] for each in found["boards"]}
    assert fits["Arduino Nano 33 BLE"] is True
    assert fits["Blue Pill"] is False
    store = next(each for each in found["stores"] if (each["classes"], each["shots"]) == (16, 5))
    assert store["all"] == board_size.ram_bytes(Choice(DIM, int8=True))
    text = cli("inspect", "omniglot", "--board").stdout
    assert "Arduino Zero (ATSAMD21G18, Cortex-M0+, 48 MHz; PlatformIO zeroUSB.json): lacks" in text
    assert re.search(r"Raspberry Pi Pico \(.*\): fits, [\d,]+ ms", text)


@needs_interpreter
def test_inspect_says_what_a_board_lacks_or_can_leave_out() -> None:
    found = json.loads(cli("inspect", "objects", "--board", "--json").stdout)["board"]
    assert not any(each["fits"] or each["leave_out"] for each in found["boards"])
    assert all(each["lacks"]["ram"] > 0 for each in found["boards"])


@needs_interpreter
def test_a_board_with_a_little_less_leaves_out_a_part() -> None:
    bundle = Bundle.open("omniglot")
    encoder = Encoder.of(bundle)
    without_adapt = replace(encoder.choice, adapt=False)
    fewer = replace(without_adapt, classes=5)
    bare = replace(fewer, flash=False)
    needed = [(encoder.flash_bytes(choice), encoder.ram_bytes(choice)) for choice in (without_adapt, fewer, bare)]
    boards = [Board("own", "own", "Cortex-M4", 100, flash, ram, "own") for flash, ram in needed]
    boards.append(boards[-1]._replace(ram_bytes=boards[-1].ram_bytes - 1))
    found = board_fit.facts(bundle, boards)
    left_out = ["EM_ADAPT 0", "EM_ADAPT 0, EM_CLASSES 5", "EM_ADAPT 0, EM_FLASH 0, EM_CLASSES 5", None]
    assert [each["leave_out"] for each in found["boards"]] == left_out
    assert not any(each["fits"] for each in found["boards"])
    text = list(board_text.lines(found))
    assert re.search(r"own \(.*\): fits with EM_ADAPT 0, [\d,]+ ms", text[-4])
    assert text[-1].endswith(": lacks 1 bytes of RAM")
