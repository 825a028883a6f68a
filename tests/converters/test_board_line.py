"""A board on a serial line: taught, listed, backed up and restored from the desk."""

from __future__ import annotations

import contextlib
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.board import COMPILERS, ENCODER_ID, Driver, DriverPort, compiled
from support.device import cli, draw, embeddings, png
from support.firmware import WHY_NOT, blank_flash, build, serial_board

from converters.targets import export_target
from converters.targets.integer import End
from edge_meta.errors import BoardError
from edge_meta.runtime.board_line import BoardClass, BoardLine
from edge_meta.runtime.bundle import Bundle
from edge_meta.store.board import read_board, write_board
from edge_meta.store.board_records import Steps
from edge_meta.store.store import Store

OUTPUT, DIM = End(0.0234375, -7), 16
STEPS = Steps(OUTPUT.scale, OUTPUT.zero_point)
needs_compiler = pytest.mark.skipif(not COMPILERS, reason="there is no C compiler")
MISSING = [name for name in ("serial", "tflite_micro") if find_spec(name) is None]
needs_board = pytest.mark.skipif(bool(WHY_NOT or MISSING), reason=WHY_NOT or f"{', '.join(MISSING)} is not installed")


class SilentPort:
    """A port on which something else answers, or nothing."""

    def __init__(self, *lines: bytes) -> None:
        self._lines = iter(lines)

    def write(self, content: bytes, /) -> int | None:
        return len(content)

    def readline(self) -> bytes:
        return next(self._lines, b"")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    return compiled(tmp_path_factory.mktemp("driver"), output=OUTPUT, flags=["-DEM_CLASSES=8"])


def teach(line: BoardLine, driver: Driver, *labels: str) -> None:
    for label, shot in zip(labels, embeddings(3, len(labels)), strict=True):
        line.run(f"enroll {driver.hex(shot)} {label}")


@needs_compiler
def test_a_board_tells_what_it_is_and_holds(driver: Driver, tmp_path: Path) -> None:
    with DriverPort(driver, tmp_path / "flash") as port:
        line = BoardLine(port)
        info = line.info
        teach(line, driver, "alef", "two words", "alef")
        assert line.classes() == ([BoardClass(1, "alef", 2), BoardClass(2, "two words", 1)], 0)
    assert (info.encoder_id, info.dim, info.steps, info.classes, info.shots, info.none) == (ENCODER_ID, DIM, STEPS, 8, 5, 8)
    assert info.flash is not None
    assert info.flash[:3] == (4096, 2, 4)


@needs_compiler
def test_a_backup_is_the_flash_byte_for_byte(driver: Driver, tmp_path: Path) -> None:
    with DriverPort(driver, tmp_path / "flash") as port:
        line = BoardLine(port)
        teach(line, driver, "a", "b", "a")
        content = line.read_flash()
    assert content == (tmp_path / "flash").read_bytes()


def restored(line: BoardLine, store: Store, made: Path) -> dict[str, int]:
    flash = line.flash()
    done = write_board(store, made, line.info.steps, flash.sector_bytes, flash.unit, flash.generation + 1)
    line.write_flash(made.read_bytes()[: flash.sector_bytes])
    return done


@needs_compiler
def test_a_restored_board_has_what_the_store_has(driver: Driver, tmp_path: Path) -> None:
    with Store(tmp_path / "desk.db", ENCODER_ID, DIM) as store:
        for label, shot in zip("cde", driver.quantized(embeddings(5, 3)), strict=True):
            store.enroll(label, shot[None])
        with DriverPort(driver, tmp_path / "flash") as port:
            line = BoardLine(port)
            teach(line, driver, "a", "b")
            assert restored(line, store, tmp_path / "made")["classes"] == 3
            assert [each.label for each in line.classes()[0]] == ["c", "d", "e"]
        with DriverPort(driver, tmp_path / "flash") as port:  # it has kept them
            assert [each.label for each in BoardLine(port).classes()[0]] == ["c", "d", "e"]
    read_board(tmp_path / "flash", tmp_path / "read.db", ENCODER_ID, DIM)


@needs_compiler
def test_a_cut_while_restoring_loses_nothing(driver: Driver, tmp_path: Path) -> None:
    with Store(tmp_path / "desk.db", ENCODER_ID, DIM) as store:
        store.enroll("new", driver.quantized(embeddings(5, 1)))
        for cut in range(4096, 4096 + 400, 16):  # bytes erased or programmed before the power fails
            flash = tmp_path / f"flash{cut}"
            with DriverPort(driver, flash) as port:
                line = BoardLine(port)
                teach(line, driver, "a", "b")
                port.write(f"cut {cut}\n".encode())
                with contextlib.suppress(BoardError, BrokenPipeError):
                    restored(line, store, tmp_path / "made")
            with DriverPort(driver, flash) as port:
                assert [each.label for each in BoardLine(port).classes()[0]] in (["a", "b"], ["new"])


@needs_compiler
@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("read 8192 16", "EM_BAD_ARGUMENT"),
        ("read 0 129", "EM_BAD_ARGUMENT"),
        ("program 2 00000000", "EM_BAD_ARGUMENT"),
        ("program 4092 0000000000000000", "EM_BAD_ARGUMENT"),
        ("program 0 xy", "EM_BAD_ARGUMENT"),
        ("forget 9", "EM_NO_SUCH_CLASS"),
    ],
)
def test_a_refused_command_names_the_boards_status(driver: Driver, tmp_path: Path, command: str, status: str) -> None:
    with DriverPort(driver, tmp_path / "flash") as port, pytest.raises(BoardError, match=status):
        BoardLine(port).run(command)


@needs_compiler
def test_an_example_of_another_size_is_not_sent(driver: Driver, tmp_path: Path) -> None:
    with (
        DriverPort(driver, tmp_path / "flash") as port,
        pytest.raises(BoardError, match=r"5 bytes, and the board takes 4\."),
    ):
        BoardLine(port).enroll("a", bytes(5))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "does not answer"),
        ([b"login: \n"] * 200, "is no board"),
        ([b"encoder 12\n", b"values of a kind\n", b"ok\n"], "is no board"),
        ([b"ready EM_OK\n", b"half an ans"], "does not answer"),
    ],
)
def test_what_is_no_board_is_refused(lines: list[bytes], message: str) -> None:
    with pytest.raises(BoardError, match=message):
        BoardLine(SilentPort(*lines))


def test_a_port_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    pytest.importorskip("serial")
    said = cli("board", "list", "--port", tmp_path / "none", code=1).stderr
    assert f"{tmp_path}/none cannot be used" in said


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("firmware")
    return build(folder, export_target(Bundle.open("omniglot"), folder / "board", "tflm").path)


@needs_board
def test_the_verbs_teach_a_board_and_put_it_back(firmware: Path, tmp_path: Path) -> None:
    for kind, label in enumerate(("alef", "bet")):
        for take in range(2):
            png(tmp_path / label, f"{take}.png", draw(kind, take))
    with serial_board(firmware, blank_flash(tmp_path / "flash")) as port:
        to = ("--port", port)
        for label in ("alef", "bet"):
            taught = json.loads(cli("board", "teach", *to, "omniglot", label, tmp_path / label, "--json").stdout)
        assert taught == {"label": "bet", "added": 2, "shots": 2, "classes": 2}
        cli("board", "teach", *to, "omniglot", "--none", tmp_path / "bet" / "0.png")
        cli("board", "backup", *to, tmp_path / "board.bin")
        cli("board", "teach", *to, "omniglot", "gimel", tmp_path / "bet" / "1.png")
        assert [each["label"] for each in listed(*to)["classes"]] == ["alef", "bet", "gimel"]
        said = cli("board", "restore", *to, tmp_path / "board.bin").stdout
        assert "4 shots of 2 classes, 1 of none on the board" in said
        found = listed(*to)
        assert [(each["label"], each["shots"]) for each in found["classes"]] == [("alef", 2), ("bet", 2)]
        assert found["none_shots"] == 1
        assert 40_000 < found["arena_bytes"] < 46_000  # measured on the board
        other = cli("board", "teach", *to, "objects", "mug", tmp_path / "bet" / "1.png", code=1).stderr
        assert "The board has encoder" in other
        cli("import-store", "omniglot", tmp_path / "board.bin", "--format", "board", "--store", tmp_path / "desk.db")
        assert "4 shots of 2 classes" in cli("board", "restore", *to, tmp_path / "desk.db").stdout


def listed(*to: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(cli("board", "list", *to, "--json").stdout)
    return found
