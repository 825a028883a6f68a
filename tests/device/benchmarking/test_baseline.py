"""Comparing with an earlier run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from edge_meta.benchmarking import baseline
from edge_meta.benchmarking.noise_warnings import noise_warnings
from edge_meta.errors import InputError


def outcome(**medians: float) -> dict[str, Any]:
    """A benchmark's result as far as a comparison reads it; medians in µs."""
    stages = {name: {"p50_us": median} for name, median in medians.items()}
    return {"stages": stages, "enroll_us": 4000.0, "adapt_step_us": 60.0, "cold_start_ms": 300.0, "host": {"cpu": "x"}}


def test_slower_is_a_ratio_beyond_the_regression_allowed() -> None:
    compared = baseline.compare(outcome(embed=130.0, total=140.0, new=1.0), outcome(embed=100.0, total=150.0, old=1.0), 1.2)
    assert compared.ratios == {
        "embed": 1.3, "total": pytest.approx(0.933), "enroll": 1.0, "adapt_step": 1.0, "cold_start": 1.0
    }  # fmt: skip
    assert compared.slower == ["embed"]
    assert baseline.compare(outcome(embed=130.0), outcome(embed=100.0), 1.5).slower == []


def test_a_few_microseconds_are_noise() -> None:
    assert baseline.compare(outcome(preprocess=6.0), outcome(preprocess=3.0), 1.2).slower == []
    assert baseline.compare(outcome(preprocess=60.0), outcome(preprocess=30.0), 1.2).slower == ["preprocess"]


def test_scores_by_classes_and_other_hosts_are_compared() -> None:
    now, then = outcome(embed=1.0), outcome(embed=1.0)
    now["score_by_classes"] = {"10000": {"p50_us": 3000.0}}
    then["score_by_classes"] = {"10000": {"p50_us": 1000.0}}
    then |= {"host": {"cpu": "y"}}
    compared = baseline.compare(now, then, 1.2)
    assert compared.slower == ["score of 10,000 classes"]
    assert compared.differs == ["host"]


@pytest.mark.parametrize(
    "content", ["", "[]", "3", "{}", "{\"stages\": {}}", json.dumps(outcome(embed=0.0)), json.dumps(outcome(embed=math.nan))]
)  # fmt: skip
def test_a_file_that_no_benchmark_printed_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "before.json").write_text(content)
    with pytest.raises(InputError, match="is not what edge-meta benchmark --json printed"):
        baseline.read(tmp_path / "before.json")


def test_a_baseline_taken_on_a_loaded_machine_is_refused(tmp_path: Path) -> None:
    warnings = noise_warnings(7.5, 1, {}, tmp_path, cores=2, cpufreq=tmp_path, mounts=tmp_path / "none")
    (tmp_path / "before.json").write_text(json.dumps(outcome(embed=1.0) | {"warnings": warnings}))
    with pytest.raises(InputError, match="while other programs loaded the machine"):
        baseline.read(tmp_path / "before.json")
    (tmp_path / "before.json").write_text(json.dumps(outcome(embed=1.0) | {"warnings": ["The folder is in memory."]}))
    assert baseline.read(tmp_path / "before.json")["stages"]["embed"]["p50_us"] == 1.0


def test_a_baseline_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.json", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            baseline.read(path)


def test_outputs_with_fewer_stages_are_read(tmp_path: Path) -> None:
    (tmp_path / "before.json").write_text(json.dumps(outcome(embed=100.0)))
    assert baseline.medians(baseline.read(tmp_path / "before.json")) == {
        "embed": 100.0, "enroll": 4000.0, "adapt_step": 60.0, "cold_start": 300_000.0
    }  # fmt: skip
