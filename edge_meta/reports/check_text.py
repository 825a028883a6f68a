"""The result of edge-meta check, as JSON and as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge_meta.evaluation.interval import Share
from edge_meta.evaluation.own_examples import Check, Judged, Outcome, Pair
from edge_meta.reports.unknown_text import NEVER_UNKNOWN, no_promise

MOST = 10  # mistakes, and pairs, at most, in text


def facts(check: Check, folder: str | None) -> dict[str, Any]:
    """Return the fields that `--json` prints."""
    examples, left_out = check.examples, check.left_out
    return {
        "folder": folder,
        **_counts(examples),
        "labels": [{"label": label, **_counts(examples, kind)} for kind, label in _present(examples)],
        "strangers": None if check.strangers is None else _strangers(check.strangers),
        "expected": None if left_out is None else left_out.expected.facts(),
        "single_shots": None if left_out is None else list(left_out.single),
        "pairs": [pair._asdict() for pair in check.pairs],
        "mistakes": [_mistake(mistake, "shot" if folder is None else "file") for mistake in check.mistakes],
        "none_shots": None if left_out is None else len(left_out.none),
        "says_unknown": check.says_unknown,
        "can_promise": check.can_promise,
        "adapted": check.adapted,
    }


def lines(check: Check, folder: str | None) -> Iterator[str]:
    """Lines of text."""
    examples, what = check.examples, "enrolled shots, each left out" if folder is None else f"examples in {folder}"
    yield f"{len(examples)} {what}"
    for words, which in (("right", "right"), ("taken for another label", "mistaken"), ("called unknown", "unknown")):
        yield f"{words}: {examples.share(which)}"
    for kind, label in _present(examples):
        taken, unknown = examples.share("mistaken", kind).count, examples.share("unknown", kind).count
        yield f"  {label}: right {examples.share('right', kind)}; {taken} taken for another, {unknown} unknown"
    if check.strangers is not None and len(check.strangers):
        yield f"strangers accepted: {check.strangers.share('known')}"
        for kind, label in _present(check.strangers):
            yield f"  {label}: {check.strangers.share('known', kind)}"
    yield from _shortened([pair_text(pair) for pair in check.pairs])
    yield from _shortened([mistake_text(mistake) for mistake in check.mistakes])
    if folder is None and check.mistakes:
        yield "edge-meta forget BUNDLE LABEL --shot ID removes a shot that was enrolled by mistake"
    yield from notes(check)


def notes(check: Check) -> Iterator[str]:
    """Sentences on what to expect, and on what could not be judged."""
    if check.left_out is not None:
        yield from check.left_out.expected.sentences()
        for label in check.left_out.single:
            yield f"{label} has one shot, which cannot be left out: add more"
    if not check.says_unknown:
        yield NEVER_UNKNOWN
    elif not check.can_promise:
        yield no_promise(len(check.examples.labels))
    if check.adapted and check.left_out is not None:
        yield "Shots that are left out are judged by the prototypes, not by the adapted last layer"


def pair_text(pair: Pair) -> str:
    """Return a sentence on two labels that look alike."""
    return (
        f"{pair.a} and {pair.b} are hard to tell apart ({pair.mistaken} taken for the other, {pair.nearer} of the enrolled "
        "shots nearer to it): add shots of both"
    )


def mistake_text(mistake: Outcome) -> str:
    """Return a sentence on an example that was not answered as it should be."""
    near = f"taken for {mistake.taken_for}"
    if mistake.taken_for is None:
        near = f"called unknown, nearest to {mistake.nearest}"
    of_limit = "" if mistake.of_limit is None else f", at {mistake.of_limit:.2f} of the limit"
    return f"{mistake.name} is {what_it_is(mistake)}, {near}{of_limit}"


def what_it_is(outcome: Outcome) -> str:
    """Return an example's own label, or its kind of stranger."""
    return f"{outcome.label}, a stranger" if outcome.stranger else outcome.label


def _present(judged: Judged) -> list[tuple[int, str]]:
    """The kinds of which there are examples."""
    return [(kind, label) for kind, label in enumerate(judged.kinds) if judged.share("known", kind).out_of]


def _counts(judged: Judged, kind: int | None = None) -> dict[str, Any]:
    right = judged.share("right", kind)
    return {
        "examples": right.out_of,
        "right": right.count,
        "mistaken": judged.share("mistaken", kind).count,
        "unknown": judged.share("unknown", kind).count,
        "accuracy": right.share,
        "ci95": right.ci95,
    }


def _strangers(strangers: Judged) -> dict[str, Any]:
    kinds = [{"label": label, **_accepted(strangers.share("known", kind))} for kind, label in _present(strangers)]
    return {**_accepted(strangers.share("known")), "labels": kinds}


def _accepted(share: Share) -> dict[str, Any]:
    return {"examples": share.out_of, "accepted": share.count, "false_accept": share.share, "ci95": share.ci95}


def _mistake(mistake: Outcome, name: str) -> dict[str, Any]:
    fields = mistake._asdict()
    return {name: fields.pop("name"), **fields}


def _shortened(sentences: list[str]) -> Iterator[str]:
    yield from sentences[:MOST]
    if len(sentences) > MOST:
        yield f"… and {len(sentences) - MOST} more, in --json and --report"
