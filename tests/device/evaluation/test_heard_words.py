"""Hits in a stream are of the words that they follow."""

from __future__ import annotations

import pytest

from edge_meta.evaluation.heard_words import judge_stream
from edge_meta.runtime.results import Event

SAID = [("lamp", 1.0, 1.5), ("door", 3.0, 3.6), ("fork", 5.0, 5.5), ("lamp", 9.0, 9.5)]


def hit(time: float, label: str) -> Event:
    return Event(time, label, 0.9, 1.0)


def test_hits_are_counted_by_the_words_that_were_said() -> None:
    hits = [hit(1.6, "lamp"), hit(3.7, "lamp"), hit(5.6, "door")]
    heard = judge_stream(SAID, hits, ["lamp", "door"])
    assert [word.hit for word in heard.words] == [*hits, None]
    assert (heard.right.count, heard.right.out_of, heard.mistaken) == (1, 3, 1)
    assert (heard.taken.count, heard.taken.out_of) == (1, 1)
    assert heard.others == []


@pytest.mark.parametrize("time", [0.9, 2.6, 8.0])
def test_a_hit_before_or_long_after_a_word_is_of_none(time: float) -> None:
    heard = judge_stream(SAID, [hit(time, "lamp")], ["lamp", "door"])
    assert [each.time for each in heard.others] == [time]
    assert heard.right.count == 0


def test_a_second_hit_of_a_word_is_counted_apart() -> None:
    heard = judge_stream(SAID, [hit(1.3, "door"), hit(1.6, "lamp")], ["lamp", "door"])
    assert (heard.right.count, heard.mistaken, len(heard.others)) == (0, 1, 1)
