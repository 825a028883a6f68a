"""Streams of pictures and of motions: what is an event, and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.device import altered, draw, takes
from support.motions import RATE, motion, stream

from edge_meta import Classifier
from edge_meta.errors import InputError
from edge_meta.inputs import ArrayInput, ImageInput
from edge_meta.inputs.motions import MotionCutter
from edge_meta.runtime.motion_watcher import MotionWatcher
from edge_meta.runtime.results import Event, Prediction
from edge_meta.runtime.streaming import motion_watcher
from edge_meta.runtime.watcher import Watcher, WatcherOptions

IMAGES = ImageInput(28, 28, 1)


def labels(shown: Sequence[str | None], **options: int) -> list[tuple[float, str]]:
    """Time and label of the events, for pictures a second apart whose answers these are."""
    watching = Watcher(
        IMAGES, lambda answer: Prediction(answer, 0.5, 1.0), WatcherOptions(**options), clock=iter(range(1000)).__next__
    )
    return [(event.time, event.label) for event in watching.events(enumerate(shown))]


def test_a_label_is_an_event_once_two_of_three_agree() -> None:
    assert labels(["mug", None, "mug", "mug", "mug", "mug"]) == [(2, "mug")]
    assert labels(["mug", None, None, "mug", None, None]) == []
    assert labels(["mug", "mug", None, None, "mug", "mug"]) == [(1, "mug")]
    assert labels(["mug", "mug", None, None, None, "mug", "mug"]) == [(1, "mug"), (6, "mug")]


def test_another_label_is_an_event_and_then_the_first_again() -> None:
    assert labels(["mug", "mug", "key", "mug", "key", "key", "mug", "mug"]) == [(1, "mug"), (4, "key"), (7, "mug")]


def test_the_score_is_a_mean_and_the_latency_is_the_clocks() -> None:
    scores = iter([0.5, 0.7])
    seen: list[Event] = []
    ticks = iter([0.0, 1.0, 1.25])
    watching = Watcher(IMAGES, lambda _: Prediction("mug", next(scores), 1.0), None, seen.append, ticks.__next__)
    assert watching.feed(0.0, None) == []
    assert watching.feed(0.1, None) == seen == [Event(0.1, "mug", pytest.approx(0.6), 250.0)]


def test_options_out_of_range_and_other_inputs_are_refused() -> None:
    with pytest.raises(InputError, match="4 votes of 3 pictures"):
        WatcherOptions(votes=4)
    with pytest.raises(InputError, match="takes arrays; a watcher takes images"):
        Watcher(ArrayInput((3,)), lambda _: Prediction(None, 0, 0))
    with pytest.raises(InputError, match="takes images; a stream of motions is series"):
        MotionWatcher(IMAGES, lambda _: Prediction(None, 0, 0))


def test_a_classifier_watches_pictures(tmp_path: Path) -> None:
    with Classifier.load("omniglot", tmp_path / "store.db") as classifier:
        for kind, label in enumerate("ab"):
            classifier.enroll(label, takes(kind, 3))
        shown = [draw(kind, 5 + take) for kind in (0, 1) for take in range(4)]
        seen = [event.label for event in classifier.stream(enumerate(shown))]
    assert seen == ["a", "b"]


@pytest.fixture
def gestures(tmp_path: Path) -> Any:
    with Classifier.load("gestures", tmp_path / "store.db") as classifier:
        for kind, label in ((0, "circle"), (2, "zigzag")):
            classifier.enroll(label, [motion(kind, take) for take in range(3)])
        yield classifier


def test_a_classifier_watches_motions(gestures: Classifier) -> None:
    times, values, spans = stream([(0, 1.6), (2, 1.4), (0, 1.4)])
    blocks = [(times[first : first + 10], values[first : first + 10]) for first in range(0, len(times), 10)]
    seen = list(gestures.stream(blocks))
    assert [event.label for event in seen] == ["circle", "zigzag", "circle"]
    for event, (_, end) in zip(seen, spans, strict=True):
        assert abs(event.time - end) < 0.3
        assert 0 < event.latency_ms < 1000


def test_a_strange_motion_is_no_event(gestures: Classifier) -> None:
    times, values, ((start, end), *_) = stream([(0, 1.6)])
    moving = (times >= start) & (times < end)
    values[moving] = np.random.default_rng(0).normal(0, 3, (moving.sum(), 6))
    assert len(MotionCutter().feed(times, values)) == 1
    heard: list[Event] = []
    assert list(gestures.stream([(times, values)], on_event=heard.append)) == heard == []


def test_a_bundle_that_cannot_say_unknown_watches_nothing(tmp_path: Path) -> None:
    bundle = altered(tmp_path, lambda fields: fields.update(rejection=None))
    with Classifier.load(bundle, tmp_path / "store.db") as classifier:
        classifier.enroll("a", takes(0, 3))
        with pytest.raises(InputError, match="every picture would be a hit"):
            classifier.stream([])


def test_rows_after_an_end_are_told_by_their_name(gestures: Classifier) -> None:
    with pytest.raises(InputError, match=r"of walk\.csv are 1 s apart"):
        motion_watcher(gestures, name="walk.csv").feed(np.arange(RATE) * 1.0, np.zeros((RATE, 6)))
