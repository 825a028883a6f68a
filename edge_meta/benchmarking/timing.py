"""Timing several pieces of work in turn, round by round, so that a change of the machine's speed meets all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import numpy as np

ROUNDS = 10
FEW = 5  # timings in a round that its median can be trusted with

Work = Callable[[], object]
Sampler = Callable[[int], list[float]]
Name = TypeVar("Name", bound=Hashable)


def seconds(work: Work) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def sampler(work: Work) -> Sampler:
    """Times work: n → the seconds of each of n calls in a row."""
    return lambda times: [seconds(work) for _ in range(times)]


def in_turn(
    samplers: Mapping[Name, Sampler], runs: int, warmup: int = 0, limit: float = float("inf")
) -> dict[Name, list[list[float]]]:
    """Seconds of each call, by name and by round.

    A round takes every name's share of the runs one after the other, each after a call that does not count, since the
    others have just been in the caches.

    Args:
        samplers: by name, what times n calls; in this process (`sampler`) or in another.
        runs: calls of each that count.
        warmup: calls of each before the first round.
        limit: seconds that one name may take altogether. The round that it reaches it in is its last one.
    """
    rounds = min(ROUNDS, runs)
    spent = dict.fromkeys(samplers, 0.0)
    timings: dict[Name, list[list[float]]] = {name: [] for name in samplers}
    for round_ in range(rounds):
        share = runs * (round_ + 1) // rounds - runs * round_ // rounds
        for name, sample in samplers.items():
            if spent[name] >= limit:
                continue
            if round_ == 0:
                spent[name] += sum(_within(sample, warmup, limit / 10))
            spent[name] += sum(sample(1))
            timings[name].append(_within(sample, share, limit - spent[name]))
            spent[name] += sum(timings[name][-1])
    return timings


def _within(sample: Sampler, times: int, limit: float) -> list[float]:
    """As many of so many calls as fit into some seconds, and one at least if any was asked for."""
    taken: list[float] = []
    while len(taken) < times and (not taken or sum(taken) < limit):
        # One call tells how many there is time for, so that a sampler in another process is not asked for each.
        fit = (limit - sum(taken)) / max(sum(taken) / len(taken), 1e-9) if taken else 1
        taken += sample(int(max(1, min(times - len(taken), fit))))
    return taken


def summary(rounds: list[list[float]]) -> dict[str, Any]:
    """p50_us, p90_us, p99_us and max_us of all calls; how many runs that are; and spread, the largest of the rounds' medians
    over the smallest, None when there are too few calls to tell."""
    taken = [call for round_ in rounds for call in round_]
    medians = [float(np.median(round_)) for round_ in rounds if len(round_) >= FEW]
    percentiles = {f"p{percent}_us": round(1e6 * float(np.percentile(taken, percent)), 1) for percent in (50, 90, 99)}
    return {
        **percentiles,
        "max_us": round(1e6 * max(taken), 1),
        "runs": len(taken),
        "spread": round(max(medians) / max(min(medians), 1e-9), 2) if len(medians) > 1 else None,
    }
