"""Files that come to a folder are noticed once they are whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from edge_meta.errors import InputError
from edge_meta.inputs.arrivals import arrivals


def looks(folder: Path, steps: Sequence[Callable[[], object]]) -> list[list[str]]:
    """Names of what is yielded at the first look, and at the one after each step."""
    found: list[list[str]] = [[]]
    waiting = iter(steps)

    def wait() -> None:
        step = next(waiting, None)
        if step is None:
            raise KeyboardInterrupt
        step()
        found.append([])

    with suppress(KeyboardInterrupt):
        for path in arrivals(folder, {".png"}, wait):
            found[-1].append(path.relative_to(folder).as_posix())
    return found


def nothing() -> None:
    pass


def write(path: Path, content: bytes, changed: float) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (changed, changed))


def test_what_is_there_comes_in_name_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "notes.txt", "2026/c.png", ".d.png"):
        write(tmp_path / name, b"1", 1)
    assert looks(tmp_path, [nothing, nothing]) == [["2026/c.png", "a.png", "b.png"], [], []]


def test_a_file_comes_once_it_is_the_same_at_two_looks(tmp_path: Path) -> None:
    new = tmp_path / "new.png"
    steps = [
        lambda: write(new, b"1", 1),
        lambda: write(new, b"12", 1),  # longer
        lambda: write(new, b"34", 2),  # as long, later
        nothing,
        nothing,
    ]
    assert looks(tmp_path, steps) == [[], [], [], [], ["new.png"], []]


def test_what_changes_comes_again(tmp_path: Path) -> None:
    write(tmp_path / "a.png", b"1", 1)
    assert looks(tmp_path, [lambda: write(tmp_path / "a.png", b"2", 2), nothing, nothing]) == [["a.png"], [], ["a.png"], []]


def test_what_went_and_came_back_comes_again(tmp_path: Path) -> None:
    write(tmp_path / "a.png", b"1", 1)
    steps = [(tmp_path / "a.png").unlink, lambda: write(tmp_path / "a.png", b"1", 1), nothing]
    assert looks(tmp_path, steps) == [["a.png"], [], [], ["a.png"]]


def test_subfolders_may_come_and_go(tmp_path: Path) -> None:
    steps = [
        lambda: write(tmp_path / "new" / "a.png", b"1", 1),
        nothing,
        (tmp_path / "new" / "a.png").unlink,
        (tmp_path / "new").rmdir,
        nothing,
    ]
    assert looks(tmp_path, steps) == [[], [], ["new/a.png"], [], [], []]


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    with pytest.raises(InputError, match="photos cannot be listed"):
        list(arrivals(folder, {".png"}, folder.rmdir))
