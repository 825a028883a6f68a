"""Limits of distance beyond which a query is "unknown": calibrated at export, refined by the enrolled shots."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edge_meta.errors import InputError
from edge_meta.heads.store_evidence import CERTAIN_LABELS, Evidence, correction
from edge_meta.types import Array64, Integers

# How many shots the calibration's spread weighs as, against a label's own shots. Chosen on Omniglot's validation alphabets,
# where 4 to 16 do equally well and less than 2 does harm.
PRIOR_SHOTS = 8.0


@dataclass(frozen=True)
class Rejection:
    """The calibration of "unknown": squared distances to the nearest prototype, up to which a query is known.

    A stranger is a query of no enrolled class; the false-accept rate is the share of strangers that count as known. A
    label's limit keeps to a given rate. It depends on:

    * the rate, and the number of labels: of many labels, the nearest is nearer. `thresholds`, measured on strangers at
      export, are interpolated in the logarithms of both;
    * the label's number of shots n: its prototype is off from the class's mean by σ²/n, and `thresholds` are interpolated
      in 1/n;
    * the scatter of its shots (their leave-one-out distances, shrunk to those seen at export): varied shots give a wider
      limit. A single shot has no scatter, and changes nothing.

    Attributes:
        false_accept: the rate that holds unless another is asked for.
        labels: (L,) numbers of labels, ascending, at which `thresholds` were measured.
        rates: (R,) false-accept rates, ascending, at which `thresholds` were measured.
        shots: two numbers of shots, ascending, at which `thresholds` were measured.
        thresholds: (2, L, R), squared distances by shots, labels and rate; `far` in the manifest.
        spread: mean squared distance of examples to the mean of their class.
        prior_labels: as many labels of a store as this calibration weighs, where the store's own shots correct the limits
            (see store_evidence.py); None if it holds alone, having been measured across several groups of classes.
    """

    false_accept: float
    labels: tuple[int, ...]
    rates: tuple[float, ...]
    shots: tuple[int, int]
    thresholds: tuple[tuple[tuple[float, ...], ...], ...]
    spread: float
    prior_labels: float | None = None

    def limits(self, counts: Integers, scatters: Array64, false_accept: float | None = None) -> Array64:
        """The limit of each label, squared distances (N,).

        Args:
            counts: (N,) shots of each label.
            scatters: (N,) Σ‖x − c‖² over each label's shots.
            false_accept: `self.false_accept` unless given; see `check_rate`.
        """
        if not len(counts):
            return np.zeros(0)
        few, more = (self._interpolated(table, len(counts), false_accept) for table in self.thresholds)
        share = (1.0 / counts - 1.0 / self.shots[1]) / (1.0 / self.shots[0] - 1.0 / self.shots[1])
        return np.maximum(more + (few - more) * share, 0.0) * self.widths(counts, scatters)

    def widths(self, counts: Integers, scatters: Array64) -> Array64:
        """The factor on each label's limit for the scatter of its shots, (N,): the root of a ratio of variances.

        A label's variance is the mean of its Σ‖x − c‖² / (n − 1) and the usual spread, weighted by n − 1 and PRIOR_SHOTS; it
        is divided by the usual spread. (A shot is n / (n − 1) times as far from the mean of the others as from that of all,
        so these are leave-one-out distances, but for a factor.)
        """
        usual = self.spread * (PRIOR_SHOTS + counts - 1)
        widths: Array64 = np.sqrt((PRIOR_SHOTS * self.spread + scatters) / usual)
        return widths

    def corrected(self, limits: Array64, evidence: Evidence, false_accept: float | None = None) -> Array64:
        """Limits (N,) corrected by a store's own shots; see `store_evidence`."""
        if self.prior_labels is None:
            return limits
        rate = self.false_accept if false_accept is None else false_accept
        return limits * correction(evidence, limits, rate, self.prior_labels, self.spread)

    def can_promise(self, labels: int) -> bool:
        """Whether the false-accept rate is promised for a number of labels.

        A calibration that the store corrects promises nothing until the store's own labels tell enough of strangers.
        """
        return self.prior_labels is None or labels > CERTAIN_LABELS

    def _interpolated(self, table: tuple[tuple[float, ...], ...], labels: int, false_accept: float | None) -> float:
        """Interpolate a table (L, R) at a number of labels and a rate."""
        rate = self.false_accept if false_accept is None else false_accept
        by_labels = [np.interp(np.log(rate), np.log(self.rates), row) for row in np.log(table)]
        count, counts = np.log(labels), np.log(self.labels)
        if len(counts) > 1 and labels > self.labels[-1]:  # go on as between the last two
            slope = (by_labels[-1] - by_labels[-2]) / (counts[-1] - counts[-2])
            return float(np.exp(by_labels[-1] + slope * (count - counts[-1])))
        return float(np.exp(np.interp(count, counts, by_labels)))

    def to_manifest(self) -> dict[str, Any]:
        """The manifest's fields, of which `far` is the thresholds; without `prior_labels` if there is none."""
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        return {"far" if name == "thresholds" else name: value for name, value in fields.items()}

    @classmethod
    def from_manifest(cls, fields: dict[str, Any]) -> Rejection:
        """Read the fields that `to_manifest` gives.

        Raises:
            KeyError, TypeError, ValueError: they are not such fields.
        """
        labels = tuple(int(count) for count in fields["labels"])
        rates = tuple(float(rate) for rate in fields["rates"])
        few, more = (int(count) for count in fields["shots"])
        thresholds = tuple(tuple(tuple(float(value) for value in row) for row in of_shots) for of_shots in fields["far"])
        false_accept, spread = float(fields["false_accept"]), float(fields["spread"])
        table = np.array(thresholds)
        ascending = all(bool(np.all(np.diff(axis) > 0)) for axis in (labels, rates))
        if not (labels and rates and ascending and labels[0] >= 1 and 0 < rates[0] <= false_accept <= rates[-1] < 1):
            raise ValueError("the rejection's labels or rates are out of range")
        if (
            not 1 <= few < more
            or table.shape != (2, len(labels), len(rates))
            or not (np.all(table > 0) and np.isfinite(table).all())
        ):
            raise ValueError("the rejection's distances are out of range")
        if not 0 < spread < np.inf:
            raise ValueError("the rejection's spread is out of range")
        prior_labels = None if fields.get("prior_labels") is None else float(fields["prior_labels"])
        if prior_labels is not None and not 0 < prior_labels < np.inf:
            raise ValueError("the rejection's prior is out of range")
        return cls(false_accept, labels, rates, (few, more), thresholds, spread, prior_labels)


def check_rate(rejection: Rejection | None, false_accept: float | None) -> None:
    """Check a false-accept rate that was asked for.

    Raises:
        InputError: the bundle is not calibrated for it.
    """
    if false_accept is None:
        return
    if rejection is None:
        raise InputError(
            "The bundle is not calibrated for unknown, so it keeps to no false-accept rate.",
            "Leave the rate out, or export the bundle again with --calibration.",
        )
    if not rejection.rates[0] <= false_accept <= rejection.rates[-1]:
        raise InputError(
            f"The bundle is not calibrated for a false-accept rate of {false_accept}.",
            f"Use {rejection.rates[0]} to {rejection.rates[-1]}.",
        )
