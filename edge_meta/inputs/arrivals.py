"""Notice the examples that come to a folder, or change in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from edge_meta.errors import InputError
from edge_meta.inputs.folders import list_folder, list_tree

States = dict[Path, tuple[int, int]]
"""Path → size in bytes, and the time of the last change in ns."""


def arrivals(folder: Path, suffixes: Collection[str], wait: Callable[[], object]) -> Iterator[Path]:
    """Yield the examples in a folder and its subfolders in name order, then each that comes or changes, without end.

    A file that comes is yielded once it is the same at two looks, so that none is taken half-written.

    Args:
        suffixes: as for `folders.list_folder`.
        wait: called between two looks.

    Raises:
        InputError: the folder cannot be read, or no longer.
    """
    now = _states(folder, suffixes)
    given = dict(now)
    yield from given
    while True:
        wait()
        before, now = now, _states(folder, suffixes)
        given = {path: state for path, state in given.items() if path in now}
        for path, state in now.items():
            if state == before.get(path) and state != given.get(path):
                given[path] = state
                yield path


def _states(folder: Path, suffixes: Collection[str]) -> States:
    try:
        paths = list_tree(folder, suffixes).examples
    except InputError:  # a subfolder that went while it was listed, or the folder itself
        paths = list_folder(folder, suffixes).examples
    states = {}
    for path in paths:
        try:
            found = path.stat()
        except OSError:  # it went after it was listed
            continue
        states[path] = (found.st_size, found.st_mtime_ns)
    return states
