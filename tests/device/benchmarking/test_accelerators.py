"""One table over the interpreter and the accelerators that are present."""

from __future__ import annotations

import json

import pytest
from support.device import cli, swiftshader

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


def test_a_table_of_accelerators_takes_no_baseline() -> None:
    stderr = cli("benchmark", "omniglot", "--accelerator", "all", "--baseline", "x.json", code=2).stderr
    assert "--accelerator all takes no --baseline" in stderr
