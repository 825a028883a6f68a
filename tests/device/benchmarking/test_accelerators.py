"""One table over the interpreter and the accelerators that are present."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.device import cli, powercap, swiftshader

from edge_meta.benchmarking.accelerators import lines, run_accelerators
from edge_meta.errors import BackendError
from edge_meta.runtime.bundle import Bundle

pytest.importorskip("ai_edge_litert.compiled_model", reason="tflite-runtime has no CompiledModel")


def test_accelerators_are_compared_with_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in swiftshader().items():
        monkeypatch.setenv(name, value)
    told = json.loads(cli("benchmark", "omniglot", "--accelerator", "all", "--runs", 3, "--json").stdout)
    interpreter, cpu, gpu, npu = told["accelerators"]["omniglot"]
    assert [run["accelerator"] for run in (interpreter, cpu, gpu, npu)] == [None, "cpu", "gpu", "npu"]
    assert interpreter["difference"] == cpu["difference"] == 0.0
    assert min(run[time] for run in (interpreter, cpu) for time in ("embed_us", "compile_ms")) > 0
    assert gpu["embed_us"] is gpu["compile_ms"] is None  # of SwiftShader, which is a program
    assert "SwiftShader" in gpu["device"]
    assert 0.0 < gpu["difference"] < 0.1
    assert npu["error"].startswith("The NPU ")


def test_an_accelerator_without_a_driver_has_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VK_ICD_FILENAMES", "/nonexistent/icd.json")
    text = cli("benchmark", "omniglot", "--accelerator", "all", "--runs", 2).stdout
    assert "gpu           The GPU cannot be used (" in text
    assert "interpreter " in text


def test_energy_is_a_column_where_it_can_be_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VK_ICD_FILENAMES", "/nonexistent/icd.json")
    found = run_accelerators(Bundle.open("omniglot"), 2, 1, powercap(tmp_path, 5))  # a counter that stands still
    assert [run.joules for run in found] == [0.0, 0.0, None, None]
    head, interpreter, *_ = lines("omniglot", found)
    assert head.index("energy") + len("energy") == interpreter.index("0 mJ") + len("0 mJ")
    with pytest.raises(BackendError, match="shows no energy counters"):
        run_accelerators(Bundle.open("omniglot"), 2, 1, tmp_path / "none")


def test_a_table_of_accelerators_takes_no_baseline() -> None:
    stderr = cli("benchmark", "omniglot", "--accelerator", "all", "--baseline", "x.json", code=2).stderr
    assert "--accelerator all takes no --baseline" in stderr
