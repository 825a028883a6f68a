"""Time several pieces of work in turn, round by round, so that a change of the machine's speed meets all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

ROUNDS = 10
FEW = 5  # timings that a round's median needs to be trusted

Work = Callable[[], object]
Clock = Callable[[], float]
Sampler = Callable[[int], list[float]]
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class StageTiming:
    """Times of the calls of one stage, in µs to one decimal.

    Attributes:
        p50_us, p90_us, p99_us, max_us: percentiles and maximum over all calls.
        runs: number of calls.
        spread: the largest of the rounds' medians over the smallest; None with too few calls to tell.
    """

    p50_us: float
    p90_us: float
    p99_us: float
    max_us: float
    runs: int
    spread: float | None

    @classmethod
    def of(cls, rounds: Sequence[Sequence[float]]) -> StageTiming:
        """Sum up the seconds of each call, by round, as `in_turn` returns them."""
        taken = [call for round_ in rounds for call in round_]
        medians = [float(np.median(round_)) for round_ in rounds if len(round_) >= FEW]
        p50, p90, p99 = (round(1e6 * float(np.percentile(taken, percent)), 1) for percent in (50, 90, 99))
        spread = round(max(medians) / max(min(medians), 1e-9), 2) if len(medians) > 1 else None
        return cls(p50, p90, p99, round(1e6 * max(taken), 1), len(taken), spread)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def seconds(work: Work, clock: Clock = time.perf_counter) -> float:
    """Time one call."""
    started = clock()
    work()
    return clock() - started


def sampler(work: Work, clock: Clock = time.perf_counter) -> Sampler:
    """Return a function that times work: n → the seconds of each of n calls in a row."""
    return lambda times: [seconds(work, clock) for _ in range(times)]


def in_turn(
    samplers: Mapping[Name, Sampler],
    runs: int,
    warmup: int = 0,
    limit: float = float("inf"),
    rounds: int = ROUNDS,
    uncounted: int = 1,
) -> dict[Name, list[list[float]]]:
    """Time every name in turn, and return the seconds of each call, by name and by round.

    A round takes each name's share of the runs, one name after the other.

    Args:
        samplers: by name, a function that times n calls; in this process (`sampler`) or in another.
        runs: calls of each name that count.
        warmup: calls of each name before the first round.
        limit: seconds for one name in all. The round in which a name reaches it is its last.
        rounds: at most one for each run; as many as runs makes the names take turns call by call.
        uncounted: calls before a name's share in each round, since the other names have just filled the caches.
    """
    rounds = min(rounds, runs)
    spent = dict.fromkeys(samplers, 0.0)
    timings: dict[Name, list[list[float]]] = {name: [] for name in samplers}
    for round_ in range(rounds):
        share = runs * (round_ + 1) // rounds - runs * round_ // rounds
        for name, sample in samplers.items():
            if spent[name] >= limit:
                continue
            if round_ == 0:
                spent[name] += sum(_within(sample, warmup, limit / 10))
            spent[name] += sum(sample(uncounted))
            timings[name].append(_within(sample, share, limit - spent[name]))
            spent[name] += sum(timings[name][-1])
    return timings


def median_seconds(works: Mapping[Name, Work], runs: int, warmup: int = 0, uncounted: int = 0) -> dict[Name, float]:
    """Time works call by call in turn, in their order; see `in_turn`. Return the median seconds of a call, by name."""
    samplers = {name: sampler(work) for name, work in works.items()}
    timings = in_turn(samplers, runs, warmup, rounds=runs, uncounted=uncounted)
    return {name: float(np.median(calls)) for name, calls in timings.items()}


def _within(sample: Sampler, times: int, limit: float) -> list[float]:
    """Time as many of the calls as fit into `limit` seconds, and at least one if any was asked for."""
    taken: list[float] = []
    while len(taken) < times and (not taken or sum(taken) < limit):
        # One call tells how many there is time for, so that a sampler in another process is not asked for each.
        fit = (limit - sum(taken)) / max(sum(taken) / len(taken), 1e-9) if taken else 1
        taken += sample(int(max(1, min(times - len(taken), fit))))
    return taken
