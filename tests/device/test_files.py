"""A file is replaced whole, or not at all; or it is placed only where nothing is."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from support.device import python

from edge_meta.errors import OutputError
from edge_meta.files import create_unless_there, remove_leftovers, replacing, temporary_folder, write_text


def test_the_new_content_takes_the_old_ones_place(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old and longer")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old and longer"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "ა → 👴\n")
    assert (tmp_path / "file").read_bytes() == "ა → 👴\n".encode()


@pytest.mark.parametrize("error", [OSError("disk"), ValueError("bad"), KeyboardInterrupt()])
@pytest.mark.parametrize("there_before", [True, False])
def test_a_failing_block_changes_nothing_and_leaves_no_trace(
    tmp_path: Path, error: BaseException, there_before: bool
) -> None:
    path = tmp_path / "file"
    if there_before:
        path.write_bytes(b"old")

    def write_half() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert os.listdir(tmp_path) == (["file"] if there_before else [])
    assert not there_before or path.read_bytes() == b"old"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_users_mask_decides_who_may_read(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file", "text")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "missing" / "file", "text")


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize(("there", "then"), [(None, b"made"), (b"", b"made"), (b"another process's", b"another process's")])
def test_a_new_file_is_placed_only_where_nothing_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool, there: bytes | None, then: bytes
) -> None:
    def link(source: Path, target: Path) -> None:
        raise PermissionError("this file system knows no links")

    if not links:
        monkeypatch.setattr(os, "link", link)
    (tmp_path / "made").write_bytes(b"made")
    if there is not None:
        (tmp_path / "place").write_bytes(there)
    create_unless_there(tmp_path / "made", tmp_path / "place")
    assert (tmp_path / "place").read_bytes() == then


# What is written to


@pytest.mark.skipif(os.name == "nt", reason="devices, FIFOs and links of POSIX")
@pytest.mark.parametrize("kind", ["device", "FIFO", "socket", "folder", "link to nothing"])
def test_only_regular_files_are_written_to(tmp_path: Path, kind: str) -> None:
    path, bound = tmp_path / "there", socket.socket(socket.AF_UNIX)
    if kind == "device":
        path.symlink_to(os.devnull)
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        bound.bind(os.path.relpath(path))
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    bound.close()
    before = path.lstat()
    with pytest.raises(OutputError, match=rf"there is a {kind}.*[Nn]ame a file"):
        write_text(path, "text")
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert os.listdir(tmp_path) == ["there"]


def test_a_link_stays_and_the_file_that_it_names_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("old")
    (tmp_path / "link").symlink_to("folder/file")
    (tmp_path / "link to the link").symlink_to("link")
    write_text(tmp_path / "link to the link", "new")
    assert (tmp_path / "folder" / "file").read_text() == "new"
    assert os.readlink(tmp_path / "link") == "folder/file"
    assert os.listdir(tmp_path / "folder") == ["file"]


@pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX")
@pytest.mark.parametrize("private", [True, False])
def test_a_file_keeps_its_mode_when_it_is_replaced(tmp_path: Path, private: bool) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(0o640)
    for path in (tmp_path / "file", tmp_path / "new"):
        with replacing(path, private):
            pass
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0 or not private


# What killed processes leave

KILLED = """
import os, signal, sys
from pathlib import Path
from edge_meta import files
path = Path(sys.argv[1])
if sys.argv[2] == "file":
    with files.replacing(path) as file:
        file.write(b"label" * 10_000)
        os.kill(os.getpid(), signal.SIGKILL)
with files.temporary_folder(path) as folder:
    (folder / "deeper").mkdir()
    (folder / "deeper" / "made.db").write_bytes(b"label")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL and locks")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_next_writer_removes_what_a_killed_one_left(tmp_path: Path, kind: str) -> None:
    assert python(tmp_path, "-c", KILLED, tmp_path / "file", kind).returncode == -signal.SIGKILL
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".file.")
    mine = [".file.kept", ".file.0123456789abcde.edge-meta", "file.0123456789abcdef.edge-meta"]  # nothing of ours
    for name in mine:
        (tmp_path / name).touch()
    write_text(tmp_path / "other", "text")
    assert sorted(os.listdir(tmp_path)) == sorted([*mine, "other"])


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    with replacing(tmp_path / "file") as file, temporary_folder(tmp_path / "folder") as folder:
        file.write(b"text")
        (folder / "made").touch()
        done = python(
            tmp_path,
            "-c",
            "import sys; from pathlib import Path; from edge_meta.files import *; write_text(Path(sys.argv[1]), 'text')",
            tmp_path / "other",
        )
        assert done.returncode == 0, done.stderr
        assert (folder / "made").exists()
        assert len(os.listdir(tmp_path)) == 3
    assert sorted(os.listdir(tmp_path)) == ["file", "other"]


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
def test_a_link_of_such_a_name_is_no_leftover(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    (tmp_path / ".a.0123456789abcdef.edge-meta").symlink_to("folder")
    remove_leftovers(tmp_path)
    assert (tmp_path / "folder" / "file").exists()
    assert (tmp_path / ".a.0123456789abcdef.edge-meta").is_symlink()


def test_a_second_error_on_closing_does_not_hide_the_first(tmp_path: Path) -> None:
    limited = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from edge_meta.files import replacing\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with replacing(Path(sys.argv[1])) as file:\n"
        "    file.write(bytes(5000))\n"
    )
    done = python(tmp_path, "-c", limited, tmp_path / "file")
    assert done.stderr.count("Error") == 1
    assert done.stderr.endswith("OSError: [Errno 27] File too large\n")
    assert os.listdir(tmp_path) == []
