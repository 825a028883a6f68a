"""Progress of long work, on stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from edge_meta.text import printable

if TYPE_CHECKING:
    from edge_meta.training.progress import Progress


MEASURED_STEPS = 4  # the first of a run is slower, in which it is compiled


class TrainingProgress:
    """Print the time left as soon as a few steps tell, and a line at each validation; on a terminal, update it between."""

    def __init__(self) -> None:
        self._shown = 0.0
        self._live = sys.stderr.isatty()
        self._estimated = self._judged = False

    def __call__(self, progress: Progress) -> None:
        if progress.steps >= MEASURED_STEPS and not self._estimated and progress.eta:
            self._estimated = True
            besides = "" if self._judged else ", and the validations"
            click.echo(f"{self._start()}About {duration(progress.eta)} left on this machine{besides}", err=True)
        judged = progress.validation
        self._judged = self._judged or judged is not None
        line = (
            f"episode {progress.episode:>{len(str(progress.episodes))}}/{progress.episodes}  loss {progress.loss:.3f}  "
            f"{progress.images_per_second:,.0f} images/s  {duration(progress.eta)} left"
        )
        if judged:
            click.echo(f"{self._start()}{line}  validation {judged}", err=True)
        elif self._live and time.monotonic() - self._shown > 0.5:
            self._shown = time.monotonic()
            click.echo(f"{self._start()}{line}", nl=False, err=True)

    def _start(self) -> str:
        return "\r\x1b[K" if self._live else ""


def duration(seconds: float) -> str:
    """Write seconds as people do: 45 s, 12 min 05 s, 9 h 05 min."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


class Counter:
    """Count work in place on a terminal; print nothing elsewhere."""

    def __init__(self, what: str) -> None:
        self._what, self._shown, self._live = printable(what), 0.0, sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        if self._live and (done >= total or time.monotonic() - self._shown > 0.2):
            self._shown = time.monotonic()
            click.echo(f"\r\x1b[K{self._what} {done:,}/{total:,}", nl=done >= total, err=True)


def note(text: str) -> None:
    """Print a line about the work that is going on."""
    click.echo(printable(text), err=True)
