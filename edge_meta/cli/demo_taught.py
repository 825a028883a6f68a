"""The demo on photos, words or gestures: teach the shipped bundle by a few examples, and see what it makes of new ones."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_meta import files
from edge_meta.cli.demo_folder import REPORT, RESULT, STORE, check_writable, new_classifier
from edge_meta.cli.demo_senses import SENSES, Made, Sense
from edge_meta.cli.demo_stream import STREAM, account_of_stream, listen_to_words
from edge_meta.cli.progress import Counter, duration, note
from edge_meta.evaluation.interval import Share
from edge_meta.evaluation.own_examples import Named
from edge_meta.evaluation.taught_things import TaughtThings, teach_things
from edge_meta.reports import taught_things_page
from edge_meta.reports.check_text import facts
from edge_meta.reports.example_figures import Figures
from edge_meta.reports.taught_things_page import begun
from edge_meta.runtime.bundle import Bundle

SHOWN, NEW, LATER, MISTAKES = "shown", "new", "later", "mistake"  # folders of examples


@dataclass(frozen=True)
class TaughtConfig:
    """The number of examples of each label.

    Attributes:
        shot: that are enrolled.
        query: new ones that are classified.
        strange: of each stranger.
    """

    shot: int = 5
    query: int = 6
    strange: int = 4


def run_taught(name: str, folder: Path, config: TaughtConfig | None = None) -> dict[str, Any]:
    """Write examples, store, bundle, report.html and result.json into a folder; returns the content of result.json.

    Args:
        name: of a sense in `SENSES`.
    """
    started = time.monotonic()
    config, sense = config or TaughtConfig(), SENSES[name]
    check_writable(folder)
    bundle, noun = Bundle.open(sense.bundle), sense.wording.noun

    note(f"1/4  {sense.work}")
    made = _make(folder, sense, config)
    names = {kind: _names(made, kind) for kind in (SHOWN, NEW, LATER, MISTAKES)}

    with new_classifier(bundle, folder) as classifier:

        def named(kind: str) -> dict[str, list[Named]]:
            by_label = names[kind].items()
            return {label: [(path, classifier.embed(made[path].example)) for path in found] for label, found in by_label}

        note(f"2/4  Enrolling {len(sense.taught)} of them from {config.shot} {noun}s each, and classifying new ones")
        note("3/4  Undoing a mistake, teaching one more, forgetting it")
        mistaken = (*sense.mistaken, named(MISTAKES)[sense.mistaken[0]][0])
        task = teach_things(classifier, named(SHOWN), named(NEW), mistaken, (sense.newcomer, named(LATER)[sense.newcomer]))
        live = listen_to_words(classifier, sense, folder) if sense.is_heard else None

    note("4/4  Writing the report")
    shutil.copytree(bundle.path, folder / f"{sense.bundle}.bundle", dirs_exist_ok=True)
    result = {"sense": name, "dataset": sense.dataset, "bundle": sense.bundle, "shot": config.shot, **_facts(task, folder)}
    if live is not None:
        result["stream"] = live.facts
    result["seconds"] = round(time.monotonic() - started, 1)
    figures = Figures(lambda path: made[path].picture, (lambda path: made[path].content) if sense.is_heard else None)
    sections = () if live is None else (live.section,)
    later = names[LATER][sense.newcomer]
    page = taught_things_page.render(
        task, sense.wording, sense.bundle, names[SHOWN], later, figures, sections, result["seconds"]
    )
    files.write_text(folder / REPORT, page)
    files.write_text(folder / RESULT, json.dumps(result, indent=1) + "\n")
    return result


def account_of_taught(result: Mapping[str, Any], folder: Path) -> Sequence[str]:
    """Return the lines that sum up a demo for people."""
    check, newcomer, mistake, wording = (
        result["check"],
        result["newcomer"],
        result["mistake"],
        SENSES[result["sense"]].wording,
    )
    right, strangers, noun = Share(check["right"], check["examples"]), check["strangers"], wording.noun
    known = Share(strangers["accepted"], strangers["examples"])
    noticed = f"noticed: {mistake['cause']}" if mistake["cause"] else "not noticed."
    stages = ", ".join(f"{newcomer[stage]['right']} {words}" for stage, words in _STAGES.items())
    asked = f"{begun(noun)}s of {wording.named(newcomer['label'])} called {newcomer['label']}"
    bundle, store = result["bundle"], folder / STORE
    return [
        "",
        f"{len(check['labels'])} {wording.things} taught by {result['shot']} {noun}s of each:",
        f"  new {noun}s of them right: {right}; {check['mistaken']} taken for another, {check['unknown']} called unknown",
        f"  {noun}s of strangers wrongly taken for one of them: {known}",
        f"{begun(wording.named(mistake['label']))} enrolled as {mistake['enrolled_as']}, {noticed} Undone.",
        f"{asked}, of {sum(newcomer['taught'].values())}: {stages}.",
        *(account_of_stream(result["stream"]) if "stream" in result else ()),
        wording.computed,
        "",
        f"Took {duration(result['seconds'])}. Report: {folder / REPORT}",
        f"Try it: edge-meta classify {bundle} {folder / NEW} --store {store}",
        f"        edge-meta enroll {bundle} {folder / LATER} --store {store}",
        *([f"        edge-meta listen {bundle} {folder / STREAM} --store {store}"] if "stream" in result else []),
    ]


_STAGES = {"before": "before it was taught", "taught": "after", "forgotten": "when it was forgotten"}


def _make(folder: Path, sense: Sense, config: TaughtConfig) -> dict[str, Made]:
    """Make all examples into folders, one for each label; returns them by their paths."""
    fresh, last = config.shot + config.query, config.shot + config.strange
    numbers = [(SHOWN, label, number) for label in sense.taught for number in range(config.shot)]
    numbers += [(NEW, label, number) for label in sense.taught for number in range(config.shot, fresh)]
    numbers += [(NEW, label, number) for label in sense.strangers for number in range(config.shot, last)]
    numbers += [(LATER, sense.newcomer, number) for number in range(config.shot)]
    numbers += [(MISTAKES, sense.mistaken[0], fresh)]
    made, counter = {}, Counter(f"{sense.wording.noun}s")
    for done, (kind, label, number) in enumerate(numbers, 1):
        path = folder / kind / label / f"{number}{sense.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        example = made[str(path)] = sense.make(label, number)
        with files.replacing(path) as file:
            file.write(example.content)
        counter(done, len(numbers))
    return made


def _names(made: Iterable[str], kind: str) -> dict[str, list[str]]:
    """The paths of the examples in one folder, by label."""
    names: dict[str, list[str]] = {}
    for name in made:
        *_, folder, label, _ = Path(name).parts
        if folder == kind:
            names.setdefault(label, []).append(name)
    return names


def _facts(task: TaughtThings, folder: Path) -> dict[str, Any]:
    newcomer = task.newcomer
    return {
        "check": facts(task.check, str(folder / NEW)),
        "mistake": vars(task.mistake),
        "newcomer": {"label": newcomer.label, **{stage: getattr(newcomer, stage)._asdict() for stage in _STAGES}},
    }
