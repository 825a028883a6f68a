"""A bundle's zip: aligned so that a model can be mapped into memory where it lies, and the same bytes each time."""

from __future__ import annotations

import mmap
import os
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from support.device import python

from converters.bundle_writer import PAGE, check_output, write
from edge_meta.errors import ExportError, OutputError
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


# --- what is there ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["letters.bundle", "letters.zip"])
def old(request: pytest.FixtureRequest, files: dict[str, bytes], tmp_path: Path) -> Path:
    """A bundle that is already there."""
    write(tmp_path / request.param, files)
    return tmp_path / request.param


def content_of(path: Path) -> dict[str, bytes]:
    if path.is_dir():
        return {file.name: file.read_bytes() for file in path.iterdir()}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_bundle_is_replaced_as_a_whole_and_only_when_asked(old: Path) -> None:
    with pytest.raises(ExportError, match=r"letters\.\w+ exists\. Use --overwrite"):
        check_output(old, overwrite=False)
    check_output(old, overwrite=True)
    write(old, {"manifest.json": b"new"})
    assert content_of(old) == {"manifest.json": b"new"}
    assert list(old.parent.iterdir()) == [old]


class Unreadable(dict[str, bytes]):
    """Files, the second of which cannot be had."""

    def __init__(self, error: BaseException) -> None:
        super().__init__({"manifest.json": b"new"})
        self.error = error

    def items(self) -> Iterator[tuple[str, bytes]]:  # type: ignore[override]
        yield from super().items()
        raise self.error


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "interrupted"])
def test_a_failure_while_writing_leaves_the_old_bundle(old: Path, files: dict[str, bytes], error: BaseException) -> None:
    with pytest.raises(ExportError if isinstance(error, OSError) else KeyboardInterrupt):
        write(old, Unreadable(error))
    assert content_of(old) == files
    assert list(old.parent.iterdir()) == [old]
    fresh = old.with_stem("fresh")
    with pytest.raises(ExportError if isinstance(error, OSError) else KeyboardInterrupt):
        write(fresh, Unreadable(error))
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "interrupted"])
def test_a_failure_while_replacing_puts_the_old_bundle_back(
    old: Path, files: dict[str, bytes], error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = "rename" if old.is_dir() else "replace"
    move, failures = getattr(Path, method), iter([error])

    def failing_once(path: Path, target: Path) -> Path:
        for failure in failures:
            raise failure
        moved: Path = move(path, target)
        return moved

    monkeypatch.setattr(Path, method, failing_once)
    with pytest.raises(ExportError if isinstance(error, OSError) else KeyboardInterrupt):
        write(old, {"manifest.json": b"new"})
    assert content_of(old) == files
    assert list(old.parent.iterdir()) == [old]


def test_an_output_below_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        write(tmp_path / "file" / "new.bundle", {"manifest.json": b"new"})


@pytest.mark.skipif(os.name == "nt", reason="devices, FIFOs and links of POSIX")
@pytest.mark.parametrize("kind", ["a device", "a FIFO", "a link to nothing"])
def test_what_is_no_file_or_folder_is_not_replaced(files: dict[str, bytes], tmp_path: Path, kind: str) -> None:
    output = tmp_path / "letters.bundle"
    if kind == "a FIFO":
        os.mkfifo(output)
    else:
        output.symlink_to(os.devnull if kind == "a device" else "nowhere")
    before = output.lstat()
    for use in (lambda: check_output(output, overwrite=True), lambda: write(output, files)):
        with pytest.raises(OutputError, match=rf"letters\.bundle is {kind}"):
            use()
    assert (output.lstat().st_ino, output.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert os.listdir(tmp_path) == ["letters.bundle"]


def test_a_bundle_is_replaced_through_a_link(files: dict[str, bytes], tmp_path: Path) -> None:
    write(tmp_path / "folder" / "letters.bundle", {**files, "old": b""})
    (tmp_path / "link.bundle").symlink_to("folder/letters.bundle")
    write(tmp_path / "link.bundle", files)
    assert (tmp_path / "link.bundle").is_symlink()
    assert sorted(os.listdir(tmp_path / "folder" / "letters.bundle")) == sorted(files)
    assert os.listdir(tmp_path / "folder") == ["letters.bundle"]


KILLED = """
import os, signal, sys
from pathlib import Path
from converters.bundle_writer import write
rename = Path.rename
def kill_at_the_second(path, target):
    if path.name == "new":
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(path, target)
Path.rename = kill_at_the_second
write(Path(sys.argv[1]), {"manifest.json": b"new"})
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_killed_replacement_keeps_the_old_bundle(files: dict[str, bytes], tmp_path: Path) -> None:
    output = tmp_path / "letters.bundle"
    write(output, files)
    assert python(tmp_path, "-c", KILLED, output).returncode == -signal.SIGKILL
    write(tmp_path / "other.bundle", files)
    assert sorted(os.listdir(tmp_path)) == [".letters.bundle.replaced", "other.bundle"]
    assert Bundle.open(tmp_path / ".letters.bundle.replaced").manifest == Bundle.open("omniglot").manifest
    write(output, files)
    assert sorted(os.listdir(tmp_path)) == ["letters.bundle", "other.bundle"]
