"""The benchmark as a whole. Nothing depends on how fast the machine is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.device import altered

from edge_meta.benchmarking import stages
from edge_meta.benchmarking.results import Benchmark
from edge_meta.benchmarking.runner import BenchmarkConfig, benchmark
from edge_meta.errors import InputError
from edge_meta.inputs import ArrayInput
from edge_meta.runtime.bundle import Bundle


def config(runs: int = 1, warmup: int = 0, energy: bool = False, powercap: Path | None = None) -> BenchmarkConfig:
    """A benchmark with fewer shots, classes and processes than a user gets, and without a sweep."""
    return BenchmarkConfig(
        runs, warmup, sweep=False, energy=energy, shots=2, class_counts=(5, 40), adaptations=3, starts=1,
        powercap=powercap or Path("nowhere"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(bundle: Bundle) -> Benchmark:
    return benchmark([bundle], config(runs=60, warmup=5))


def test_it_tells_of_the_bundle_the_runtime_and_the_host(result: Benchmark, bundle: Bundle) -> None:
    assert (result.first.bundle, result.first.quantization) == ("omniglot", "int8")
    assert (result.first.model_bytes, result.runs, result.options.threads) == (len(bundle.model), 60, 1)
    assert result.options.backend is not None
    assert set(result.host) == {"cpu", "cores", "os", "python"}
    assert (result.others, result.side_by_side, result.energy, result.baseline) == ([], [], None, None)


def test_it_can_be_written_as_json(result: Benchmark) -> None:
    assert json.loads(json.dumps(result.to_json())) == result.to_json()


def test_every_stage_has_its_percentiles(result: Benchmark) -> None:
    pytest.importorskip("PIL")
    assert tuple(result.first.stages) == stages.STAGES
    assert set(result.score_by_classes) == {5, 40}
    for stage in (*result.first.stages.values(), *result.score_by_classes.values()):
        assert 0 < stage.p50_us <= stage.p90_us <= stage.p99_us <= stage.max_us
    runs = {name: stage.runs for name, stage in result.first.stages.items()}
    assert 1 <= runs.pop("adapt") <= 3
    assert runs.pop("enroll") == stages.CLASSES * 2
    assert set(runs.values()) == {60}


def test_a_cold_start_takes_longer_than_a_classification(result: Benchmark) -> None:
    assert result.first.cold_start.total_ms > result.first.stages["total"].p50_us / 1000


def test_touches_no_store_of_the_users(data_folder: Path, bundle: Bundle) -> None:
    benchmark([bundle], config())
    assert not data_folder.exists()


@pytest.mark.parametrize(("runs", "warmup"), [(0, 5), (-1, 5), (5, -1)])
def test_impossible_runs_are_refused(runs: int, warmup: int) -> None:
    with pytest.raises(InputError, match="not possible"):
        BenchmarkConfig(runs, warmup)


def test_no_bundle_is_refused() -> None:
    with pytest.raises(InputError, match="no bundle"):
        benchmark([])


def test_several_bundles_are_timed_each(tmp_path: Path, bundle: Bundle) -> None:
    other = Bundle.open(altered(tmp_path, lambda fields: fields.update(quantization="float32"), name="other.bundle"))
    result = benchmark([bundle, other], config(runs=2))
    first, second = result.bundles
    assert (first.bundle, second.bundle, second.quantization) == ("omniglot", "other", "float32")
    assert second.stages.keys() == first.stages.keys()
    assert second.cold_start.total_ms > 0


def test_what_cannot_be_measured_is_left_out_with_a_note(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for missing in ("PIL", "ai_edge_litert.tools.benchmark_litert_model"):
        monkeypatch.setitem(sys.modules, missing, None)
    result = benchmark([bundle], config(energy=True, powercap=tmp_path))
    assert "decode" not in result.first.stages
    assert (result.litert_benchmark_us, result.energy) == (None, None)
    energy, opinion, pillow = result.notes
    assert "energy counters" in energy
    assert "litert-benchmark" in opinion
    assert "Pillow" in pillow


def test_an_encoder_of_arrays_has_no_stages_of_images(tmp_path: Path) -> None:
    vectors = Bundle.open(
        altered(tmp_path, lambda fields: fields.update(input=ArrayInput((28, 28, 1), "float32").to_manifest()))
    )
    result = benchmark([vectors], config())
    assert set(stages.STAGES) - result.first.stages.keys() == {"decode", "resize"}
    assert any("takes no images" in note for note in result.notes)
