"""The JSON object of a benchmark, against one that was recorded: same keys, order, nulls and rounding."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from support.benchmarks import measured

from edge_meta.benchmarking.baseline import Comparison

# Printed before results had types, with these figures.
STAGES = """
"decode": {"p50_us": 40.0, "p90_us": 48.0, "p99_us": 60.0, "max_us": 80.0, "runs": 500, "spread": 1.05},
"resize": {"p50_us": 80.0, "p90_us": 96.0, "p99_us": 120.0, "max_us": 160.0, "runs": 500, "spread": 1.05},
"preprocess": {"p50_us": 120.0, "p90_us": 144.0, "p99_us": 180.0, "max_us": 240.0, "runs": 500, "spread": 1.05},
"embed": {"p50_us": 160.0, "p90_us": 192.0, "p99_us": 240.0, "max_us": 320.0, "runs": 500, "spread": 1.05},
"score": {"p50_us": 200.0, "p90_us": 240.0, "p99_us": 300.0, "max_us": 400.0, "runs": 500, "spread": 1.05},
"total": {"p50_us": 240.0, "p90_us": 288.0, "p99_us": 360.0, "max_us": 480.0, "runs": 500, "spread": 1.05},
"enroll": {"p50_us": 280.0, "p90_us": 336.0, "p99_us": 420.0, "max_us": 560.0, "runs": 500, "spread": 1.05},
"adapt_step": {"p50_us": 320.0, "p90_us": 384.0, "p99_us": 480.0, "max_us": 640.0, "runs": 500, "spread": 1.05},
"adapt": {"p50_us": 16000.0, "p90_us": 19200.0, "p99_us": 24000.0, "max_us": 32000.0, "runs": 20, "spread": null}
"""
BUNDLE = """
"bundle": "omniglot", "quantization": "int8", "model_bytes": 138128, "stages": {STAGES}, "bare_us": 155.0,
"embed_over_bare": 1.032, "enroll_us": 280.0, "adapt_step_us": 320.0, "cold_start_ms": 150.0,
"cold_start": {"process_ms": 10.0, "import_ms": 20.0, "load_ms": 30.0, "first_inference_ms": 40.0, "first_answer_ms": 50.0},
"peak_rss_mb": 50.9, "steady_rss_mb": 48.2
""".replace("STAGES", STAGES)
RECORDED = """{
"backend": "litert", "threads": 1, "xnnpack": true, "delegate": null, "accelerator": null, "runs": 500,
BUNDLE, "score_by_classes": {
"5": {"p50_us": 20.0, "p90_us": 24.0, "p99_us": 30.0, "max_us": 40.0, "runs": 500, "spread": 1.05},
"10000": {"p50_us": 80.0, "p90_us": 96.0, "p99_us": 120.0, "max_us": 160.0, "runs": 500, "spread": 1.05}},
"litert_benchmark_us": 160.0, "side_by_side": [
{"backend": "litert", "threads": 1, "xnnpack": true, "delegate": null, "accelerator": null, "load_ms": 7.79,
"p50_us": 160.0, "p90_us": 192.0,
"p99_us": 240.0, "max_us": 320.0, "runs": 500, "spread": 1.05, "ratio": 1.0},
{"backend": "tflite", "threads": 1, "xnnpack": false, "delegate": null, "accelerator": null, "error": "It is <gone>."}],
"energy": {"joules_per_classification": 0.00025, "idle_watts": 3.0, "busy_watts": 5.5, "classifications": 9},
"others": [OTHERS], "warnings": [], "notes": [],
"host": {"cpu": "AMD EPYC", "cores": 2, "os": "Linux-6.18-x86_64", "python": "3.11.7"}
}""".replace("BUNDLE", BUNDLE)


def recorded(others: str = "") -> str:
    return json.dumps(json.loads(RECORDED.replace("OTHERS", others)))


def told(result: Any) -> str:
    return json.dumps(result.to_json())


def test_the_object_is_the_recorded_one() -> None:
    assert told(measured()) == recorded()


def test_others_have_the_same_keys_as_the_first() -> None:
    result = measured()
    assert told(replace(result, others=[result.first])) == recorded("{" + BUNDLE + "}")


def test_a_comparison_comes_last() -> None:
    compared = Comparison(1.2, {"embed": 1.3}, ["embed"], ["host"])
    *_, (key, value) = replace(measured(), baseline=compared).to_json().items()
    assert key == "baseline"
    assert value == {"max_regression": 1.2, "ratios": {"embed": 1.3}, "slower": ["embed"], "differs": ["host"]}


def test_what_was_not_measured_is_null() -> None:
    result = measured()
    unknown = replace(result.first.cold_start, peak_rss_mb=None, steady_rss_mb=None)
    result = replace(result, energy=None, litert_benchmark_us=None, first=replace(result.first, cold_start=unknown))
    given = result.to_json()
    assert [given[key] for key in ("energy", "litert_benchmark_us", "peak_rss_mb", "steady_rss_mb")] == [None] * 4
