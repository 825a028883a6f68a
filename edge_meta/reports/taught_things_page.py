"""The page of edge-meta demo --sense photos: one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_meta.evaluation.own_examples import Check
from edge_meta.evaluation.taught_things import Asked, TaughtThings
from edge_meta.reports import check_page, check_text
from edge_meta.reports.check_page import Thumbnails
from edge_meta.reports.page import escaped, page, picture_uri, section


def render(
    task: TaughtThings,
    bundle: str,
    shown: Mapping[str, Sequence[str]],
    later: Sequence[str],
    pictures: Thumbnails,
    seconds: float,
) -> str:
    """Return the page.

    Args:
        shown: label → names of the pictures it was taught by.
        later: names of those of the newcomer.
        pictures: from a name to the picture.
    """
    check, newcomer, mistake = task.check, task.newcomer, task.mistake
    taught = "".join(_row(label, names, pictures) for label, names in shown.items())
    noticed = f"It was noted: “{mistake.cause}”" if mistake.cause else "Nothing was noted."
    undone = (
        f"A picture of a {mistake.label} was enrolled as {mistake.enrolled_as}. {noticed} Undo took it back: "
        f"{mistake.shots} pictures of {mistake.enrolled_as}, then {mistake.shots_after}."
    )
    stages = {"before it was taught": newcomer.before, "taught": newcomer.taught, "forgotten": newcomer.forgotten}
    rows = "".join(_stage(stage, asked) for stage, asked in stages.items())
    head = f"<tr><th>{escaped(newcomer.label)}<th>called {escaped(newcomer.label)}<th>taken for another<th>called unknown"
    sections = [
        f"<h1>edge_meta: {len(shown)} things, {max(map(len, shown.values()))} pictures of each</h1>",
        f'<p class="quiet">The {escaped(bundle)} bundle had never seen them. It was taught by these pictures, and asked '
        f"about new ones, in {seconds:.0f} s. The pictures are computed, not photos.</p>",
        f"<p><strong>{escaped(_summary(check))}</strong></p>",
        section("Taught", "The pictures that were enrolled.", taught),
        *check_page.sections_of(check, pictures),
        section(
            "Judged beforehand",
            "Before there are new pictures, edge-meta check leaves out each enrolled one.",
            "".join(f"<p>{escaped(text)}.</p>" for text in (_left_out(task), *check_text.notes(check))),
        ),
        section("A mistake, undone", escaped(undone), _row(mistake.label, [mistake.name], pictures)),
        section(
            f"A {escaped(newcomer.label)}, taught and forgotten",
            f"It was a stranger, then taught by {len(later)} pictures, then forgotten. Answers to its other pictures:",
            f"<table>{head}{rows}</table>{_row(newcomer.label, later, pictures)}",
        ),
    ]
    return page("edge_meta: photos", sections)


def _summary(check: Check) -> str:
    text = f"{check.examples.share('right')} of new pictures are right."
    if check.strangers is not None:
        text += f" {check.strangers.share('unknown')} of strangers are called unknown."
    return text


def _left_out(task: TaughtThings) -> str:
    return f"Right: {task.left_out.shots.share('right')}"


def _row(label: str, names: Sequence[str], pictures: Thumbnails) -> str:
    images = "".join(
        f'<img src="{picture_uri(pictures(name))}" alt="{escaped(name)}" title="{escaped(name)}">' for name in names
    )
    return f'<p>{escaped(label)}</p><div class="pictures">{images}</div>'


def _stage(stage: str, asked: Asked) -> str:
    return f"<tr><td>{stage}<td>{asked.right}<td>{asked.mistaken}<td>{asked.unknown}"
