"""The demo on photos: teach the shipped bundle things by a few pictures, and see what it makes of new ones."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta import files
from edge_meta.cli.demo_folder import REPORT, RESULT, STORE, check_writable, new_classifier
from edge_meta.cli.progress import Counter, duration, note
from edge_meta.datasets.renderings import THINGS, picture
from edge_meta.evaluation.interval import Share
from edge_meta.evaluation.own_examples import Named
from edge_meta.evaluation.taught_things import TaughtThings, teach_things
from edge_meta.inputs.png import write_png
from edge_meta.reports import taught_things_page
from edge_meta.reports.check_text import facts
from edge_meta.runtime.bundle import Bundle

BUNDLE = "objects"
TAUGHT = ("apple", "fish", "key", "leaf", "mug")
STRANGERS = tuple(thing for thing in THINGS if thing not in TAUGHT)
NEWCOMER = "duck"
MISTAKEN = ("mug", "apple")  # a picture of the first is enrolled as the second
SHOWN, NEW, LATER, MISTAKES = "shown", "new", "later", "mistake"  # folders of pictures


@dataclass(frozen=True)
class PhotosConfig:
    """The number of pictures of each thing.

    Attributes:
        shot: that are enrolled.
        query: new ones that are classified.
        strange: of each stranger.
    """

    shot: int = 5
    query: int = 6
    strange: int = 4


def run_photos(folder: Path, config: PhotosConfig | None = None) -> dict[str, Any]:
    """Write pictures, store, bundle, report.html and result.json into a folder; returns the content of result.json."""
    started = time.monotonic()
    config = config or PhotosConfig()
    check_writable(folder)
    bundle = Bundle.open(BUNDLE)

    note("1/4  Rendering pictures of ten things, each with its own pose, table and light")
    pictures = _render(folder, config)
    names = {kind: _names(pictures, kind) for kind in (SHOWN, NEW, LATER, MISTAKES)}

    with new_classifier(bundle, folder) as classifier:

        def named(kind: str) -> dict[str, list[Named]]:
            by_thing = names[kind].items()
            return {thing: [(name, classifier.embed(pictures[name])) for name in found] for thing, found in by_thing}

        note(f"2/4  Enrolling {len(TAUGHT)} of them from {config.shot} pictures each, and classifying new ones")
        note("3/4  Undoing a mistake, teaching one more thing, forgetting it")
        mistaken = (*MISTAKEN, named(MISTAKES)[MISTAKEN[0]][0])
        task = teach_things(classifier, named(SHOWN), named(NEW), mistaken, (NEWCOMER, named(LATER)[NEWCOMER]))

    note("4/4  Writing the report")
    shutil.copytree(bundle.path, folder / f"{BUNDLE}.bundle", dirs_exist_ok=True)
    result = {"sense": "photos", "dataset": "renderings", "bundle": BUNDLE, "shot": config.shot, **_facts(task, folder)}
    result["seconds"] = round(time.monotonic() - started, 1)
    page = taught_things_page.render(
        task, BUNDLE, names[SHOWN], names[LATER][NEWCOMER], lambda name: write_png(pictures[name]), result["seconds"]
    )
    files.write_text(folder / REPORT, page)
    files.write_text(folder / RESULT, json.dumps(result, indent=1) + "\n")
    return result


def account_of_photos(result: Mapping[str, Any], folder: Path) -> Sequence[str]:
    """Return the lines that sum up a demo for people."""
    check, newcomer, mistake = result["check"], result["newcomer"], result["mistake"]
    right, strangers = Share(check["right"], check["examples"]), check["strangers"]
    known = Share(strangers["accepted"], strangers["examples"])
    noticed = f"noticed: {mistake['cause']}" if mistake["cause"] else "not noticed"
    stages = ", ".join(f"{newcomer[stage]['right']} {words}" for stage, words in _STAGES.items())
    return [
        "",
        f"{len(check['labels'])} things taught by {result['shot']} pictures of each:",
        f"  new pictures of them right: {right}; {check['mistaken']} taken for another, {check['unknown']} called unknown",
        f"  pictures of strangers wrongly taken for one of them: {known}",
        f"A {mistake['label']} enrolled as {mistake['enrolled_as']}, {noticed} Undone.",
        f"Pictures of a {newcomer['label']} called {newcomer['label']}, of {sum(newcomer['taught'].values())}: {stages}.",
        "The pictures are computed, not photos; docs/photos.md has the figures on photos.",
        "",
        f"Took {duration(result['seconds'])}. Report: {folder / REPORT}",
        f"Try it: edge-meta classify {BUNDLE} {folder / NEW} --store {folder / STORE}",
        f"        edge-meta enroll {BUNDLE} {folder / LATER} --store {folder / STORE}",
    ]


_STAGES = {"before": "before it was taught", "taught": "after", "forgotten": "when it was forgotten"}


def _render(folder: Path, config: PhotosConfig) -> dict[str, NDArray[np.uint8]]:
    """Render all pictures into folders, one for each thing; returns them, uint8 (H, W, 3), by their paths."""
    fresh = config.shot + config.query
    numbers = [(SHOWN, thing, number) for thing in TAUGHT for number in range(config.shot)]
    numbers += [(NEW, thing, number) for thing in TAUGHT for number in range(config.shot, fresh)]
    numbers += [(NEW, thing, number) for thing in STRANGERS for number in range(config.shot, config.shot + config.strange)]
    numbers += [(LATER, NEWCOMER, number) for number in range(config.shot)]
    numbers += [(MISTAKES, MISTAKEN[0], fresh)]
    pictures, counter = {}, Counter("pictures")
    for done, (kind, thing, number) in enumerate(numbers, 1):
        path = folder / kind / thing / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = pictures[str(path)] = picture(thing, number)
        with files.replacing(path) as file:
            file.write(write_png(pixels))
        counter(done, len(numbers))
    return pictures


def _names(pictures: Iterable[str], kind: str) -> dict[str, list[str]]:
    """The paths of the pictures in one folder, by thing."""
    names: dict[str, list[str]] = {}
    for name in pictures:
        *_, folder, thing, _ = Path(name).parts
        if folder == kind:
            names.setdefault(thing, []).append(name)
    return names


def _facts(task: TaughtThings, folder: Path) -> dict[str, Any]:
    newcomer = task.newcomer
    return {
        "check": facts(task.check, str(folder / NEW)),
        "mistake": vars(task.mistake),
        "newcomer": {"label": newcomer.label, **{stage: getattr(newcomer, stage)._asdict() for stage in _STAGES}},
    }
