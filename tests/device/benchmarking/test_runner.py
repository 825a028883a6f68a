"""The benchmark: its keys, what it times, and that it leaves nothing behind. Nothing depends on how fast the machine is."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.device import altered, embeddings, opened, state

from edge_meta import Classifier
from edge_meta.benchmarking import cold_start, energy_counters, litert_benchmark, stages, sweep
from edge_meta.benchmarking.runner import benchmark
from edge_meta.choices import BACKENDS
from edge_meta.errors import BackendError, InputError
from edge_meta.inputs import ArrayInput
from edge_meta.inputs.image_files import read_image
from edge_meta.runtime.backends import DEFAULT, RuntimeOptions, backend_module
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder

FIGURES = {"p50_us", "p90_us", "p99_us", "max_us", "runs", "spread"}


@pytest.fixture(scope="module", autouse=True)
def few() -> Any:
    """Fewer shots, classes and processes than a user gets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "BY_CLASSES", (5, 40))
        patch.setattr(stages, "SHOTS", 2)
        patch.setattr(cold_start, "STARTS", 2)
        patch.setattr(stages, "ADAPTATIONS", 3)
        yield


@pytest.fixture(scope="module")
def result(bundle: Bundle) -> dict[str, Any]:
    return benchmark([bundle], runs=60, warmup=5, sweep=False)


def test_has_the_keys_that_scripts_rely_on(result: dict[str, Any], bundle: Bundle) -> None:
    assert {"backend", "threads", "runs", "enroll_us", "adapt_step_us", "cold_start_ms", "peak_rss_mb"} <= result.keys()
    assert {"preprocess", "embed", "score", "total"} <= result["stages"].keys()
    assert set(result["host"]) == {"cpu", "cores", "os", "python"}
    assert (result["model_bytes"], result["runs"]) == (len(bundle.model), 60)
    assert result["enroll_us"] == result["stages"]["enroll"]["p50_us"]
    assert result["adapt_step_us"] == result["stages"]["adapt_step"]["p50_us"]
    assert json.loads(json.dumps(result)) == result


def test_every_stage_has_its_percentiles(result: dict[str, Any]) -> None:
    pytest.importorskip("PIL")
    assert tuple(result["stages"]) == stages.ORDER
    assert set(result["score_by_classes"]) == {"5", "40"}
    for stage in (*result["stages"].values(), *result["score_by_classes"].values()):
        assert set(stage) == FIGURES
        assert 0 < stage["p50_us"] <= stage["p90_us"] <= stage["p99_us"] <= stage["max_us"]
    runs = {name: stage["runs"] for name, stage in result["stages"].items()}
    assert 1 <= runs.pop("adapt") <= stages.ADAPTATIONS
    assert runs.pop("enroll") == stages.CLASSES * stages.SHOTS
    assert set(runs.values()) == {60}


def test_embed_is_set_against_the_interpreter_alone(result: dict[str, Any]) -> None:
    assert result["embed_over_bare"] == pytest.approx(result["stages"]["embed"]["p50_us"] / result["bare_us"], abs=1e-2)


def test_a_cold_start_is_made_up_of_its_parts(result: dict[str, Any]) -> None:
    assert tuple(result["cold_start"]) == cold_start.PARTS
    assert all(part > 0 for part in result["cold_start"].values())
    # Of two processes, medians are means, which add up.
    assert sum(result["cold_start"].values()) == pytest.approx(result["cold_start_ms"], abs=0.1)
    assert result["cold_start_ms"] > result["stages"]["total"]["p50_us"] / 1000
    assert result["peak_rss_mb"] is None or 20 < result["steady_rss_mb"] <= result["peak_rss_mb"] < 300


def test_peak_memory_is_the_fresh_processs_own(bundle: Bundle, classifier: Classifier, tmp_path: Path) -> None:
    """A large parent, such as one that has just trained, must not show."""
    classifier.enroll("ink", np.zeros((1, 28, 28), np.uint8))
    ballast = bytearray(400_000_000)
    ballast[::4096] = b"\1" * len(ballast[::4096])
    options, image = classifier.encoder.options, np.zeros((28, 28, 1), np.uint8)
    peak = cold_start.fresh_processes(bundle, classifier.store.path, options, image, tmp_path)["peak_rss_mb"]
    assert peak is None or peak < 300
    assert len(ballast)


def test_a_fresh_process_that_gives_no_answer_is_an_error(bundle: Bundle, tmp_path: Path) -> None:
    options = Encoder(bundle.model).options
    with pytest.raises(BackendError, match=r"could not classify .*Nothing is enrolled"):
        cold_start.fresh_processes(bundle, tmp_path / "empty.db", options, np.zeros((28, 28, 1), np.uint8), tmp_path)


def test_touches_no_store_of_the_users(data_folder: Path, result: dict[str, Any], bundle: Bundle) -> None:
    benchmark([bundle], runs=1, warmup=0, sweep=False)
    assert not data_folder.exists()


@pytest.mark.parametrize(("runs", "warmup"), [(0, 5), (-1, 5), (5, -1)])
def test_impossible_runs_are_refused(bundle: Bundle, runs: int, warmup: int) -> None:
    with pytest.raises(InputError, match="not possible"):
        benchmark([bundle], runs=runs, warmup=warmup)


def test_several_bundles_are_timed_each(tmp_path: Path, bundle: Bundle) -> None:
    other = Bundle.open(altered(tmp_path, lambda fields: fields.update(quantization="float32"), name="other.bundle"))
    result = benchmark([bundle, other], runs=2, warmup=0, sweep=False)
    (second,) = result["others"]
    assert (result["bundle"], second["bundle"], second["quantization"]) == ("omniglot", "other", "float32")
    assert second["stages"].keys() == result["stages"].keys()
    assert {"model_bytes", "bare_us", "enroll_us", "cold_start", "peak_rss_mb"} <= second.keys()


def test_what_a_bundle_ships_with_is_not_scored(bundle: Bundle, tmp_path: Path) -> None:
    with bundle.open_store(tmp_path / "seed.db") as store:
        store.enroll("shipped", embeddings(0, 1, bundle.manifest.dim))
    seeded = Bundle.open(altered(tmp_path, files={"prototypes.db": (tmp_path / "seed.db").read_bytes()}))
    assert seeded.seed is not None
    subject = stages.Subject.load(seeded, tmp_path / "timed.db", DEFAULT)
    with subject.classifier:
        subject.enroll()
        assert len(subject.classifier.labels) == stages.CLASSES


def test_what_cannot_be_measured_is_left_out_with_a_note(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "has_pillow", lambda: False)
    monkeypatch.setattr(litert_benchmark, "TOOL", "edge_meta.no_such_tool")
    monkeypatch.setattr(energy_counters, "POWERCAP", tmp_path)
    result = benchmark([bundle], runs=1, warmup=0, sweep=False, energy=True)
    assert "decode" not in result["stages"]
    assert (result["litert_benchmark_us"], result["energy"]) == (None, None)
    energy, opinion, pillow = result["notes"]
    assert "energy counters" in energy
    assert "litert-benchmark" in opinion
    assert "Pillow" in pillow


def test_an_encoder_that_takes_no_images_has_no_stages_of_images(tmp_path: Path) -> None:
    vectors = Bundle.open(
        altered(tmp_path, lambda fields: fields.update(input=ArrayInput((28, 28, 1), "float32").to_manifest()))
    )
    result = benchmark([vectors], runs=1, warmup=0, sweep=False)
    assert set(stages.ORDER) - result["stages"].keys() == {"decode", "resize"}
    assert any("takes no images" in note for note in result["notes"])


# What the stages do


@pytest.mark.parametrize("channels", [1, 3])
def test_the_png_that_is_decoded_holds_the_image(channels: int) -> None:
    pytest.importorskip("PIL")
    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    np.testing.assert_array_equal(read_image(stages.png(image), channels), image)


def test_filling_a_store_enrolls_what_it_is_given(tmp_path: Path) -> None:
    vectors = embeddings(0, 6).reshape(3, 2, 16)
    with opened(tmp_path / "filled.db") as filled, opened(tmp_path / "enrolled.db") as enrolled:
        stages.fill(filled, vectors)
        for label, shots in enumerate(vectors):
            enrolled.enroll(f"class {label}", shots)
        assert state(filled) == state(enrolled)


def test_adapting_leaves_the_store_as_it_was(bundle: Bundle, tmp_path: Path) -> None:
    subject = stages.Subject.load(bundle, tmp_path / "timed.db", DEFAULT)
    with subject.classifier as classifier:
        subject.enroll()
        before = state(classifier.store)
        subject.adapt(3, math.inf)
        assert state(classifier.store) == before
        assert [len(round_) for round_ in subject.timed["adapt"]] == [3]
        subject.adapt(3, 1e-9)
        assert [len(round_) for round_ in subject.timed["adapt"]] == [1]


# Side by side


def _works(backend: str) -> bool:
    try:
        return backend_module(backend) is not None
    except ImportError:
        return False


def test_variants_are_threads_up_to_the_cores_and_every_installed_back_end() -> None:
    chosen = RuntimeOptions("litert", threads=2, delegate="x.so", fallback="cpu")
    variants = sweep.variants(chosen, ["litert", "tflite"], 2)
    assert [(each.backend, each.threads, each.xnnpack, each.delegate) for each in variants] == [
        ("litert", 2, True, "x.so"),
        ("litert", 2, True, None),
        ("litert", 1, True, None),
        ("litert", 2, False, None),
        ("tflite", 2, True, None),
        ("tflite", 2, False, None),
    ]
    assert [each.threads for each in sweep.variants(RuntimeOptions("litert"), [], 8)] == [1, 2, 4]


def test_variants_run_in_processes_of_their_own_and_say_so_when_they_cannot(bundle: Bundle) -> None:
    missing = next(name for name in BACKENDS if not _works(name))
    runs = next(name for name in BACKENDS if _works(name))
    chosen = [RuntimeOptions(runs), RuntimeOptions(runs, xnnpack=False), RuntimeOptions(missing)]
    first, plain, failed = sweep.side_by_side(bundle, chosen, runs=12, limit=math.inf)
    assert (first["backend"], first["xnnpack"], plain["xnnpack"]) == (runs, True, False)
    assert first["ratio"] == 1.0
    assert plain["ratio"] == pytest.approx(plain["p50_us"] / first["p50_us"], abs=0.01)
    assert first["runs"] == plain["runs"] == 12
    assert FIGURES | {"load_ms"} <= plain.keys()
    assert "No interpreter can be used" in failed["error"]
    assert "p50_us" not in failed


def test_a_process_that_dies_is_an_error(bundle: Bundle) -> None:
    with sweep._Worker(bundle) as worker:
        worker._process.kill()
        worker._process.wait()
        with pytest.raises(BackendError, match="ended with code"):
            worker.load(0, DEFAULT)


# A second opinion


def test_litert_benchmark_is_asked_when_it_is_there(bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    assert litert_benchmark.litert_benchmark_us(bundle, 3, 1, tmp_path) >= 0


def test_without_litert_benchmark_there_is_a_note(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert_benchmark, "TOOL", "edge_meta.no_such_tool")
    with pytest.raises(BackendError, match="not installed"):
        litert_benchmark.litert_benchmark_us(bundle, 3, 1, tmp_path)
    monkeypatch.setattr(litert_benchmark, "TOOL", "keyword")  # which runs, and writes no result
    with pytest.raises(BackendError, match=r"does not run here \(it ended with code 0 and said nothing\)"):
        litert_benchmark.litert_benchmark_us(bundle, 3, 1, tmp_path)
