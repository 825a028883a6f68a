"""The page of edge-meta check --report: one HTML file that needs no other."""

from __future__ import annotations

import numpy as np

from edge_meta.evaluation.own_examples import Check, Judged, Outcome
from edge_meta.reports.check_text import notes, pair_text, what_it_is
from edge_meta.reports.confusion import RIGHT, WRONG
from edge_meta.reports.example_figures import Figures
from edge_meta.reports.page import escaped, page, section
from edge_meta.types import Integers

MOST_MISTAKES, MOST_LABELS, MOST_EXAMPLES = 100, 40, 24  # that are shown: in all; in the matrix; of each label


def render(check: Check, bundle: str, folder: str | None, figures: Figures | None = None) -> str:
    """Return the page.

    Args:
        folder: of the examples; None for the enrolled shots, each left out.
        figures: of the examples, by their files; without it, none are shown.
    """
    what = "its enrolled shots, each left out" if folder is None else folder
    head = [f"<h1>{escaped(bundle)} on {escaped(what)}</h1>"]
    head += [f'<p class="quiet">{escaped(text)}.</p>' for text in notes(check)]
    return page(f"edge_meta: {bundle}", head + sections_of(check, figures))


def sections_of(check: Check, figures: Figures | None) -> list[str]:
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
        sections.append(section("Mistakes", text, _mistakes(mistakes[:MOST_MISTAKES], figures)))
    if figures is not None:
        text = "Green: right; red: taken for another label; grey: called unknown."
        for title, judged in (("Examples", check.examples), ("Strangers", check.strangers)):
            if judged:
                sections.append(section(title, text, _examples(judged.outcomes(), figures)))
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


def _mistakes(mistakes: list[Outcome], figures: Figures | None) -> str:
    rows = ["<tr>" + "<th>" * (figures is not None) + "<th>example<th>is<th>taken for<th>distance / limit"]
    for mistake in mistakes:
        picture = "" if figures is None else f"<td>{_figure(figures, mistake)}"
        taken = f"unknown (nearest: {mistake.nearest})" if mistake.taken_for is None else mistake.taken_for
        share = "–" if mistake.of_limit is None else f"{mistake.of_limit:.2f}"
        words = "".join(f"<td>{escaped(text)}" for text in (mistake.name, what_it_is(mistake), taken, share))
        rows.append(f"<tr>{picture}{words}")
    return f'<table class="pictures">{"".join(rows)}</table>'


def _examples(outcomes: list[Outcome], figures: Figures) -> str:
    by_label: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_label.setdefault(outcome.label, []).append(outcome)
    return "".join(_gallery(label, found, figures) for label, found in by_label.items())


def _gallery(label: str, outcomes: list[Outcome], figures: Figures) -> str:
    shown = outcomes[:MOST_EXAMPLES]
    more = f", {len(shown)} of {len(outcomes)}" if len(outcomes) > len(shown) else ""
    shown_figures = "".join(_figure(figures, outcome) for outcome in shown)
    return f'<p>{escaped(label)}{more}</p><div class="pictures">{shown_figures}</div>'


def _figure(figures: Figures, outcome: Outcome) -> str:
    answer = "unknown" if outcome.taken_for is None else outcome.taken_for
    kind = "" if outcome.taken_for is None else "right" if outcome.taken_for == outcome.label else "wrong"
    return figures(outcome.name, f"{outcome.name}: {answer}", kind)
