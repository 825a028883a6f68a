"""For tests/chaos.py: clocks that jump. The store reads the monotonic clock, and the times of files."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock


@contextmanager
def jumping_clock(rng: random.Random) -> Iterator[None]:
    """Let the clock that the store reads jump ahead now and then, by an hour or so. It never goes back."""
    real, ahead = time.monotonic, 0.0

    def monotonic() -> float:
        nonlocal ahead
        ahead += rng.expovariate(1 / 3600) if rng.random() < 0.1 else 0.0
        return real() + ahead

    with mock.patch("time.monotonic", monotonic):
        yield


def touch(disk: Path, rng: random.Random) -> None:
    """Give files any time, as a clock that jumps may leave them."""
    for file in disk.glob("*.db*"):
        with suppress(FileNotFoundError):
            os.utime(file, (rng.uniform(0, 4e9),) * 2)
