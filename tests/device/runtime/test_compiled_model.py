"""Encoders in LiteRT's CompiledModel, on the CPU and on SwiftShader, a GPU that is a program.

What differs is the order of sums and how a product is rounded to a quantization step, so that embeddings are equal to a few
steps. SwiftShader's times mean nothing.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from support.device import cli, complaint, draw, png, python, swiftshader, takes

from edge_meta import Classifier
from edge_meta.benchmarking.runner import BenchmarkConfig, benchmark
from edge_meta.errors import AcceleratorWarning, BackendError, FallbackWarning
from edge_meta.runtime.backend_comparison import synthetic_embeddings
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle, shipped
from edge_meta.runtime.graph_check import output_step
from edge_meta.runtime.interpreter import Encoder, open_encoder

pytest.importorskip("ai_edge_litert.compiled_model", reason="tflite-runtime has no CompiledModel")

STEPS = 4  # by which an embedding's value may differ on a GPU; on the CPU it does not
NO_DRIVER = "/nonexistent/icd.json"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """SwiftShader is what this process finds as its GPU."""
    for name, value in swiftshader().items():
        monkeypatch.setenv(name, value)


def on_gpu(bundle: Bundle) -> Encoder:
    with pytest.warns(AcceleratorWarning) as told:
        encoder = open_encoder(bundle, RuntimeOptions(accelerator="gpu"))
    assert "a program that computes on the CPU: SwiftShader" in str(told[0].message)
    return encoder


@pytest.mark.parametrize("xnnpack", [True, False])
@pytest.mark.parametrize("name", shipped())
def test_on_the_cpu_it_embeds_as_the_interpreter_does(name: str, xnnpack: bool) -> None:
    bundle = Bundle.open(name)
    compiled = open_encoder(bundle, RuntimeOptions(accelerator="cpu", xnnpack=xnnpack))
    interpreted = open_encoder(bundle, RuntimeOptions(xnnpack=xnnpack))
    np.testing.assert_array_equal(synthetic_embeddings(bundle, compiled), synthetic_embeddings(bundle, interpreted))


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("name", shipped())
def test_on_a_gpu_it_embeds_within_a_few_steps(name: str) -> None:
    bundle = Bundle.open(name)
    found, expected = synthetic_embeddings(bundle, on_gpu(bundle)), synthetic_embeddings(bundle, open_encoder(bundle))
    apart, step = np.abs(found - expected), output_step(bundle.model)
    if step is None:  # it ends in float32, behind steps that differ
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
        assert ((found * expected).sum(axis=1) / lengths).min() >= 0.995
        return
    assert apart.max() <= STEPS * step * 1.001
    assert (apart <= step * 1.001).mean() > 0.85


@pytest.mark.usefixtures("gpu")
def test_a_gpu_that_runs_all_operators_says_so(bundle: Bundle) -> None:
    placement = on_gpu(bundle).placement
    assert placement is not None
    assert (placement.accelerator, placement.on_cpu, placement.refused) == ("gpu", 0, ())
    assert placement.software
    assert "SwiftShader" in str(placement.device)


@pytest.mark.usefixtures("gpu")
def test_operators_left_to_the_cpu_are_named_in_a_note() -> None:
    with pytest.warns(AcceleratorWarning) as told:
        encoder = open_encoder(Bundle.open("objects"), RuntimeOptions(accelerator="gpu"))
    assert re.search(r"GPU runs \d+ of the encoder's \d+ operators.*L2_NORMALIZATION", str(told[1].message))
    assert encoder.placement is not None
    assert 0 < encoder.placement.on_cpu < encoder.placement.accelerated


@pytest.mark.usefixtures("gpu")
def test_a_gpu_classifies_what_the_cpu_enrolled(bundle: Bundle, tmp_path: Path) -> None:
    with Classifier.load(bundle, tmp_path / "store.db") as cpu:
        for kind in range(5):
            cpu.enroll(f"kind {kind}", takes(kind, 2))
        expected = [cpu.classify(draw(kind, 9)).best for kind in range(5)]
    with pytest.warns(AcceleratorWarning):
        gpu = Classifier.load(bundle, tmp_path / "store.db", accelerator="gpu")
    with gpu:
        found = [gpu.classify(draw(kind, 9)).best for kind in range(5)]
        assert gpu.enroll("kind 0", takes(0, 1, first=5)).shots == 3
    assert [each.label for each in found] == [each.label for each in expected]
    np.testing.assert_allclose([each.distance for each in found], [each.distance for each in expected], rtol=0.1)


@pytest.mark.usefixtures("gpu")
def test_auto_takes_no_gpu_that_is_a_program(bundle: Bundle) -> None:
    with pytest.raises(BackendError, match=r"No accelerator was found.*SwiftShader.*--fallback cpu"):
        Encoder(bundle.model, RuntimeOptions(accelerator="auto"))
    with pytest.warns(FallbackWarning, match="on the CPU"):
        encoder = Encoder(bundle.model, RuntimeOptions(accelerator="auto", fallback="cpu"))
    assert (encoder.options.accelerator, encoder.placement) == (None, None)


def test_an_npu_without_its_runtime_is_an_error(bundle: Bundle) -> None:
    with pytest.raises(BackendError, match=r"The NPU .*--fallback cpu"):
        Encoder(bundle.model, RuntimeOptions(accelerator="npu"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"accelerator": "tpu"}, "no accelerator 'tpu'"),
        ({"accelerator": "gpu", "delegate": "x.so"}, "takes no delegate"),
        ({"accelerator": "gpu", "backend": "tensorflow"}, "backend litert alone"),
        ({"accelerator": "cpu", "fallback": "cpu"}, "fallback is of no use"),
    ],
)
def test_options_that_exclude_each_other_are_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(BackendError, match=words):
        RuntimeOptions(**options)  # type: ignore[arg-type]


# Drivers, each in a process of its own, since a process looks for its GPU once


def classify(folder: Path, *options: str, **environment: str) -> tuple[int, str, str]:
    """Enroll an image on the GPU; returns the exit code, stdout and stderr."""
    image = png(folder, "ink.png", np.zeros((28, 28), np.uint8))
    done = python(
        folder, "-m", "edge_meta", "enroll", "omniglot", "ink", image, "--store", "store.db", "--json",
        "--accelerator", "gpu", *options, **environment,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_missing_driver_is_an_error_or_a_fallback(tmp_path: Path) -> None:
    code, stdout, stderr = classify(tmp_path, VK_ICD_FILENAMES=NO_DRIVER)
    assert (code, stdout) == (1, "")
    assert stderr.splitlines()[0].startswith("Error: The GPU cannot be used (")
    assert "--fallback cpu" in stderr
    assert not (tmp_path / "store.db").exists()
    code, stdout, stderr = classify(tmp_path, "--fallback", "cpu", VK_ICD_FILENAMES=NO_DRIVER)
    assert (code, json.loads(stdout)["added"]) == (0, 1)
    assert "Note: The GPU cannot be used" in stderr


def test_a_driver_whose_library_is_gone_is_an_error(tmp_path: Path) -> None:
    described = json.loads(Path(swiftshader()["VK_ICD_FILENAMES"]).read_text())
    described["ICD"]["library_path"] = str(tmp_path / "removed.so")
    (tmp_path / "icd.json").write_text(json.dumps(described))
    code, _, stderr = classify(tmp_path, VK_ICD_FILENAMES=str(tmp_path / "icd.json"))
    assert code == 1
    assert stderr.startswith("Error: The GPU cannot be used (")


def test_the_command_line_runs_on_a_gpu_with_a_note(tmp_path: Path) -> None:
    code, stdout, stderr = classify(tmp_path, **swiftshader())
    assert (code, json.loads(stdout)["added"]) == (0, 1)
    assert "Note: The GPU is a program" in stderr


@pytest.mark.usefixtures("gpu")
def test_the_speed_of_a_gpu_that_is_a_program_is_not_told(bundle: Bundle) -> None:
    with (
        pytest.warns(AcceleratorWarning),
        pytest.raises(BackendError, match=r"times say nothing: SwiftShader.*inspect BUNDLE --runtime"),
    ):
        benchmark([bundle], BenchmarkConfig(runs=1, warmup=0, sweep=False), RuntimeOptions(accelerator="gpu"))


@pytest.mark.parametrize("accelerator", ["cpu", "gpu"])
def test_a_hundred_loads_leave_no_memory_behind(tmp_path: Path, accelerator: str) -> None:
    environment = swiftshader() if accelerator == "gpu" else dict(os.environ)
    code = f"""
import os, warnings
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder
warnings.simplefilter("ignore")
bundle, taken = Bundle.open("omniglot"), []
for load in range(100):
    Encoder(bundle.model, RuntimeOptions(accelerator="{accelerator}"))
    kilobytes = int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
    taken.append((kilobytes, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))))
print(taken[99][0] - taken[9][0], taken[99][1] - taken[9][1], taken[99][2] - taken[9][2])"""
    done = python(tmp_path, "-c", code, **environment)
    assert done.returncode == 0, done.stderr
    kilobytes, files, threads = map(int, done.stdout.split())
    assert kilobytes < 4096
    assert (files, threads) == (0, 0)


def test_every_verb_that_embeds_takes_an_accelerator() -> None:
    for verb in ("enroll", "classify", "evaluate", "benchmark", "check", "inspect"):
        assert "--accelerator" in cli(verb, "--help").stdout


def test_another_backend_has_no_accelerator(tmp_path: Path) -> None:
    image = png(tmp_path, "ink.png", np.zeros((28, 28), np.uint8))
    given = ["enroll", "omniglot", "ink", image, "--store", tmp_path / "s.db", "--accelerator", "cpu"]
    assert "backend litert alone" in complaint(cli(*given, "--backend", "tflite", code=1))
