"""Measure the device's matrix products beside other programs, with NumPy's threads limited and unlimited.

    python benchmarks/busy_neighbour.py [--runs N] [--limit SECONDS] [--json]

Time each kind of work on idle cores and then beside a child process for each core, which spins. `limited_us` is the median
with one thread, as `Classifier`, the estimator and `evaluate` have it unless asked for more; `unlimited_us` is that with
NumPy's own number of threads, `numpy_threads`, timed in turn call by call; `ratio` is the second over the first. `adapt`
fits a linear head to 20 classes of 5 shots, `score` ranks 10,000 classes, both of 112 values as the shipped encoder's;
`resize` makes 28×28 of an image of 2,000×1,500 pixels. `limit_us` is what entering and leaving the limit takes, and
`load_before` the system's load at the start: cores are only idle if it is near 0.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import timeit
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import numpy as np

from edge_meta.benchmarking import timing
from edge_meta.benchmarking.noise_warnings import system_load
from edge_meta.benchmarking.stages import random_embeddings
from edge_meta.blas import Limited, OpenBlas
from edge_meta.heads.adaptation import AdaptationConfig
from edge_meta.heads.scoring import ScoringHead
from edge_meta.inputs.resizing import resize
from edge_meta.runtime.machine import host
from edge_meta.store.reader import Snapshot
from edge_meta.types import Array

DIM, WAY, SHOT, CLASSES = 112, 20, 5, 10_000
HEIGHT, WIDTH = 1_500, 2_000
ENTERED = 10_000
SPIN = "print(flush=True)\nwhile True: pass"


@contextmanager
def busy_neighbours(count: int) -> Iterator[None]:
    """Let child processes spin, and end them afterwards."""
    command = [sys.executable, "-c", SPIN]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for child in children:
            assert child.stdout
            child.stdout.readline()  # it has begun
        yield
    finally:
        for child in children:
            child.kill()
            child.communicate()


def works(classes: int = CLASSES) -> dict[str, timing.Work]:
    """Return the works by name, with no limit of their own."""
    shots: Array = random_embeddings(WAY, 1, DIM) + np.float32(0.25) * random_embeddings(WAY, SHOT, DIM)
    labels, prototypes = np.repeat(np.arange(WAY), SHOT), shots.mean(axis=1)
    config = AdaptationConfig("lda")
    names = tuple(map(str, range(classes)))
    head = ScoringHead(Snapshot(names, np.ones(classes, np.int64), random_embeddings(classes, DIM), np.zeros(classes)))
    embedding = random_embeddings(DIM)
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 1), np.uint8)
    return {
        "adapt": lambda: config.fit(shots.reshape(-1, DIM), labels, prototypes),
        "score": lambda: head.rank(embedding, 3),
        "resize": lambda: resize(image, 28, 28),
    }


def compare(measured: dict[str, timing.Work], runs: int, limit: float) -> dict[str, dict[str, float]]:
    """Time each work with the limit and without it, in turn; return work → its figures.

    Args:
        limit: seconds for each work, with and without the limit alike, after which no further run begins.
    """
    limited = Limited(1)
    samplers = {}
    for name, work in measured.items():
        samplers[name, "limited"] = timing.sampler(limited(work))
        samplers[name, "unlimited"] = timing.sampler(work)
    timings = timing.in_turn(samplers, runs, limit=limit, rounds=runs)
    table = {}
    for name in measured:
        one, all_ = (1e6 * float(np.median(timings[name, kind])) for kind in ("limited", "unlimited"))
        table[name] = {"limited_us": round(one, 1), "unlimited_us": round(all_, 1), "ratio": round(all_ / one, 2)}
    return table


def measure(runs: int, limit: float, classes: int = CLASSES) -> dict[str, Any]:
    """Return all figures."""
    load, measured, limited, cores = system_load(), works(classes), Limited(1), os.cpu_count() or 1

    def enter() -> None:
        with limited:
            pass

    idle = compare(measured, runs, limit)
    with busy_neighbours(cores):
        busy = compare(measured, runs, limit)
    return {
        "load_before": load if load is None else round(load, 2),
        "numpy_threads": OpenBlas().size(),
        "neighbours": cores,
        "idle": idle,
        "busy": busy,
        "limit_us": round(1e6 * min(timeit.repeat(enter, number=ENTERED, repeat=5)) / ENTERED, 2),
        "host": host(),
    }


@click.command()
@click.option("--runs", default=51, show_default=True, help="Calls of each work, if time allows.")
@click.option("--limit", default=20.0, show_default=True, help="Seconds for each work, after which no call begins.")
@click.option("--json", "as_json", is_flag=True)
def main(runs: int, limit: float, as_json: bool) -> None:
    """Time matrix products beside busy neighbours, with NumPy's threads limited and unlimited."""
    result = measure(runs, limit)
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo(f"{'':<16}{'one thread':>14}{result['numpy_threads']:>7} threads   ratio")
    for cores in ("idle", "busy"):
        for name, row in result[cores].items():
            figures = f"{row['limited_us']:>11,.0f} µs{row['unlimited_us']:>12,.0f} µs{row['ratio']:>8.2f}"
            click.echo(f"{name + ', ' + cores:<16}{figures}")
    click.echo(f"Entering and leaving the limit takes {result['limit_us']} µs.")


if __name__ == "__main__":
    main()
