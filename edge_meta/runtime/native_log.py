"""Read what native libraries print, where no other way to ask them exists."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

STREAMS = (1, 2)  # file descriptors: LiteRT logs to stderr, its search for OpenCL to stdout

_lock = threading.Lock()


@contextmanager
def native_log() -> Iterator[list[str]]:
    """Keep stdout and stderr off the terminal, and append their lines to the list when the context ends.

    The descriptors belong to the process: what other threads print meanwhile is taken too. The list stays empty where there
    are no such streams, or no temporary file can be made.
    """
    import tempfile  # not before it is needed

    lines: list[str] = []
    with _lock:
        try:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
            kept = [os.dup(stream) for stream in STREAMS]
        except OSError:
            yield lines
            return
        with file:
            _flush()
            for stream in STREAMS:
                os.dup2(file.fileno(), stream)
            try:
                yield lines
            finally:
                _flush()
                for stream, copy in zip(STREAMS, kept, strict=True):
                    os.dup2(copy, stream)
                    os.close(copy)
                file.seek(0)
                lines += file.read().decode("utf-8", "replace").splitlines()


def _flush() -> None:
    """Write out what Python and the C library still hold of either stream."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):  # None, or closed
            stream.flush()
    with suppress(AttributeError, TypeError, OSError):  # Windows has no library of the process itself
        ctypes.CDLL(None).fflush(None)
