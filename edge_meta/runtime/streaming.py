"""Listen to a stream with a classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np

from edge_meta.errors import InputError
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.listener import Listener, ListenerOptions
from edge_meta.runtime.results import Event, Result
from edge_meta.types import Array64


class Classifying(Protocol):
    """The part of a `Classifier` that listening needs."""

    bundle: Bundle

    def classify(self, image: Any, top_k: int = 3) -> Result: ...

    def limits(self) -> Array64: ...


def stream(
    classifier: Classifying, blocks: Iterable[Any], on_event: Callable[[Event], object] | None = None, **options: Any
) -> Iterator[Event]:
    """Yield what is heard in blocks of samples (n,), mono, at the encoder's rate; int16, or float from −1 to 1.

    Args:
        on_event: called with each event, before it is yielded.
        options: fields of `ListenerOptions`.

    Raises:
        InputError: the bundle takes no recordings or cannot say unknown, a block is not as said, or an option is out of
            range.
        LabelError: nothing is enrolled.
    """
    return listener(classifier, on_event, **options).events(blocks)


def listener(classifier: Classifying, on_event: Callable[[Event], object] | None = None, **options: Any) -> Listener:
    """Make the listener of a classifier, to feed it block by block; arguments and errors are those of `stream`."""
    made = Listener(
        classifier.bundle.manifest.input_spec,
        lambda window: classifier.classify(window, 1).best,
        ListenerOptions(**options),
        on_event,
    )
    if np.isinf(classifier.limits()).any():
        raise InputError(
            f"{classifier.bundle.name} cannot say unknown, so every sound would be a hit.",
            "Export it anew with --calibration.",
        )
    return made
