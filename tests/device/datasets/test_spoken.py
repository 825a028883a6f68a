"""Spoken words from a seed: the synthesizer, recordings and streams."""

from __future__ import annotations

import numpy as np
import pytest

from edge_meta.datasets.spoken import RATE, WORDS, recording, stream
from edge_meta.datasets.spoken.sounds import VOWELS
from edge_meta.datasets.spoken.synthesizer import Voice, speak

MAN = Voice(pitch=100.0, scale=1.0, speed=1.0, breath=0.02, fall=0.0)


def spectrum(samples: np.ndarray) -> np.ndarray:
    """Power at each Hz."""
    return np.abs(np.fft.rfft(samples * np.hanning(len(samples)), RATE)) ** 2


@pytest.mark.parametrize("vowel", "aeiou")
def test_a_vowel_is_loud_at_its_first_formants(vowel: str) -> None:
    middle = speak(vowel, MAN, np.random.default_rng(0))[1100:2700]
    power, target = spectrum(middle), VOWELS[vowel]
    between = (target.f2 + target.f3) / 2
    for formant in (target.f1, target.f2):
        around = power[int(0.85 * formant) : int(1.15 * formant)].max()
        assert around > 5 * power[int(between) - 60 : int(between) + 60].max()


@pytest.mark.parametrize("pitch", [100.0, 220.0])
def test_a_voice_has_its_pitch(pitch: float) -> None:
    voice = Voice(pitch, 1.0, 1.0, 0.02, 0.0)
    middle = speak("a", voice, np.random.default_rng(0))[1000:3000]
    echo = np.correlate(middle, middle, "full")[len(middle) - 1 :]
    first, last = round(0.6 * RATE / pitch), round(1.6 * RATE / pitch)  # two periods are alike, too
    period = first + int(echo[first:last].argmax())
    assert RATE / period == pytest.approx(pitch, rel=0.15)


def test_a_hiss_is_higher_than_a_vowel() -> None:
    said = speak("sa", MAN, np.random.default_rng(0))
    hiss, vowel = spectrum(said[800:2000]), spectrum(said[3200:4800])
    assert hiss[5000:7500].sum() > 3 * hiss[:3000].sum()
    assert vowel[5000:7500].sum() < 0.1 * vowel[:3000].sum()


@pytest.mark.parametrize("word", WORDS)
def test_a_recording_is_a_second_with_a_word_in_it(word: str) -> None:
    first, other = (recording(word, voice) for voice in (0, 1))
    assert first.shape == (RATE,)
    assert first.dtype == np.int16
    assert 1000 < np.abs(first).max() < 32767, "neither faint nor clipped"
    loudness = np.sqrt((first.reshape(20, -1).astype(float) ** 2).mean(axis=1))
    assert loudness[3:17].max() > 2 * loudness[0], "louder in the middle"
    assert (first != other).any()


def test_a_seed_gives_the_same_recording() -> None:
    np.testing.assert_array_equal(recording("mano", 3, seed=1), recording("mano", 3, seed=1))
    assert (recording("mano", 3, seed=2) != recording("mano", 3, seed=1)).any()


def test_words_of_a_stream_lie_where_it_says() -> None:
    samples, said = stream([("suka", 0), ("mano", 1), ("lite", 2)], every=2.0)
    assert len(samples) == 8 * RATE
    assert [each.word for each in said] == ["suka", "mano", "lite"]
    for each in said:
        word = samples[round(each.start * RATE) : round(each.end * RATE)].astype(float)
        before = samples[round((each.start - 0.4) * RATE) : round(each.start * RATE)].astype(float)
        assert word.std() > 3 * before.std()
