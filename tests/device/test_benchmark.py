"""The benchmark: its keys, that its figures hang together, and that it leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_meta.errors import InputError
from edge_meta.runtime import benchmark
from edge_meta.runtime.bundle import Bundle


@pytest.fixture(scope="module")
def result(bundle: Bundle) -> dict:
    return benchmark.benchmark(bundle, runs=60, warmup=5)


def test_has_the_keys_that_scripts_rely_on(result: dict, bundle: Bundle) -> None:
    assert {"backend", "threads", "runs", "enroll_us", "adapt_step_us", "cold_start_ms", "peak_rss_mb"} <= result.keys()
    assert set(result["stages"]) == {"preprocess", "embed", "score", "total"}
    assert all(set(stage) == {"p50_us", "p90_us", "p99_us"} for stage in result["stages"].values())
    assert set(result["host"]) == {"cpu", "cores", "os", "python"}
    assert result["model_bytes"] == len(bundle.model)
    assert json.loads(json.dumps(result)) == result


def test_the_stages_make_up_the_total(result: dict) -> None:
    stages = result["stages"]
    for stage in stages.values():
        assert 0 < stage["p50_us"] <= stage["p90_us"] <= stage["p99_us"]
    parts = sum(stages[name]["p50_us"] for name in ("preprocess", "embed", "score"))
    assert stages["total"]["p50_us"] == pytest.approx(parts, rel=0.5)


def test_a_fresh_process_takes_longer_than_one_answer_and_less_memory_than_training_would(result: dict) -> None:
    assert result["cold_start_ms"] > result["stages"]["total"]["p50_us"] / 1000
    assert result["peak_rss_mb"] is None or 20 < result["peak_rss_mb"] < 300


def test_peak_memory_is_the_fresh_processs_own(bundle: Bundle) -> None:
    """A large parent, such as one that has just trained, must not show."""
    ballast = bytearray(400_000_000)
    ballast[::4096] = b"\1" * len(ballast[::4096])
    peak = benchmark.benchmark(bundle, runs=1, warmup=0)["peak_rss_mb"]
    assert peak is None or peak < 300
    assert len(ballast)


def test_touches_no_store_of_the_users(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    benchmark.benchmark(bundle, runs=1, warmup=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("runs", "warmup"), [(0, 5), (-1, 5), (5, -1)])
def test_impossible_runs_are_refused(bundle: Bundle, runs: int, warmup: int) -> None:
    with pytest.raises(InputError, match="not possible"):
        benchmark.benchmark(bundle, runs=runs, warmup=warmup)
