"""The results of a classifier's `classify`, `enroll` and `stream`."""

from __future__ import annotations

from typing import NamedTuple


class Prediction(NamedTuple):
    """A label for an example.

    Attributes:
        label: None if the example is unknown.
        score: the label's softmax over all enrolled labels.
        distance: the squared distance from the example's embedding to the label's prototype.
    """

    label: str | None
    score: float
    distance: float


class Result(NamedTuple):
    """The result of `classify`.

    Attributes:
        best: the answer; its label is None for an example that is too far from the nearest label, or near to one of none.
        top: the nearest labels in order, known or not.
    """

    best: Prediction
    top: list[Prediction]

    @property
    def known(self) -> bool:
        return self.best.label is not None


class Enrolled(NamedTuple):
    """The result of `enroll`.

    Attributes:
        label: empty for examples of none.
        added: the number of shots added.
        shots: the number of shots that the label has now.
        classes: the number of labels in the store.
    """

    label: str
    added: int
    shots: int
    classes: int


class Event(NamedTuple):
    """A label that was heard or seen in a stream.

    Attributes:
        time: seconds on the stream's clock: the end of the window in which it was heard, of the picture, or of the motion.
        score: the label's mean score over the windows or pictures that agree.
        latency_ms: milliseconds from when the last samples, the picture or the last rows were given, to the event.
    """

    time: float
    label: str
    score: float
    latency_ms: float
