"""A stream of sound becomes hits: a ring buffer, a voice gate, a smoother, and all of them with the bundle for words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.calls import RATE, call

from edge_meta import Classifier
from edge_meta.errors import InputError, LabelError
from edge_meta.inputs import AudioInput
from edge_meta.runtime.listener import Listener, ListenerOptions
from edge_meta.runtime.results import Prediction
from edge_meta.runtime.ring_buffer import RingBuffer
from edge_meta.runtime.smoother import Smoother
from edge_meta.runtime.streaming import listener
from edge_meta.runtime.voice_gate import VoiceGate

LABELS = ("up", "down", "twice")
QUIET = 12  # of noise


def noise(seconds: float, seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).normal(0, QUIET, int(seconds * RATE)).astype(np.int16)


def known(label: str | None, score: float = 0.5) -> Prediction:
    return Prediction(label, score, 1.0)


# The parts


@pytest.mark.parametrize("size", [1, 7, 40])
def test_the_ring_buffer_holds_the_last_samples(size: int) -> None:
    ring, stream = RingBuffer(16), np.arange(1, 200, dtype=np.int16)
    for first in range(0, len(stream), size):
        ring.push(stream[first : first + size])
        wanted = np.concatenate([np.zeros(16, np.int16), stream[: first + size]])[-16:]
        np.testing.assert_array_equal(ring.window(), wanted)


def test_two_of_three_windows_make_a_hit_with_their_mean_score() -> None:
    smoother = Smoother(2, 3, rest=2)
    assert [smoother(known("a", 0.4)), smoother(known("b"))] == [None, None]
    assert smoother(known("a", 0.8)) == ("a", pytest.approx(0.6))


def test_after_a_hit_there_is_a_rest() -> None:
    smoother = Smoother(1, 1, rest=2)
    assert [smoother(known("a")) is not None for _ in range(7)] == [True, False, False, True, False, False, True]


def test_unknown_windows_and_a_closed_gate_make_no_hit() -> None:
    smoother = Smoother(2, 3, rest=0)
    assert [smoother(each) for each in (known("a"), None, known(None), known("a"), known(None))] == [None] * 5


def test_the_gate_opens_above_the_noise_and_closes_after_a_while() -> None:
    gate = VoiceGate(above=6.0, step=0.1, hold=3)
    quiet = [gate(noise(0.1, seed)) for seed in range(60)]
    assert not any(quiet[5:])
    assert gate((noise(0.1) * 30).astype(np.int16))
    assert [gate(noise(0.1, seed)) for seed in range(4)] == [True, True, False, False]


def test_the_gate_gets_used_to_a_louder_place() -> None:
    gate = VoiceGate(above=6.0, step=0.1, hold=1)
    opened = [gate((noise(0.1, seed) * 10).astype(np.int16)) for seed in range(100)]
    assert opened[0]
    assert not any(opened[-20:])


# The whole


@pytest.fixture
def keywords(tmp_path: Path) -> Iterator[Classifier]:
    with Classifier.load("keywords", tmp_path / "store.db") as classifier:
        for kind, label in enumerate(LABELS):
            classifier.enroll(label, [call(kind, take, at=at) for take in range(3) for at in (0.1, 0.3, 0.5)])
        yield classifier


def recording(kinds: list[int]) -> NDArray[np.int16]:
    """Two seconds of noise, and a call with as much noise behind it, for each kind."""
    parts = [noise(2.0)]
    for place, kind in enumerate(kinds):
        parts += [call(kind, 5 + place, at=0.3) + noise(1.0, place), noise(1.5, place)]
    return np.concatenate(parts)


@pytest.mark.parametrize("block", [160, 1600, 5000])
def test_calls_in_noise_are_heard_once_each(keywords: Classifier, block: int) -> None:
    sound, kinds = recording([0, 2, 1]), [0, 2, 1]
    blocks = (sound[first : first + block] for first in range(0, len(sound), block))
    events = list(keywords.stream(blocks))
    assert [event.label for event in events] == [LABELS[kind] for kind in kinds]
    for place, event in enumerate(events):
        assert 2.0 < event.time - 2.5 * place < 4.0
        assert 0 < event.score <= 1
        assert event.latency_ms > 0


def test_silence_is_hardly_worked_for(keywords: Classifier) -> None:
    heard = listener(keywords)
    assert heard.feed(noise(10.0)) == []
    assert heard.windows < 20


def test_float_blocks_are_heard_as_integers_are(keywords: Classifier) -> None:
    sound = recording([1])
    told: list[str] = []
    (event,) = keywords.stream([sound / np.float32(32768)], on_event=lambda each: told.append(each.label))
    assert (event.label, told) == ("down", ["down"])


def test_what_no_stream_can_be_is_refused(keywords: Classifier, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is mono"):
        listener(keywords).feed(np.zeros((10, 2), np.int16))
    with pytest.raises(InputError, match="hop"):
        listener(keywords, hop=0)
    with pytest.raises(InputError, match="votes"):
        ListenerOptions(votes=4, of=3)
    with Classifier.load("omniglot", tmp_path / "letters.db") as letters, pytest.raises(InputError, match="takes images"):
        listener(letters)


def test_with_nothing_enrolled_a_sound_is_an_error(tmp_path: Path) -> None:
    with Classifier.load("keywords", tmp_path / "empty.db") as empty, pytest.raises(LabelError, match="enrolled"):
        list(empty.stream([recording([0])]))


def test_the_latency_is_counted_from_the_last_samples() -> None:
    ticks = iter(range(100))
    options = ListenerOptions(hop=0.05, votes=1, of=1, gate=-200)
    heard = Listener(AudioInput(1600, RATE), lambda window: known("a"), options, clock=lambda: next(ticks))
    events = heard.feed(np.full(800, 1000, np.int16))
    assert [event.latency_ms for event in events] == [1000.0]
