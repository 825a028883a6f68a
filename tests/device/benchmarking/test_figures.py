"""Taking turns, what is made of the timings, what is said of the machine, its energy counters, and earlier runs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_meta.benchmarking import baseline, energy_counters, noise_warnings, timing
from edge_meta.errors import BackendError, InputError


class Clock:
    """Samplers whose calls take what they are said to, and are remembered."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def sampler(self, name: str, seconds: float) -> timing.Sampler:
        def sample(times: int) -> list[float]:
            self.calls.append((name, times))
            return [seconds] * times

        return sample


# Taking turns


@given(runs=st.integers(1, 137), warmup=st.integers(0, 20))
def test_every_name_is_called_as_often_as_it_should_be(runs: int, warmup: int) -> None:
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


def test_a_summary_is_of_all_calls() -> None:
    rounds = [[i / 1e6 for i in range(1, 51)], [i / 1e6 for i in range(51, 101)]]
    told = timing.summary(rounds)
    assert (told["p50_us"], told["p90_us"], told["p99_us"], told["max_us"]) == (50.5, 90.1, 99.0, 100.0)
    assert (told["runs"], told["spread"]) == (100, round(75.5 / 25.5, 2))
    assert timing.summary([[1e-6]])["spread"] is None


# The machine

QUIET = {"embed": {"spread": 1.02}, "total": {"spread": None}}


@pytest.fixture
def system(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """system(governors, mounts): a machine's files, as `noise_warnings.warnings` takes them."""

    def make(governors: str = "", mounts: str = "/dev/sda1 / ext4 rw 0 0") -> dict[str, Any]:
        for cpu, governor in enumerate(governors.split()):
            file = tmp_path / f"cpu{cpu}" / "cpufreq" / "scaling_governor"
            file.parent.mkdir(parents=True)
            file.write_text(f"{governor}\n")
        (tmp_path / "mounts").write_text(mounts + "\n")
        return {"cores": 4, "cpufreq": tmp_path, "mounts": tmp_path / "mounts", "folder": Path("/tmp/timed")}

    return make


@pytest.mark.parametrize("governors", ["", "performance performance"])
def test_a_quiet_machine_gives_no_warning(system: Callable[..., dict[str, Any]], governors: str) -> None:
    assert noise_warnings.warnings(0.4, 1, QUIET, **system(governors)) == []
    assert noise_warnings.warnings(None, 1, QUIET, **system()) == []


def test_frequency_scaling_is_a_warning(system: Callable[..., dict[str, Any]]) -> None:
    (warning,) = noise_warnings.warnings(0.4, 1, QUIET, **system("performance powersave schedutil"))
    assert "powersave and schedutil" in warning


@pytest.mark.parametrize(("load", "threads", "warns"), [(3.4, 1, False), (3.6, 1, True), (1.0, 4, True), (0.4, 4, False)])
def test_load_is_a_warning_when_the_cores_do_not_suffice(
    system: Callable[..., dict[str, Any]], load: float, threads: int, warns: bool
) -> None:
    assert len(noise_warnings.warnings(load, threads, QUIET, **system())) == warns


def test_a_speed_that_changes_is_a_warning(system: Callable[..., dict[str, Any]]) -> None:
    (warning,) = noise_warnings.warnings(0.0, 1, {"embed": {"spread": 1.9}, "total": {"spread": 1.1}}, **system())
    assert "1.9" in warning
    assert "total" not in warning


def test_a_store_in_memory_is_a_warning(system: Callable[..., dict[str, Any]]) -> None:
    (warning,) = noise_warnings.warnings(0.0, 1, QUIET, **system(mounts="/dev/sda1 / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0"))
    assert "TMPDIR" in warning
    mounts = "tmpfs / tmpfs rw 0 0\n/dev/sda1 /tmp ext4 rw 0 0\ntmpfs /tmp/timed2 tmpfs rw 0 0"
    assert noise_warnings.warnings(0.0, 1, QUIET, **system(mounts=mounts)) == []


def test_nothing_is_said_where_the_system_tells_nothing(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert noise_warnings.warnings(None, 1, QUIET, Path("/tmp"), cores=1, cpufreq=nowhere, mounts=nowhere) == []


# Energy

RANGE = 1_000_000_000


@pytest.fixture
def powercap(tmp_path: Path) -> Callable[..., Path]:
    """powercap(package 0, package 1): a folder with two packages' counters in µJ, and a part that is not to be added."""

    def write(*packages: int) -> Path:
        zones = {f"intel-rapl:{at}": energy for at, energy in enumerate(packages)} | {"intel-rapl:0:0": 123}
        for zone, energy in zones.items():
            (tmp_path / zone).mkdir(exist_ok=True)
            (tmp_path / zone / "energy_uj").write_text(f"{energy}\n")
            (tmp_path / zone / "max_energy_range_uj").write_text(f"{RANGE}\n")
        return tmp_path

    return write


def test_counters_add_up_over_packages_and_go_round(powercap: Callable[..., Path]) -> None:
    counters = energy_counters.Counters(powercap(1_000_000, RANGE - 499_999))
    powercap(3_000_000, 1_500_000)
    assert counters.joules() == pytest.approx(2.0 + 2.0)
    assert counters.joules() == 0.0


def test_energy_is_what_is_above_idle(powercap: Callable[..., Path]) -> None:
    """3 W when idle, and 0.25 J for each classification of a second."""
    now, spent = 0.0, 0.0

    def pass_time(seconds: float, joules: float = 0.0) -> None:
        nonlocal now, spent
        now, spent = now + seconds, spent + 3.0 * seconds + joules
        powercap(round(1e6 * spent), 0)

    counters = energy_counters.Counters(powercap(0, 0))
    told = energy_counters.energy(lambda: pass_time(1.0, 0.25), counters, duration=8.0, clock=lambda: now, rest=pass_time)
    assert told == {"joules_per_classification": 0.25, "idle_watts": 3.0, "busy_watts": 3.25, "classifications": 8}


def test_counters_that_are_not_there_or_not_for_us_are_an_error(tmp_path: Path, powercap: Callable[..., Path]) -> None:
    with pytest.raises(BackendError, match="shows no energy counters"):
        energy_counters.Counters(tmp_path)
    (powercap(1) / "intel-rapl:0" / "energy_uj").unlink()  # root may read what it may not, so a missing file stands for it
    with pytest.raises(BackendError, match=r"cannot be read .*sudo"):
        energy_counters.Counters(tmp_path)


# Earlier runs


def outcome(**medians: float) -> dict[str, Any]:
    """A benchmark's result as far as a comparison reads it; medians in µs."""
    stages = {name: {"p50_us": median} for name, median in medians.items()}
    return {"stages": stages, "enroll_us": 4000.0, "adapt_step_us": 60.0, "cold_start_ms": 300.0, "host": {"cpu": "x"}}


def test_ratios_are_of_medians_and_slower_is_beyond_the_regression_allowed() -> None:
    compared = baseline.compare(outcome(embed=130.0, total=140.0, new=1.0), outcome(embed=100.0, total=150.0, old=1.0), 1.2)
    assert compared["ratios"] == {
        "embed": 1.3, "total": pytest.approx(0.933), "enroll": 1.0, "adapt_step": 1.0, "cold_start": 1.0
    }  # fmt: skip
    assert compared["slower"] == ["embed"]
    assert baseline.compare(outcome(embed=130.0), outcome(embed=100.0), 1.5)["slower"] == []


def test_a_few_microseconds_are_noise() -> None:
    assert baseline.compare(outcome(preprocess=6.0), outcome(preprocess=3.0), 1.2)["slower"] == []
    assert baseline.compare(outcome(preprocess=60.0), outcome(preprocess=30.0), 1.2)["slower"] == ["preprocess"]


def test_scores_by_classes_and_what_is_not_the_same_are_told() -> None:
    now, then = outcome(embed=1.0), outcome(embed=1.0)
    now["score_by_classes"] = {"10000": {"p50_us": 3000.0}}
    then["score_by_classes"] = {"10000": {"p50_us": 1000.0}}
    then |= {"host": {"cpu": "y"}}
    compared = baseline.compare(now, then, 1.2)
    assert compared["slower"] == ["score of 10,000 classes"]
    assert compared["differs"] == ["host"]


@pytest.mark.parametrize(
    "content", ["", "[]", "3", "{}", "{\"stages\": {}}", json.dumps(outcome(embed=0.0)), json.dumps(outcome(embed=math.nan))]
)  # fmt: skip
def test_a_file_that_no_benchmark_printed_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "before.json").write_text(content)
    with pytest.raises(InputError, match="is not what edge-meta benchmark --json printed"):
        baseline.read(tmp_path / "before.json")


def test_a_baseline_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.json", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            baseline.read(path)


def test_outputs_of_before_there_were_more_stages_are_read(tmp_path: Path) -> None:
    (tmp_path / "before.json").write_text(json.dumps(outcome(embed=100.0)))
    assert baseline.medians(baseline.read(tmp_path / "before.json")) == {
        "embed": 100.0, "enroll": 4000.0, "adapt_step": 60.0, "cold_start": 300_000.0
    }  # fmt: skip
