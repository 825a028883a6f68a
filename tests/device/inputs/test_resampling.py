"""Sample rates and windows of recordings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.device import tone

from edge_meta.errors import InputError
from edge_meta.inputs.resampling import CHUNK, fit, resample

RAMP = np.linspace(-32768, 32767, 500).astype(np.int16)


@pytest.mark.parametrize(("rate", "target"), [(44100, 16000), (48000, 16000), (8000, 16000), (16000, 22050), (11025, 16000)])
def test_resampling_keeps_tones_that_both_rates_can_hold(rate: int, target: int) -> None:
    for hertz in (110.0, 0.35 * min(rate, target)):
        resampled = resample(np.rint(tone(hertz, rate, rate // 2)).astype(np.int16), rate, target)
        assert len(resampled) == round(rate // 2 * target / rate)
        inner = slice(200, -200)
        wanted = tone(hertz, target, len(resampled))
        assert np.abs(resampled[inner] - wanted[inner]).max() < 25  # of 10000, −52 dB


def test_resampling_takes_out_what_the_lower_rate_cannot_hold() -> None:
    resampled = resample(np.rint(tone(11000, 44100, 44100)).astype(np.int16), 44100, 16000)
    assert np.abs(resampled[200:-200]).max() < 25


def test_the_same_rate_changes_nothing_and_noise_does_not_wrap() -> None:
    assert resample(RAMP, 16000, 16000) is RAMP
    loud = np.where(np.arange(4000) // 400 % 2, 32767, -32768).astype(np.int16)
    resampled = resample(loud, 16000, 32000)
    for plateau in range(10):  # each rings beyond full scale next to its ends
        assert set(np.sign(resampled[800 * plateau + 2 : 800 * plateau + 798])) == {1 if plateau % 2 else -1}
    assert len(resample(RAMP[:1], 48000, 8000)) == 1


def test_a_window_is_filled_with_zeros_or_the_loudest_stretch() -> None:
    np.testing.assert_array_equal(fit(RAMP, 600), np.concatenate([RAMP, np.zeros(100)]))
    np.testing.assert_array_equal(fit(RAMP, 500), RAMP)
    quiet = np.full(1000, 3, np.int16)
    quiet[640:700] = -32768
    np.testing.assert_array_equal(fit(quiet, 60), quiet[640:700])
    np.testing.assert_array_equal(fit(np.ones(1000, np.int16), 60), np.ones(60))


@given(st.integers(1, 3 * CHUNK), st.integers(1, 2 * CHUNK), st.integers(0, 9))
def test_the_loudest_stretch_is_the_first_of_most_energy(count: int, window: int, seed: int) -> None:
    samples = np.random.default_rng(seed).integers(-2, 3, count).astype(np.int16)
    energy = np.convolve(samples.astype(np.int64) ** 2, np.ones(window, np.int64), "valid") if count > window else [0]
    start = int(np.argmax(energy))
    np.testing.assert_array_equal(fit(samples, window)[: count - start], samples[start : start + window])


def test_a_long_filter_gives_the_same_in_smaller_chunks() -> None:
    rng = np.random.default_rng(0)
    samples = rng.integers(-20000, 20000, 400_000).astype(np.int16)
    whole = resample(samples, 768_000, 4_000)
    parts = [resample(samples[first : first + 100_000], 768_000, 4_000) for first in range(0, 400_000, 96_000)]
    inner = 40  # outputs next to a cut see zeros beyond it
    for part, first in zip(parts, range(0, 2000, 500), strict=False):
        np.testing.assert_array_equal(part[inner : 500 - inner], whole[first + inner : first + 500 - inner])


@pytest.mark.parametrize(("rate", "target"), [(767_999, 16_000), (768_000, 1), (16_000, 999_983)])
def test_rates_that_need_too_many_filters_are_refused(rate: int, target: int) -> None:
    with pytest.raises(InputError, match=r"bell\.wav has 500 samples .*takes too much"):
        resample(RAMP, rate, target, "bell.wav")
