"""A file is replaced whole, or not at all; or it is placed only where nothing is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_meta.files import create_unless_there, replacing, write_text


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
