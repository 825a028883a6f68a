"""edge-meta benchmark as a user runs it: the table, the JSON object, the page, and comparing with an earlier run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.benchmarks import measured, stage, with_stage
from support.device import cli, complaint

from edge_meta.benchmarking import runner, stages
from edge_meta.benchmarking.results import Benchmark


def give(monkeypatch: pytest.MonkeyPatch, result: Benchmark) -> Benchmark:
    """Have the verb report a result in place of measuring."""
    monkeypatch.setattr(runner, "benchmark", lambda *arguments: result)
    return result


def test_measures_and_prints_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    measure = runner.benchmark

    def little(bundles: Any, config: runner.BenchmarkConfig, *more: Any) -> Benchmark:
        return measure(bundles, replace(config, shots=2, class_counts=(5,), adaptations=1, starts=1), *more)

    monkeypatch.setattr(runner, "benchmark", little)
    done = cli("benchmark", "omniglot", "--runs", 3, "--warmup", 0, "--no-sweep", "--no-xnnpack", "--json")
    assert done.stdout.count("\n") == 1
    told = json.loads(done.stdout)
    assert (told["runs"], told["xnnpack"], told["side_by_side"]) == (3, False, [])
    assert "fresh processes" in done.stderr


def test_help_explains_every_stage() -> None:
    text = cli("benchmark", "--help").stdout
    explained = [line.split()[0] for line in text.splitlines() if line.strip().startswith(stages.STAGES)]
    assert tuple(explained) == stages.STAGES


def test_prints_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    first = measured().first
    other = replace(first, bundle="other", quantization="float32", cold_start=replace(first.cold_start, steady_rss_mb=None))
    result = replace(measured(), others=[other], warnings=["The machine is busy."], notes=["No counters."])
    text = cli("benchmark", give(monkeypatch, result).first.bundle).stdout
    lines = text.splitlines()
    for name, timing in result.first.stages.items():
        assert any(line.startswith(f"{name} ") and f"{timing.p50_us:,.1f}" in line for line in lines)
    assert "omniglot, int8, " in text
    assert "other, float32, " in text
    assert "litert, 1 thread" in text
    assert "tflite, 1 thread, no XNNPACK: It is <gone>." in text
    assert "energy: 0.25 mJ a classification" in text
    assert "memory of the process: peak 51 MB, steady 48 MB" in lines
    assert "memory of the process: peak 51 MB" in lines
    assert lines[-2:] == ["Note: No counters.", "Warning: The machine is busy."]


def test_an_earlier_run_is_compared_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = give(monkeypatch, measured())
    before = tmp_path / "before.json"
    before.write_text(cli("benchmark", "omniglot", "--json").stdout)
    told = json.loads(cli("benchmark", "omniglot", "--baseline", before, "--json").stdout)
    assert told["baseline"]["slower"] == []
    assert set(told["baseline"]["ratios"].values()) == {1.0}

    give(monkeypatch, with_stage(result, "embed", stage(1.5 * result.first.stages["embed"].p50_us)))
    failed = cli("benchmark", "omniglot", "--baseline", before, "--json", code=1)
    assert json.loads(failed.stdout)["baseline"]["slower"] == ["embed"]
    assert f"Error: Slower than {before} by more than a factor of 1.2: embed " in failed.stderr
    assert "embed" in cli("benchmark", "omniglot", "--baseline", before, "--max-regression", 1e6).stdout


def test_a_bad_baseline_is_refused_before_measuring(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    assert "--json" in complaint(cli("benchmark", "omniglot", "--baseline", tmp_path / "other.json", code=1))
    assert "folder" in complaint(cli("benchmark", "omniglot", "--report", tmp_path / "no" / "page.html", code=1))
    assert cli("benchmark", "omniglot", "--max-regression", 0.5, code=2).stdout == ""
    assert "is for --baseline" in cli("benchmark", "omniglot", "--max-regression", 2, code=2).stderr
    assert cli("benchmark", code=2).stdout == ""


def test_writes_a_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    give(monkeypatch, measured())
    done = cli("benchmark", "omniglot", "--report", tmp_path / "page.html")
    assert "<h2>Stages</h2>" in (tmp_path / "page.html").read_text("utf-8")
    assert "page.html written" in done.stderr
