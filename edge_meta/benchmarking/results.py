"""A benchmark's result: its types, and the JSON object that scripts rely on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_meta.benchmarking.baseline import Comparison
from edge_meta.benchmarking.cold_start import ColdStart
from edge_meta.benchmarking.energy_counters import Energy
from edge_meta.benchmarking.sweep import VariantTiming, options_to_json
from edge_meta.benchmarking.timing import StageTiming
from edge_meta.runtime.backends import RuntimeOptions


@dataclass(frozen=True)
class BundleTiming:
    """The figures of one bundle.

    Attributes:
        stages: those of `stages.STAGES` that its encoder has, in that order.
        bare_us: median of the interpreter's invoke alone, in µs.
    """

    bundle: str
    quantization: str
    model_bytes: int
    stages: Mapping[str, StageTiming]
    bare_us: float
    cold_start: ColdStart

    @property
    def embed_over_bare(self) -> float:
        """Ratio of the stage `embed` to the interpreter alone."""
        return round(self.stages["embed"].p50_us / self.bare_us, 3)

    @property
    def enroll_us(self) -> float:
        return self.stages["enroll"].p50_us

    @property
    def adapt_step_us(self) -> float:
        return self.stages["adapt_step"].p50_us

    def to_json(self) -> dict[str, Any]:
        return {
            "bundle": self.bundle,
            "quantization": self.quantization,
            "model_bytes": self.model_bytes,
            "stages": {name: stage.to_json() for name, stage in self.stages.items()},
            "bare_us": self.bare_us,
            "embed_over_bare": self.embed_over_bare,
            "enroll_us": self.enroll_us,
            "adapt_step_us": self.adapt_step_us,
            **self.cold_start.to_json(),
        }


@dataclass(frozen=True)
class Benchmark:
    """Bundles timed on one machine.

    Attributes:
        options: that the first bundle ran with.
        runs: calls of each stage that were asked for.
        first: the bundle that is looked at most closely.
        others: the further bundles.
        score_by_classes: number of classes → the stage `score`, of the first bundle as all that follows.
        litert_benchmark_us: median of `embed` in litert-benchmark; None if it could not be measured.
        side_by_side: `embed` with other options; empty without a sweep.
        energy: None if it was not asked for, or could not be measured.
        warnings: what makes the figures unreliable.
        notes: what could not be measured, and why.
        host: as `runtime.machine.host` returns it.
        baseline: the comparison with an earlier benchmark, if there is one.
    """

    options: RuntimeOptions
    runs: int
    first: BundleTiming
    others: Sequence[BundleTiming]
    score_by_classes: Mapping[int, StageTiming]
    litert_benchmark_us: float | None
    side_by_side: Sequence[VariantTiming]
    energy: Energy | None
    warnings: Sequence[str]
    notes: Sequence[str]
    host: Mapping[str, Any]
    baseline: Comparison | None = None

    @property
    def bundles(self) -> list[BundleTiming]:
        """All bundles, the first one first."""
        return [self.first, *self.others]

    def to_json(self) -> dict[str, Any]:
        """Return the object that `edge-meta benchmark --json` prints."""
        result = {
            **options_to_json(self.options),
            "runs": self.runs,
            **self.first.to_json(),
            "score_by_classes": {str(classes): stage.to_json() for classes, stage in self.score_by_classes.items()},
            "litert_benchmark_us": self.litert_benchmark_us,
            "side_by_side": [variant.to_json() for variant in self.side_by_side],
            "energy": None if self.energy is None else self.energy.to_json(),
            "others": [other.to_json() for other in self.others],
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "host": dict(self.host),
        }
        return result if self.baseline is None else {**result, "baseline": self.baseline.to_json()}
