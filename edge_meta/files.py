"""Writing a file whole or not at all, in place of what is there or only where nothing is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path` when the block ends well, and leaves no trace when it does not."""
    import tempfile  # which is slow to import, and classifying has no need of it

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
    """Make a folder, and those above it that are missing; when this returns, a power cut does not take them away."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in reversed(missing):
        sync(folder.parent)


def create_unless_there(made: Path, path: Path) -> bool:
    """Move a finished file to `path`, unless another process has put one there first; an empty file counts as none.

    Both lie in one file system; `made` may be left behind. Returns whether it was moved.
    """
    sync(made)
    try:
        os.link(made, path)
    except OSError:
        # There is a file already; or the file system, such as a memory card's, knows no links.
        if path.exists() and path.stat().st_size:
            return False
        made.replace(path)
    sync(path.parent)
    return True


def sync(path: Path) -> None:
    """Put a file's content, or a folder's list of files, on the disk; Windows has no such thing for folders."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode())


def _umask() -> int:
    # The only way to read the mask is to set it; temporary files ignore it and are private to their owner.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
