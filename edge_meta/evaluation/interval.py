"""Means and shares with their 95 % confidence intervals."""

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


@dataclass(frozen=True)
class Share:
    """A count out of some examples, with the 95 % interval of the share (Wilson 1927).

    The interval takes the examples as independent. It holds for few examples and for shares near 0 and 1, too.
    """

    count: int
    out_of: int

    @property
    def share(self) -> float | None:
        """From 0 to 1; None of no examples."""
        return self.count / self.out_of if self.out_of else None

    @property
    def ci95(self) -> tuple[float, float] | None:
        """The ends of the interval; None of no examples."""
        if not self.out_of:
            return None
        z, n, share = 1.96, self.out_of, self.count / self.out_of
        centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
        return max(0.0, centre - half), min(1.0, centre + half)

    def __str__(self) -> str:
        if self.ci95 is None:
            return "none"
        low, high = self.ci95
        return (
            f"{self.count} of {self.out_of}, {100 * self.count / self.out_of:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)"
        )
