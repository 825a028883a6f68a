"""Cut a stream of sensor values at the moments of stillness into the motions between them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError
from edge_meta.inputs.tables import read_table

STEP = 0.1  # seconds
WINDOW = 3  # steps over which the variances are taken, for the one in the middle
LOUD = 6.0  # times its floor from which the variance of a channel is motion
RISE = 10 ** (0.3 * STEP)  # of the floor in a step, 3 dB a second
FALL = 0.5  # share of the way down in one step
STILL = 4  # steps of stillness that end a motion; a hand that turns a corner pauses for less
SHORTEST, LONGEST = 0.6, 5.0  # seconds of a motion, up to 0.3 of which the window adds; others are bumps, and no gestures
GAP = 0.5  # seconds without rows, after which a motion does not go on
CHECKED = 20  # distances of rows in time, of which the median must be
FASTEST, SLOWEST = 1 / 5000, 1 / 20  # seconds; 25 Hz are asked for, and no clock is exact

Values = NDArray[np.float64]


class Motion(NamedTuple):
    """A motion in a stream.

    Attributes:
        start, end: seconds, on the clock of the stream.
        values: (n, channels), from the first step that moves to the last.
    """

    start: float
    end: float
    values: Values


class _Step(NamedTuple):
    times: list[float]
    rows: list[Values]


class MotionCutter:
    """Takes rows of sensor values with their times, and gives each motion once it is over.

    A step moves if the variance of one of its channels is six times its floor, so that units do not matter. The
    floors follow the variances down at once and up slowly, as the floor of `runtime.voice_gate` does.

    Args:
        name: of the stream, for messages.
    """

    def __init__(self, name: str = "The stream") -> None:
        self._name = name
        self._step = _Step([], [])
        self._moving: list[_Step] = []
        self._recent: deque[_Step] = deque(maxlen=WINDOW)
        self._still, self._floor = 0, np.empty(0)
        self._last = -math.inf
        self._apart: list[float] = []

    def feed(self, times: Any, values: Any) -> list[Motion]:
        """Take the next rows, at times (n,) in seconds, values (n, channels); returns the motions that end in them.

        Raises:
            InputError: shapes do not match, a value is not finite, a time is before the one before it, or there are not 25
                to 5,000 rows a second.
        """
        times, values = np.asarray(times, np.float64), np.asarray(values, np.float64)
        if times.ndim != 1 or values.ndim != 2 or len(times) != len(values):
            raise InputError(
                f"Times of shape {times.shape} and values of shape {values.shape} were given.",
                "Give (n,) and (n, channels).",
            )
        if not (np.isfinite(times).all() and np.isfinite(values).all()):
            raise InputError(f"{self._name} has values that are not finite.", "Leave such rows out.")
        return [motion for time, row in zip(times.tolist(), values, strict=True) for motion in self._take(time, row)]

    def end(self) -> list[Motion]:
        """Close the stream; returns the motion that it ended in, if any.

        Raises:
            InputError: there are not 25 to 5,000 rows a second.
        """
        if 0 < len(self._apart) < CHECKED:
            self._check_rate()
        return [*self._close_step(), *self._close_motion()]

    def _take(self, time: float, row: Values) -> Iterable[Motion]:
        if time < self._last:
            raise InputError(f"The time of {self._name} goes back from {self._last} to {time}.", "Give rows in their order.")
        done: list[Motion] = []
        if time > self._last + GAP:
            done = [*self._close_step(), *self._close_motion()]
            self._recent.clear()
        elif time >= self._step.times[0] + STEP and len(self._step.times) > 1:
            done = self._close_step()
        if len(self._apart) < CHECKED and math.isfinite(self._last):
            self._apart.append(time - self._last)
            if len(self._apart) == CHECKED:
                self._check_rate()
        self._step.times.append(time)
        self._step.rows.append(row)
        self._last = time
        return done

    def _check_rate(self) -> None:
        apart = float(np.median(self._apart))
        if not FASTEST <= apart <= SLOWEST:
            raise InputError(
                f"The rows of {self._name} are {apart:,.6g} s apart; 0.0002 to 0.05 s can be told into motions.",
                "Give their times in seconds, and record at 25 Hz or more.",
            )

    def _close_step(self) -> list[Motion]:
        step, self._step = self._step, _Step([], [])
        self._recent.append(step)
        rows = [row for each in self._recent for row in each.rows]
        if len(rows) < 2:
            return []
        moves = self._moves(np.var(rows, axis=0))
        if moves and not self._moving:
            self._moving += [*self._recent][-WINDOW // 2 : -1]
        if moves or self._moving:
            self._moving.append(step)
        self._still = 0 if moves else self._still + 1
        return self._close_motion() if self._moving and self._still == STILL else []

    def _moves(self, variance: Values) -> bool:
        if self._floor.shape != variance.shape:
            self._floor = variance
        varies = variance > 0
        loudness = np.max(variance[varies] / np.maximum(self._floor[varies], 1e-300)) if varies.any() else 0.0
        falling = self._floor + FALL * (variance - self._floor)
        self._floor = np.where(variance < self._floor, falling, np.minimum(variance, self._floor * RISE))
        return bool(loudness >= LOUD)

    def _close_motion(self) -> list[Motion]:
        """Give what moved, without the steps of stillness and the last step that motion alone made loud."""
        steps = self._moving[: max(0, len(self._moving) - self._still - WINDOW // 2)]
        self._moving, self._still = [], 0
        if not steps:
            return []
        start, end = steps[0].times[0], steps[-1].times[-1]
        if not SHORTEST <= end - start <= LONGEST:
            return []
        return [Motion(start, end, np.array([row for step in steps for row in step.rows]))]


def read_motions(path: str | Path, channels: Sequence[str]) -> list[Motion]:
    """Cut a .csv table with a column of seconds into motions, their values (n, channels).

    Raises:
        InputError: it is no such table, see `tables.Table`; or nothing moves in it between two moments of stillness.
    """
    if Path(path).suffix.lower() != ".csv":
        raise InputError(f"{path} holds no times.", "Save it as a .csv table with a column of seconds.")
    cutter = MotionCutter(str(path))
    rows = read_table(path).timed_rows(channels)
    motions = [*(motion for seconds, row in rows for motion in cutter.feed([seconds], [row])), *cutter.end()]
    if not motions:
        raise InputError(
            f"No motion in {path} is between two moments of stillness.",
            f"Rest for half a second before and after each, and take at most {LONGEST:g} seconds for it.",
        )
    return motions
