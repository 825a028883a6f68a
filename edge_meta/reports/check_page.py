"""The page of edge-meta check --report: one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge_meta.evaluation.own_examples import Check, Judged, Outcome
from edge_meta.reports.check_text import notes, pair_text, what_it_is
from edge_meta.reports.confusion import RIGHT, WRONG
from edge_meta.reports.page import escaped, page, picture_uri, section
from edge_meta.types import Integers

MOST_MISTAKES, MOST_LABELS, MOST_EXAMPLES = 100, 40, 24  # that are shown: in all; in the matrix; of each label

Thumbnails = Callable[[str], bytes]
"""From an example's file to a small copy of it, a JPEG or PNG file's content."""


def render(check: Check, bundle: str, folder: str | None, thumbnails: Thumbnails | None = None) -> str:
    """Return the page.

    Args:
        folder: of the examples; None for the enrolled shots, each left out.
        thumbnails: for examples that are image files; without it, none are shown.
    """
    what = "its enrolled shots, each left out" if folder is None else folder
    head = [f"<h1>{escaped(bundle)} on {escaped(what)}</h1>"]
    head += [f'<p class="quiet">{escaped(text)}.</p>' for text in notes(check)]
    return page(f"edge_meta: {bundle}", head + sections_of(check, thumbnails))


def sections_of(check: Check, thumbnails: Thumbnails | None) -> list[str]:
    """Return the sections below the heading; see `render`."""
    mistakes, pairs = check.mistakes, check.pairs
    sections = [
        section("Results", "In brackets: 95 % intervals.", _results(check)),
        section("Confusion matrix", _matrix_text(check), _matrix(check)),
    ]
    if pairs:
        items = "".join(f"<li>{escaped(pair_text(pair))}" for pair in pairs)
        sections.append(section("Things that look alike", "The most often mistaken first.", f"<ul>{items}</ul>"))
    if mistakes:
        text = "Taken for a label that is not theirs, the nearest first; then called unknown, the farthest first."
        if len(mistakes) > MOST_MISTAKES:
            text += f" {MOST_MISTAKES} of {len(mistakes)}."
        sections.append(section("Mistakes", text, _mistakes(mistakes[:MOST_MISTAKES], thumbnails)))
    if thumbnails is not None:
        text = "Green: right; red: taken for another label; grey: called unknown."
        for title, judged in (("Examples", check.examples), ("Strangers", check.strangers)):
            if judged:
                sections.append(section(title, text, _examples(judged.outcomes(), thumbnails)))
    return sections


def _results(check: Check) -> str:
    examples = check.examples
    rows = ["<tr><th>label<th>right<th>taken for another<th>unknown", _row("all", examples)]
    rows += [_row(label, examples, kind) for kind, label in enumerate(examples.kinds) if kind in examples.answers.truth]
    table = f"<table>{''.join(rows)}</table>"
    strangers = check.strangers
    if strangers is not None and len(strangers):
        table += f"<table><tr><th>strangers<th>accepted<tr><td>all<td>{strangers.share('known')}"
        table += "".join(
            f"<tr><td>{escaped(label)}<td>{strangers.share('known', kind)}" for kind, label in enumerate(strangers.kinds)
        )
        table += "</table>"
    return table


def _row(label: str, judged: Judged, kind: int | None = None) -> str:
    counts = [judged.share(which, kind).count for which in ("mistaken", "unknown")]
    return f"<tr><td>{escaped(label)}<td>{judged.share('right', kind)}<td>{counts[0]}<td>{counts[1]}"


def _matrix_text(check: Check) -> str:
    text = "Rows: what an example is; columns: what it was taken for."
    if len(check.examples.labels) > MOST_LABELS:
        text += f" The {MOST_LABELS} labels with the most mistakes."
    return text


def _matrix(check: Check) -> str:
    """Draw a table with a row per label, then per kind of stranger, and a column per label, then one of unknown."""
    labels = check.examples.labels
    own = check.examples.answers
    involved = [own.truth[~own.right], own.nearest[own.mistaken]]
    if check.strangers is not None:
        accepted = check.strangers.answers
        involved.append(accepted.nearest[accepted.known])
    mistakes = np.bincount(np.concatenate(involved), minlength=len(labels))
    columns = np.sort((-mistakes).argsort(kind="stable")[:MOST_LABELS])
    names = [labels[column] for column in columns]
    head = "".join(f"<th><span>{escaped(name)}</span>" for name in names)
    rows = [f"<tr><th>{head}<th><span>unknown</span>"]
    rows += [_matrix_row(check.examples, kind, columns, at) for at, kind in enumerate(columns)]
    if check.strangers is not None:
        rows += [_matrix_row(check.strangers, kind, columns) for kind in range(len(check.strangers.kinds))]
    return f'<table class="matrix">{"".join(rows)}</table>'


def _matrix_row(judged: Judged, kind: int, columns: Integers, right: int | None = None) -> str:
    """A row of the matrix; the column that is right is `right`, for strangers the last, unknown."""
    answers = judged.answers
    of_kind = answers.truth == kind
    known = of_kind & answers.known
    counts = [int((known & (answers.nearest == column)).sum()) for column in columns]
    counts.append(int((of_kind & ~answers.known).sum()))
    right = len(columns) if right is None else right
    cells = [f"<tr><th>{escaped(judged.kinds[kind])}"]
    for at, count in enumerate(counts):
        share = count / max(1, of_kind.sum())
        colour = RIGHT if at == right else WRONG
        cells.append(f'<td style="background: rgba({colour},{0.6 * share:.2f})">{count or ""}')
    return "".join(cells)


def _mistakes(mistakes: list[Outcome], thumbnails: Thumbnails | None) -> str:
    rows = ["<tr>" + "<th>" * (thumbnails is not None) + "<th>example<th>is<th>taken for<th>distance / limit"]
    for mistake in mistakes:
        picture = "" if thumbnails is None else f"<td>{_picture(thumbnails, mistake)}"
        taken = f"unknown (nearest: {mistake.nearest})" if mistake.taken_for is None else mistake.taken_for
        share = "–" if mistake.of_limit is None else f"{mistake.of_limit:.2f}"
        words = "".join(f"<td>{escaped(text)}" for text in (mistake.name, what_it_is(mistake), taken, share))
        rows.append(f"<tr>{picture}{words}")
    return f'<table class="pictures">{"".join(rows)}</table>'


def _examples(outcomes: list[Outcome], thumbnails: Thumbnails) -> str:
    by_label: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_label.setdefault(outcome.label, []).append(outcome)
    return "".join(_gallery(label, found, thumbnails) for label, found in by_label.items())


def _gallery(label: str, outcomes: list[Outcome], thumbnails: Thumbnails) -> str:
    shown = outcomes[:MOST_EXAMPLES]
    more = f", {len(shown)} of {len(outcomes)}" if len(outcomes) > len(shown) else ""
    pictures = "".join(_picture(thumbnails, outcome) for outcome in shown)
    return f'<p>{escaped(label)}{more}</p><div class="pictures">{pictures}</div>'


def _picture(thumbnails: Thumbnails, outcome: Outcome) -> str:
    answer = "unknown" if outcome.taken_for is None else outcome.taken_for
    kind = "" if outcome.taken_for is None else "right" if outcome.taken_for == outcome.label else "wrong"
    told = escaped(f"{outcome.name}: {answer}")
    return f'<img class="{kind}" src="{picture_uri(thumbnails(outcome.name))}" alt="{told}" title="{told}">'
