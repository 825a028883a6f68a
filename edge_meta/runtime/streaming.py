"""Listen to a stream of sound, or watch one of pictures or motions, with a classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np

from edge_meta.errors import InputError
from edge_meta.inputs import AudioInput, ImageInput
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.listener import Listener, ListenerOptions
from edge_meta.runtime.motion_watcher import MotionWatcher
from edge_meta.runtime.results import Event, Prediction, Result
from edge_meta.runtime.watcher import Watcher, WatcherOptions
from edge_meta.types import Array64

OnEvent = Callable[[Event], object]


class Classifying(Protocol):
    """The part of a `Classifier` that streams need."""

    bundle: Bundle

    def classify(self, image: Any, top_k: int = 3) -> Result: ...

    def limits(self) -> Array64: ...


def stream(
    classifier: Classifying, blocks: Iterable[Any], on_event: OnEvent | None = None, **options: Any
) -> Iterator[Event]:
    """Yield what is heard or seen in a stream, by what the bundle takes.

    Args:
        blocks: for sound, samples (n,), mono, at the encoder's rate; int16, or float from −1 to 1. For images, pairs of
            seconds and a picture. For series, pairs of seconds (n,) and values (n, channels).
        on_event: called with each event, before it is yielded.
        options: fields of `ListenerOptions` for sound and of `WatcherOptions` for images; none for series.

    Raises:
        InputError: the bundle takes none of these or cannot say unknown, a block is not as said, or an option is out of
            range.
        LabelError: nothing is enrolled.
    """
    spec = classifier.bundle.manifest.input_spec
    if isinstance(spec, AudioInput):
        return listener(classifier, on_event, **options).events(blocks)
    if isinstance(spec, ImageInput):
        return watcher(classifier, on_event, **options).events(blocks)
    return motion_watcher(classifier, on_event, **options).events(blocks)


def listener(classifier: Classifying, on_event: OnEvent | None = None, **options: Any) -> Listener:
    """Make the listener of a classifier, to feed it block by block; arguments and errors are those of `stream`."""
    made = Listener(classifier.bundle.manifest.input_spec, _answers(classifier), ListenerOptions(**options), on_event)
    _require_unknown(classifier, "sound")
    return made


def watcher(classifier: Classifying, on_event: OnEvent | None = None, **options: Any) -> Watcher:
    """Make the watcher of a classifier, to feed it picture by picture; arguments and errors are those of `stream`."""
    made = Watcher(classifier.bundle.manifest.input_spec, _answers(classifier), WatcherOptions(**options), on_event)
    _require_unknown(classifier, "picture")
    return made


def motion_watcher(classifier: Classifying, on_event: OnEvent | None = None, name: str = "The stream") -> MotionWatcher:
    """Make the watcher of motions of a classifier, to feed it rows; arguments and errors are those of `stream`.

    Args:
        name: of the stream, for messages.
    """
    made = MotionWatcher(classifier.bundle.manifest.input_spec, _answers(classifier), on_event, name)
    _require_unknown(classifier, "motion")
    return made


def _answers(classifier: Classifying) -> Callable[[Any], Prediction]:
    return lambda example: classifier.classify(example, 1).best


def _require_unknown(classifier: Classifying, noun: str) -> None:
    if np.isinf(classifier.limits()).any():
        raise InputError(
            f"{classifier.bundle.name} cannot say unknown, so every {noun} would be a hit.",
            "Export it anew with --calibration.",
        )
