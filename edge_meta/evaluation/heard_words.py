"""Judge what was heard in a stream by what was said in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edge_meta.evaluation.interval import Share
from edge_meta.runtime.results import Event

LATE = 1.0  # seconds after a word's end in which a hit is still of it: a window's length


class HeardWord(NamedTuple):
    """A word of a stream, and the first hit that is of it.

    Attributes:
        start, end: in seconds.
        stranger: whether it is no label.
        hit: None if nothing was heard.
    """

    word: str
    start: float
    end: float
    stranger: bool
    hit: Event | None

    @property
    def right(self) -> bool:
        return self.hit is not None and self.hit.label == self.word


@dataclass(frozen=True)
class HeardStream:
    """A stream's words in order, and hits that are of none of them, or not the first of one."""

    words: Sequence[HeardWord]
    others: Sequence[Event]

    @property
    def right(self) -> Share:
        """Of the words that are labels: those whose first hit is their own label."""
        return Share(*self._count([word for word in self.words if not word.stranger], taken=False))

    @property
    def taken(self) -> Share:
        """Of the strangers: those that were heard as some label."""
        return Share(*self._count([word for word in self.words if word.stranger], taken=True))

    @property
    def mistaken(self) -> int:
        """Words that are labels, and were heard as another."""
        return sum(not word.stranger and word.hit is not None and not word.right for word in self.words)

    @staticmethod
    def _count(words: Sequence[HeardWord], taken: bool) -> tuple[int, int]:
        return sum(word.hit is not None if taken else word.right for word in words), len(words)


def judge_stream(said: Iterable[tuple[str, float, float]], hits: Sequence[Event], labels: Collection[str]) -> HeardStream:
    """Give each hit to the word that began last before it, if that has not ended more than a second ago.

    Args:
        said: words, and the seconds at which they begin and end, in order.
        labels: that are enrolled; other words are strangers.
    """
    words = [HeardWord(word, start, end, word not in labels, None) for word, start, end in said]
    others = []
    for hit in hits:
        at = sum(word.start < hit.time for word in words) - 1
        if at >= 0 and words[at].hit is None and hit.time <= words[at].end + LATE:
            words[at] = words[at]._replace(hit=hit)
        else:
            others.append(hit)
    return HeardStream(words, others)
