"""For tests of NumPy's threads: threadpoolctl finds and sets their number in a way of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from threadpoolctl import ThreadpoolController

from support.device import draw

USUAL = 3  # threads that an application has set, on a machine of any number of cores


def numpy_threads() -> int:
    """The number of threads that NumPy's BLAS may use."""
    return int(_pool().num_threads)


def set_numpy_threads(count: int) -> None:
    _pool().set_num_threads(count)


@contextmanager
def usual_threads() -> Iterator[None]:
    """Set `USUAL` threads, and at the end the number of before. Skip the test if NumPy's BLAS has no OpenBLAS threads."""
    before = numpy_threads()
    set_numpy_threads(USUAL)
    try:
        yield
    finally:
        set_numpy_threads(before)


class WatchedImage:
    """An image that notes the number of NumPy's threads when it is read."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        self.seen.add(numpy_threads())
        return draw(0, height=56, width=56)


def _pool() -> Any:
    found = ThreadpoolController().select(internal_api="openblas", threading_layer="pthreads").lib_controllers
    of_numpy = [pool for pool in found if "scipy.libs" not in pool.filepath]
    if len(of_numpy) != 1:
        pytest.skip("NumPy's BLAS has no OpenBLAS threads")
    return of_numpy[0]
