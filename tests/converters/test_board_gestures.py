"""An encoder with float32 ends on a board: the shipped gestures, and series resampled in C."""

from __future__ import annotations

import ctypes
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from support.board import COMPILERS, ENCODER_ID, WARNINGS
from support.firmware import WHY_NOT, Board, blank_flash, build

from converters.targets import export_target, tflm
from converters.targets.board_config import LIBRARY, config
from converters.targets.board_fit import Encoder
from converters.targets.board_size import ENCODER_STACK
from edge_meta.inputs import SeriesInput
from edge_meta.runtime import interpreter
from edge_meta.runtime.bundle import Bundle
from edge_meta.types import Array

needs_interpreter = pytest.mark.skipif(find_spec("tflite_micro") is None, reason="tflite-micro is not installed")
needs_board = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "there is QEMU")
needs_compiler = pytest.mark.skipif(not COMPILERS, reason="there is no C compiler")
SERIES = SeriesInput((9, 3), "float32", ("ax", "ay", "az"))
OK, BAD_ARGUMENT, NOT_FINITE = 0, 1, 10  # of em_status


def stroke(kind: int, take: int) -> Array:
    """A movement (1, 128, 6): accelerations and rates of turn along a wave of the kind, with noise of the take."""
    rng = np.random.default_rng(10 * kind + take)
    time = np.linspace(0, 1, 128)[:, None]
    wave = 4 * np.sin((2 + kind) * np.pi * time * (1 + np.arange(6) / (3 + kind)) + kind)
    series = wave + [0, 0, 9.8, 0, 0, 0] + 0.2 * rng.standard_normal((128, 6))
    return series.astype(np.float32)[None]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export_target(Bundle.open("gestures"), tmp_path_factory.mktemp("bundle") / "board", "tflm")


@pytest.fixture(scope="module")
def firmware(exported: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("firmware"), exported.path)


@needs_interpreter
def test_the_exported_gestures_embed_as_the_bundle_does(exported: Bundle) -> None:
    bundle = Bundle.open("gestures")
    assert exported.manifest.encoder_id == bundle.manifest.encoder_id
    assert exported.manifest.target["cosine"] > 0.999
    fast = interpreter.Encoder(bundle.model)
    for kind in range(4):
        found, expected = tflm.embed(exported.model, stroke(kind, 0)), fast.embed(stroke(kind, 0))
        assert found @ expected > 0.999 * np.linalg.norm(found) * np.linalg.norm(expected)
    tflm.embed(exported.model, stroke(0, 0), exported.manifest.target["arena_bytes"])


@needs_interpreter
@needs_board
def test_a_board_learns_gestures_and_keeps_them(exported: Bundle, firmware: Path, tmp_path: Path) -> None:
    flash = blank_flash(tmp_path / "flash")
    with Board(firmware, flash) as board:
        assert board.ready == "ready EM_OK"
        for kind in range(4):
            found = np.frombuffer(bytes.fromhex(board.run(given("embed", kind, 0)).lines[0][1]), "<f4")
            np.testing.assert_array_equal(found, tflm.embed(exported.model, stroke(kind, 0)))
            for take in range(3):
                assert board.run(f"{given('enroll', kind, take)} stroke{kind}").status == "EM_OK"
    with Board(firmware, flash) as board:
        for kind in range(4):
            said = board.run(given("classify", kind, 3))
            assert said.lines[0] == ["known"]
            assert said.lines[1][-1] == f"stroke{kind}"


@needs_interpreter
@needs_board
def test_gestures_cost_what_inspect_estimates(exported: Bundle, firmware: Path, tmp_path: Path) -> None:
    with Board(firmware, blank_flash(tmp_path / "flash"), counted=True) as board:
        cost = board.cost(given("embed", 0, 0))
    encoder = Encoder.of(exported)
    assert encoder.instructions("Cortex-M4") == pytest.approx(cost.instructions, rel=0.05)
    assert cost.stack <= ENCODER_STACK
    assert not encoder.choice.int8


def given(command: str, kind: int, take: int) -> str:
    return f"{command} i {stroke(kind, take).tobytes().hex()}"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """`edge_meta_series.c` for series of `SERIES`."""
    folder = tmp_path_factory.mktemp("series")
    (folder / "edge_meta_config.h").write_text(config(ENCODER_ID, 4, None, None, SERIES))
    command = [COMPILERS[0], *WARNINGS, "-DEM_NO_TFLM", f"-I{folder}", f"-I{LIBRARY}", "-shared", "-fPIC"]
    subprocess.run([*command, LIBRARY / "edge_meta_series.c", "-o", folder / "series.so"], check=True)
    return ctypes.CDLL(str(folder / "series.so"))


def fitted(library: ctypes.CDLL, series: Array) -> tuple[int, Array]:
    """The status, and the input, for a series (n, c)."""
    values, made = np.ascontiguousarray(series, np.float32), np.full(SERIES.shape, np.nan, np.float32)
    pointers = [each.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) for each in (values, made)]
    rows, columns = (ctypes.c_uint32(size) for size in series.shape)
    return int(library.em_fit_series(pointers[0], rows, columns, pointers[1])), made


@needs_compiler
@pytest.mark.parametrize("rows", [2, 3, 8, 9, 10, 17, 500])
@pytest.mark.parametrize("columns", [1, 3])
def test_a_board_resamples_series_as_python_does(library: ctypes.CDLL, rows: int, columns: int) -> None:
    rng = np.random.default_rng(rows)
    series = rng.standard_normal((rows, columns)).astype(np.float32)
    padded = np.concatenate([series, np.zeros((4, columns), np.float32)])
    for each in (series, padded):
        status, made = fitted(library, each)
        assert status == OK
        np.testing.assert_allclose(made, SERIES.read(each), rtol=0, atol=1e-6)


@needs_compiler
def test_a_board_refuses_series_that_python_refuses(library: ctypes.CDLL) -> None:
    assert fitted(library, np.ones((4, 4)))[0] == BAD_ARGUMENT
    assert fitted(library, np.zeros((4, 3)))[0] == BAD_ARGUMENT
    assert fitted(library, np.eye(1, 3))[0] == BAD_ARGUMENT
    for odd in (np.nan, np.inf):
        assert fitted(library, np.array([[1.0], [odd]]))[0] == NOT_FINITE
