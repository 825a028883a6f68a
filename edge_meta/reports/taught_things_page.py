"""The page of a demo that teaches a shipped bundle things by examples: one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_meta.evaluation.own_examples import Check
from edge_meta.evaluation.taught_things import Asked, TaughtThings
from edge_meta.reports import check_page, check_text
from edge_meta.reports.example_figures import Figures
from edge_meta.reports.page import escaped, page, section


@dataclass(frozen=True)
class Wording:
    """The words of a sense.

    Attributes:
        sense: its name.
        noun: of an example, such as picture.
        things: what is taught, many of them.
        one: one of them, with {} in place of its label.
        computed: a sentence on how the examples came about, and where there are figures on real ones.
    """

    sense: str
    noun: str
    things: str
    one: str
    computed: str

    def named(self, label: str) -> str:
        """A label as a sentence names it."""
        return self.one.format(label)


def render(
    task: TaughtThings,
    wording: Wording,
    bundle: str,
    shown: Mapping[str, Sequence[str]],
    later: Sequence[str],
    figures: Figures,
    live: Sequence[str],
    seconds: float,
) -> str:
    """Return the page.

    Args:
        shown: label → names of the examples it was taught by.
        later: names of those of the newcomer.
        figures: of all examples, by their names.
        live: sections on a stream; empty without one.
    """
    check, newcomer, mistake, noun = task.check, task.newcomer, task.mistake, wording.noun
    taught = "".join(_row(label, names, figures) for label, names in shown.items())
    noticed = f"It was noted: “{mistake.cause}”" if mistake.cause else "Nothing was noted."
    undone = (
        f"A {noun} of {wording.named(mistake.label)} was enrolled as {mistake.enrolled_as}. {noticed} Undo took it back: "
        f"{mistake.shots} {noun}s of {mistake.enrolled_as}, then {mistake.shots_after}."
    )
    stages = {"before it was taught": newcomer.before, "taught": newcomer.taught, "forgotten": newcomer.forgotten}
    rows = "".join(_stage(stage, asked) for stage, asked in stages.items())
    head = f"<tr><th>{escaped(newcomer.label)}<th>called {escaped(newcomer.label)}<th>taken for another<th>called unknown"
    sections = [
        f"<h1>edge_meta: {len(shown)} {wording.things}, {max(map(len, shown.values()))} {noun}s of each</h1>",
        f'<p class="quiet">The {escaped(bundle)} bundle had never met them. It was taught by these {noun}s, and asked '
        f"about new ones, in {seconds:.0f} s. {escaped(wording.computed)}</p>",
        f"<p><strong>{escaped(_summary(check, noun))}</strong></p>",
        section("Taught", f"The {noun}s that were enrolled.", taught),
        *check_page.sections_of(check, figures),
        section(
            "Judged beforehand",
            f"Before there are new {noun}s, edge-meta check leaves out each enrolled one.",
            "".join(f"<p>{escaped(text)}.</p>" for text in (_left_out(task), *check_text.notes(check))),
        ),
        section("A mistake, undone", escaped(undone), _row(mistake.label, [mistake.name], figures)),
        section(
            escaped(f"{begun(wording.named(newcomer.label))}, taught and forgotten"),
            f"It was a stranger, then taught by {len(later)} {noun}s, then forgotten. Answers to its other {noun}s:",
            f"<table>{head}{rows}</table>{_row(newcomer.label, later, figures)}",
        ),
        *live,
    ]
    return page(f"edge_meta: {wording.sense}", sections)


def begun(sentence: str) -> str:
    """A sentence with a capital at its start."""
    return sentence[:1].upper() + sentence[1:]


def _summary(check: Check, noun: str) -> str:
    text = f"{check.examples.share('right')} of new {noun}s are right."
    if check.strangers is not None:
        text += f" {check.strangers.share('unknown')} of strangers are called unknown."
    return text


def _left_out(task: TaughtThings) -> str:
    return f"Right: {task.left_out.shots.share('right')}"


def _row(label: str, names: Sequence[str], figures: Figures) -> str:
    return f'<p>{escaped(label)}</p><div class="pictures">{"".join(figures(name, name) for name in names)}</div>'


def _stage(stage: str, asked: Asked) -> str:
    return f"<tr><td>{stage}<td>{asked.right}<td>{asked.mistaken}<td>{asked.unknown}"
