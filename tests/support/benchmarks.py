"""A benchmark's result that nobody has to wait for."""

from __future__ import annotations

from dataclasses import replace

from edge_meta.benchmarking.cold_start import PARTS, ColdStart
from edge_meta.benchmarking.energy_counters import Energy
from edge_meta.benchmarking.results import Benchmark, BundleTiming
from edge_meta.benchmarking.stages import STAGES
from edge_meta.benchmarking.sweep import VariantTiming
from edge_meta.benchmarking.timing import StageTiming
from edge_meta.runtime.backends import RuntimeOptions


def stage(median: float, runs: int = 500, spread: float | None = 1.05) -> StageTiming:
    """The timing of a stage with this median, in µs."""
    return StageTiming(median, 1.2 * median, 1.5 * median, 2 * median, runs, spread)


def measured() -> Benchmark:
    """A benchmark of one bundle, with energy counters, and with a backend that fails."""
    stages = {name: stage(40.0 * (at + 1)) for at, name in enumerate(STAGES)}
    stages["adapt"] = stage(16_000.0, runs=20, spread=None)
    cold_start = ColdStart(150.0, {part: 10.0 * (at + 1) for at, part in enumerate(PARTS)}, 50.9, 48.2)
    litert = RuntimeOptions("litert")
    return Benchmark(
        options=litert,
        runs=500,
        first=BundleTiming("omniglot", "int8", 138_128, stages, 155.0, cold_start),
        others=[],
        score_by_classes={5: stage(20.0), 10_000: stage(80.0)},
        litert_benchmark_us=160.0,
        side_by_side=[
            VariantTiming(litert, 7.79, stage(160.0), 1.0),
            VariantTiming(RuntimeOptions("tflite", xnnpack=False), error="It is <gone>."),
        ],
        energy=Energy(2.5e-4, 3.0, 5.5, 9),
        warnings=[],
        notes=[],
        host={"cpu": "AMD EPYC", "cores": 2, "os": "Linux-6.18-x86_64", "python": "3.11.7"},
    )


def with_stage(result: Benchmark, name: str, timing: StageTiming) -> Benchmark:
    """The same benchmark with another timing of one of the first bundle's stages."""
    return replace(result, first=replace(result.first, stages={**result.first.stages, name: timing}))
