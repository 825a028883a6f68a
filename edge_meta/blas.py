"""Limit the threads of NumPy's BLAS, for as long as a call takes.

The threads of OpenBLAS wait for each other by spinning. When another program has one of their cores, a matrix product of
microseconds takes a whole time slice of the scheduler, and a solver makes thousands of products.

Only OpenBLAS with threads of its own can be limited, which NumPy's wheels for Linux have. Apple's Accelerate, MKL, OpenBLAS
with OpenMP, and all of them on Windows, stay as they are.
"""

from __future__ import annotations

import ctypes
import importlib
from contextlib import ContextDecorator
from itertools import product
from threading import Lock
from types import TracebackType
from typing import Protocol

PTHREADS = 1  # what openblas_get_parallel says of threads of its own; 0: none, 2: those of OpenMP, a number for each thread


class Pool(Protocol):
    """The threads of a BLAS, which all threads of the process share."""

    def size(self) -> int: ...

    def resize(self, size: int) -> None: ...


class OpenBlas:
    """The OpenBLAS that NumPy is linked to.

    Raises:
        OSError, AttributeError, ImportError: NumPy is linked to another BLAS, or does not show to which.
        ValueError: its threads are OpenMP's.
    """

    def __init__(self) -> None:
        # The loader looks a symbol up in what this module is linked to, so another OpenBLAS, such as SciPy's, is not found.
        library = ctypes.CDLL(str(importlib.import_module("numpy.linalg._umath_linalg").__file__))
        # NumPy's wheels rename the symbols.
        for prefix, suffix in product(("scipy_", ""), ("64_", "")):
            if hasattr(library, f"{prefix}openblas_set_num_threads{suffix}"):
                break
        # Call them as they are: a method around each would cost more than they do.
        parallel, self.size, self.resize = (
            getattr(library, f"{prefix}openblas_{name}{suffix}")
            for name in ("get_parallel", "get_num_threads", "set_num_threads")
        )
        self.resize.restype = None
        if parallel() != PTHREADS:
            raise ValueError("OpenBLAS has no threads of its own")


class SharedLimit:
    """Keep a pool at the least of the sizes that calls ask for, and at its own size when there are none.

    Calls of several threads may overlap in any order. Where the application sets another size meanwhile, that is the size to
    leave.
    """

    def __init__(self, pool: Pool) -> None:
        self._size, self._resize, self._lock = pool.size, pool.resize, Lock()
        self._asked: list[int] = []
        self._own = self._set = pool.size()

    def add(self, size: int) -> None:
        with self._lock:
            self._asked.append(size)
            self._update()

    def remove(self, size: int) -> None:
        with self._lock:
            self._asked.remove(size)
            self._update()

    def _update(self) -> None:
        now = self._size()
        if now != self._set:
            self._own = now
        self._set = self._own
        for size in self._asked:  # seldom more than one; min() takes longer
            if size < self._set:
                self._set = size
        if self._set != now:
            self._resize(self._set)


def _shared_limit() -> SharedLimit | None:
    try:
        return SharedLimit(OpenBlas())
    except (OSError, AttributeError, ImportError, ValueError):
        return None


_SHARED_LIMIT = _shared_limit()


class Limited(ContextDecorator):
    """Let NumPy's BLAS use at most `threads` threads, within a `with` or a decorated function.

    The limit holds for the whole process, since the threads are shared by it; afterwards their number is what it was. Within
    another such limit the lower one holds. Threads may share one object. Where the BLAS cannot be limited, do nothing.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def __enter__(self) -> None:
        if _SHARED_LIMIT:
            _SHARED_LIMIT.add(self.threads)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if _SHARED_LIMIT:
            _SHARED_LIMIT.remove(self.threads)
