"""Write a file whole or not at all: replace an old file, or create one only where there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that replaces `path` when the block ends, and leaves no trace if the block raises."""
    import tempfile  # slow to import, and not needed to classify

    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        partial = Path(file.name)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            file.close()
            partial.chmod(0o666 & ~_umask())
            partial.replace(path)
        except BaseException:
            file.close()
            partial.unlink(missing_ok=True)
            raise


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents. When this returns, they survive a power cut."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in reversed(missing):
        sync(folder.parent)


def create_unless_there(made: Path, path: Path) -> bool:
    """Move a finished file to `path` unless a file is there already; an empty file counts as none.

    Both paths lie in one file system. `made` may remain where it is. Returns whether `path` has the content of `made`.
    """
    sync(made)
    try:
        os.link(made, path)
    except OSError:
        # There is a file already, or the file system (a memory card's, for example) has no links.
        if path.exists() and path.stat().st_size:
            return False
        made.replace(path)
    sync(path.parent)
    return True


def sync(path: Path) -> None:
    """Flush a file's content, or a folder's list of files, to the disk. Windows cannot do this for folders."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Replace a file by text in UTF-8, whole or not at all."""
    with replacing(path) as file:
        file.write(text.encode())


def _umask() -> int:
    # A temporary file ignores the mask and is private to its owner. The only way to read the mask is to set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
