"""A bundle's zip: aligned so that a model can be mapped into memory where it lies, and the same bytes each time."""

from __future__ import annotations

import mmap
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from converters.bundle_writer import PAGE, write
from edge_meta.runtime.bundle import Bundle


@pytest.fixture
def files() -> dict[str, bytes]:
    """The shipped bundle's, with a second model of an odd length in front."""
    folder = Bundle.open("omniglot").path
    return {"other.tflite": b"x" * 1001, **{path.name: path.read_bytes() for path in sorted(folder.iterdir())}}


def place(archive: zipfile.ZipFile, name: str) -> int:
    """Where a member's content begins in the file: after its local header, as that itself says."""
    start = archive.getinfo(name).header_offset
    header = Path(str(archive.filename)).read_bytes()[start : start + 30]
    assert header[:4] == b"PK\3\4"
    return start + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")


def test_models_lie_on_a_page_and_run_from_there(files: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "letters.bundle.zip"
    write(path, files)
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        assert archive.testzip() is None
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            for name in ("other.tflite", "encoder.tflite"):
                start = place(archive, name)
                assert start % PAGE == 0
                assert mapped[start : start + len(files[name])] == files[name]
            start = place(archive, "encoder.tflite")
            content = memoryview(mapped)[start : start + len(files["encoder.tflite"])]
            interpreter = Interpreter(model_content=bytes(content))
            interpreter.allocate_tensors()
            interpreter.invoke()
            assert np.isfinite(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])).all()
            content.release()


def test_a_zip_is_hardly_larger_than_its_files(files: dict[str, bytes], tmp_path: Path) -> None:
    write(tmp_path / "letters.zip", files)
    made, shipped = Bundle.open(tmp_path / "letters.zip"), Bundle.open("omniglot")
    assert (made.manifest, made.model, made.name) == (shipped.manifest, shipped.model, "letters")
    spare = (tmp_path / "letters.zip").stat().st_size - sum(map(len, files.values()))
    assert spare < 2 * PAGE + 1000


def test_the_bytes_do_not_depend_on_the_time_or_the_place(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "one.zip", files)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    write(tmp_path / "deep" / "other.zip", files)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "deep" / "other.zip").read_bytes()


def test_a_model_that_needs_no_gap_is_aligned_too(tmp_path: Path) -> None:
    name = "encoder.tflite"
    before = PAGE - 30 - len(name) - 6  # its header ends where a page does
    first = before - 30 - len("a")
    write(tmp_path / "made.zip", {"a": bytes(first), name: b"model"})
    with zipfile.ZipFile(tmp_path / "made.zip") as archive:
        assert place(archive, name) == PAGE
        assert archive.read(name) == b"model"
