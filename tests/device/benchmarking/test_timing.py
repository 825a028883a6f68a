"""Timing in turn, and the figures of a stage."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from edge_meta.benchmarking import timing


class Clock:
    """Samplers whose calls take what they are said to, and are remembered."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def sampler(self, name: str, seconds: float) -> timing.Sampler:
        def sample(times: int) -> list[float]:
            self.calls.append((name, times))
            return [seconds] * times

        return sample


@given(runs=st.integers(1, 137), warmup=st.integers(0, 20))
def test_every_name_is_called_as_often_as_asked(runs: int, warmup: int) -> None:
    clock = Clock()
    rounds = timing.in_turn({name: clock.sampler(name, 1e-3) for name in "ab"}, runs, warmup)
    for name in "ab":
        assert sum(map(len, rounds[name])) == runs
        assert len(rounds[name]) == min(runs, timing.ROUNDS)
        sizes = {len(round_) for round_ in rounds[name]}
        assert max(sizes) - min(sizes) <= 1
        # Besides the calls that count: those for warm-up, and one before each round.
        assert sum(times for called, times in clock.calls if called == name) == runs + warmup + len(rounds[name])


def test_rounds_of_several_names_alternate() -> None:
    clock = Clock()
    timing.in_turn({name: clock.sampler(name, 1e-3) for name in "abc"}, 20)
    turns = [name for at, (name, _) in enumerate(clock.calls) if at == 0 or clock.calls[at - 1][0] != name]
    assert turns == list("abc") * timing.ROUNDS


def test_a_limit_ends_what_is_slow_and_leaves_the_rest() -> None:
    clock = Clock()
    samplers = {"slow": clock.sampler("slow", 0.5), "fast": clock.sampler("fast", 1e-4)}
    rounds = timing.in_turn(samplers, 500, 50, limit=5.0)
    assert sum(map(len, rounds["fast"])) == 500
    spent = 0.5 * sum(times for name, times in clock.calls if name == "slow")
    assert 5.0 <= spent <= 6.0
    assert 1 <= sum(map(len, rounds["slow"])) < 10
    hopeless = timing.in_turn({"hopeless": clock.sampler("hopeless", 99.0)}, 500, 50, limit=5.0)
    assert hopeless == {"hopeless": [[99.0]]}


def test_work_is_called_once_for_each_timing() -> None:
    called: list[int] = []
    taken = timing.sampler(lambda: called.append(1))(7)
    assert len(called) == len(taken) == 7
    assert all(seconds >= 0 for seconds in taken)


def test_names_can_take_turns_call_by_call() -> None:
    called: list[str] = []
    works = {name: partial(called.append, name) for name in "ab"}
    medians = timing.median_seconds(works, runs=3)
    assert called == list("ababab")
    assert set(medians) == {"a", "b"}
    timing.median_seconds(works, runs=1, warmup=2, uncounted=1)
    assert called[6:] == list("aaaabbbb")


def test_time_is_told_by_the_clock_that_is_given() -> None:
    moments = iter([1.0, 3.0, 10.0, 14.0])
    assert timing.sampler(lambda: None, clock=lambda: next(moments))(2) == [2.0, 4.0]


def test_a_stages_figures_are_of_all_calls() -> None:
    rounds = [[i / 1e6 for i in range(1, 51)], [i / 1e6 for i in range(51, 101)]]
    assert timing.StageTiming.of(rounds) == timing.StageTiming(50.5, 90.1, 99.0, 100.0, 100, round(75.5 / 25.5, 2))
    assert timing.StageTiming.of([[1e-6]]).spread is None
