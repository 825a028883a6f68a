"""Sentences on what to expect of a store's limits of "unknown"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edge_meta.heads.store_evidence import CERTAIN_LABELS

NEVER_UNKNOWN = "The bundle is not calibrated for unknown: it calls nothing unknown but what lies near examples of none"


def no_promise(labels: int) -> str:
    """Return a sentence on limits that are not certain yet."""
    return (
        f"With {labels} {'label' if labels == 1 else 'labels'}, no share of strangers can be promised yet: enroll more than "
        f"{CERTAIN_LABELS}, and show things that are none with edge-meta enroll BUNDLE --none FILE..."
    )


def expected_lines(expected: Mapping[str, Any]) -> Iterator[str]:
    """Lines on the shares that `Expected.facts` gives."""
    names = {
        "false_accept": "strangers accepted, by labels left out",
        "none_accepted": "strangers accepted, by examples of none left out",
        "rejected_known": "known examples called unknown, by shots left out",
    }
    for name, words in names.items():
        if expected[name] is not None:
            yield f"to expect: {words}: {_percent(expected[name], expected[f'{name}_ci95'])}"


def _percent(share: float, ci95: Sequence[float]) -> str:
    return f"{100 * share:.0f} % ({100 * ci95[0]:.0f} to {100 * ci95[1]:.0f} %)"
