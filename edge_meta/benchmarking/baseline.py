"""Compare a benchmark with an earlier one: of another version, or of another machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_meta.benchmarking.noise_warnings import LOADED
from edge_meta.errors import InputError

NOISE_US = 5.0  # a difference below this comes from caches and the clock, not from the code
SAME = ("bundle", "backend", "threads", "xnnpack", "delegate", "accelerator", "model_bytes", "host")


@dataclass(frozen=True)
class Comparison:
    """A benchmark's medians set against an earlier one's.

    Attributes:
        max_regression: the ratio above which a stage counts as slower.
        ratios: stage → median over the earlier median, for the stages of both.
        slower: stages whose ratio is above max_regression, by more than noise.
        differs: other facts that are not the same, such as the host.
    """

    max_regression: float
    ratios: Mapping[str, float]
    slower: Sequence[str]
    differs: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def read(path: str | Path) -> dict[str, Any]:
    """Read what `edge-meta benchmark --json` printed earlier.

    Raises:
        InputError: the file is not there, holds something else, or was taken on a loaded machine, whose times let a
            regression pass.
    """
    remedy = "Make one with: edge-meta benchmark BUNDLE --json > FILE"
    try:
        earlier: dict[str, Any] = json.loads(Path(path).read_bytes())
        if not all(value > 0 for value in medians(earlier).values()):
            raise ValueError
        loaded = any(str(warning).startswith(LOADED) for warning in earlier.get("warnings", []))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}).", remedy) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{path} is not what edge-meta benchmark --json printed.", remedy) from None
    if loaded:
        raise InputError(f"{path} was taken while other programs loaded the machine.", f"Let them end first. {remedy}")
    return earlier


def medians(result: Mapping[str, Any]) -> dict[str, float]:
    """Return medians in µs: of the stages, of scoring by number of classes, and of the cold start.

    Args:
        result: as `Benchmark.to_json` returns it, or an earlier version did.
    """
    found = {name: float(stage["p50_us"]) for name, stage in result["stages"].items()}
    for classes, stage in result.get("score_by_classes", {}).items():
        found[f"score of {int(classes):,} classes"] = float(stage["p50_us"])
    # Older results have these here alone.
    found.setdefault("enroll", float(result["enroll_us"]))
    found.setdefault("adapt_step", float(result["adapt_step_us"]))
    found["cold_start"] = 1e3 * float(result["cold_start_ms"])
    return found


def compare(result: Mapping[str, Any], earlier: Mapping[str, Any], max_regression: float) -> Comparison:
    """Set a benchmark's medians against an earlier one's.

    Args:
        result: as `Benchmark.to_json` returns it.
        earlier: as `read` returns it.
    """
    now, then = medians(result), medians(earlier)
    ratios = {stage: now[stage] / then[stage] for stage in now if stage in then}
    return Comparison(
        max_regression,
        {stage: round(ratio, 3) for stage, ratio in ratios.items()},
        [stage for stage, ratio in ratios.items() if ratio > max_regression and now[stage] - then[stage] > NOISE_US],
        [fact for fact in SAME if fact in earlier and earlier[fact] != result.get(fact)],
    )
