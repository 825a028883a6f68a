"""Write a file whole or not at all: replace an old file, or create one only where there is none.

A writer that is killed leaves its temporary file. Each one is locked by its process while that lives, so that the next
writer in the folder can tell which are left over, and remove them. On Windows, which has no such locks, they stay.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from edge_meta.errors import OutputError

if sys.platform != "win32":
    import fcntl

TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.edge-meta", re.S)


def writable(path: Path, or_folder: bool = False) -> Path:
    """Return the regular file to write when `path` is asked for; it may not be there yet. Links are followed.

    Args:
        or_folder: whether a folder is as good.

    Raises:
        OutputError: it is a folder, device, FIFO or socket, or a link to nothing.
        OSError: a folder on the way cannot be searched, or is none.
    """
    real = Path(os.path.realpath(path))
    try:
        mode = os.stat(real).st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise OutputError(f"{path} is a link to nothing ({real}).", "Remove the link, or name a file.") from None
        return real
    if not stat.S_ISREG(mode) and not (or_folder and stat.S_ISDIR(mode)):
        raise OutputError(f"{path} is {_kind(mode)}, not a regular file.", "Name a file.")
    return real


@contextmanager
def replacing(path: Path, private: bool = False) -> Iterator[IO[bytes]]:
    """Open a binary file that replaces `path` when the block ends, and leaves no trace if the block raises.

    Args:
        path: see `writable`. A file that is there keeps its mode.
        private: whether only its owner may read a new file; otherwise the user's mask decides.

    Raises:
        OutputError: see `writable`.
        OSError: it cannot be written.
    """
    target = writable(path)
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600 if private else 0o666 & ~_umask()
    partial, handle = _make_temporary(target, folder=False)
    file = os.fdopen(handle, "w+b")
    try:
        yield file
        file.flush()
        os.fsync(file.fileno())
        if sys.platform == "win32":
            file.close()  # Windows moves no open file; elsewhere, closing would drop the lock too early
        partial.chmod(mode)
        partial.replace(target)
    finally:
        with suppress(OSError):  # closing writes again what has just failed to be written, to a full disk for example
            file.close()
        partial.unlink(missing_ok=True)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Make a folder beside `path` to prepare its content in, and remove it with all that is in it when the block ends."""
    import shutil  # slow to import, and classifying does not need it

    folder, handle = _make_temporary(path, folder=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders of processes that are gone; leave those of living ones."""
    with suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if TEMPORARY.fullmatch(entry.name)]:
            with suppress(OSError):  # in use, somebody else's, or just removed by another process
                _remove_leftover(folder / name)


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents. When this returns, they survive a power cut."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in reversed(missing):
        sync(folder.parent)


def create_unless_there(made: Path, path: Path) -> bool:
    """Move a finished file to `path` unless a file is there already; an empty file counts as none.

    Both paths lie in one file system. Returns whether `path` has the content of `made`.
    """
    sync(made)
    try:
        os.link(made, path)
    except OSError:
        # There is a file already, or the file system (a memory card's, for example) has no links.
        if path.exists() and path.stat().st_size:
            return False
        made.replace(path)
    else:
        made.unlink()  # a store of two names is refused
    sync(path.parent)
    return True


def sync(path: Path) -> None:
    """Flush a file's content, or a folder's list of files, to the disk. Windows cannot do this for folders."""
    if path.is_dir() and sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Replace a file by text in UTF-8, whole or not at all; see `replacing`."""
    with replacing(path) as file:
        file.write(text.encode())


def _make_temporary(path: Path, folder: bool) -> tuple[Path, int]:
    """Make and lock an empty file or folder beside `path`; return its path and the handle that holds the lock."""
    remove_leftovers(path.parent)
    while True:
        made = path.parent / f".{path.name[:40]}.{os.urandom(8).hex()}.edge-meta"
        if folder:
            made.mkdir(mode=0o700)
            try:
                # Windows opens no folders; a handle is needed all the same.
                handle = os.open(os.devnull if sys.platform == "win32" else made, os.O_RDONLY)
            except FileNotFoundError:  # another process has removed it before it was locked
                continue
        else:
            handle = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        with suppress(OSError):  # some network file systems have no locks; nothing is removed there either
            _lock(handle, wait=True)
        if made.exists():  # as above
            return made, handle
        os.close(handle)


def _remove_leftover(path: Path) -> None:
    """Remove a temporary file or folder; raise OSError if it is in use."""
    import shutil

    if sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        mode = os.fstat(handle).st_mode
        _lock(handle, wait=False)
        if stat.S_ISDIR(mode):
            shutil.rmtree(path)
        elif stat.S_ISREG(mode):
            path.unlink()
    finally:
        os.close(handle)


def _lock(handle: int, wait: bool) -> None:
    """Lock an open file until it is closed; if another process has locked it, wait or raise OSError."""
    if sys.platform != "win32":
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _umask() -> int:
    # A temporary file ignores the mask and is private to its owner. The only way to read the mask is to set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
