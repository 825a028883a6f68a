"""A mean with its 95 % confidence interval."""

from __future__ import annotations

from dataclasses import dataclass

from edge_meta.types import Array64


@dataclass(frozen=True)
class Interval:
    """A mean and the half width of its 95 % confidence interval."""

    mean: float
    ci95: float

    @classmethod
    def of(cls, values: Array64) -> Interval:
        """Of independent values, by the normal approximation: 1.96 · s / √n."""
        spread = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
        return cls(float(values.mean()), 1.96 * spread / len(values) ** 0.5)

    def __str__(self) -> str:
        return f"{100 * self.mean:.2f} ± {100 * self.ci95:.2f} %"
