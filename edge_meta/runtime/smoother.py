"""Make single hits of the answers for overlapping windows."""

from __future__ import annotations

from collections import deque

from edge_meta.runtime.results import Prediction


class Smoother:
    """Report a label once several of the last windows agree on it, then rest.

    Args:
        votes: windows that must agree.
        of: this many windows in a row.
        rest: windows after a hit that are not looked at (the refractory time).
    """

    def __init__(self, votes: int, of: int, rest: int) -> None:
        self._votes, self._rest = votes, rest
        self._recent: deque[Prediction | None] = deque(maxlen=of)
        self._left = 0

    def __call__(self, answer: Prediction | None) -> tuple[str, float] | None:
        """Take a window's answer, None where the gate is closed; returns a label with its mean score, or None."""
        if self._left > 0:
            self._left -= 1
            return None
        self._recent.append(answer)
        if answer is None or answer.label is None:
            return None
        scores = [each.score for each in self._recent if each is not None and each.label == answer.label]
        if len(scores) < self._votes:
            return None
        self._recent.clear()
        self._left = self._rest
        return answer.label, sum(scores) / len(scores)
