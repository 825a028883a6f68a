"""Cut recordings at their pauses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.calls import RATE, write_wav

from edge_meta.errors import InputError
from edge_meta.inputs import AudioInput
from edge_meta.inputs.pauses import find_sounds, read_cut

SPEC = AudioInput(RATE, RATE)
LASTS = 0.4  # seconds, of each sound


def said(starts: list[float], seconds: float, noise: float = 12, loud: float = 6000, rate: int = RATE) -> NDArray[np.int16]:
    """A recording with a tone burst of 0.4 s at each start, in noise."""
    rng = np.random.default_rng(0)
    sound = rng.normal(0, noise, round(seconds * rate))
    for number, start in enumerate(starts):
        at = np.arange(round(LASTS * rate))
        burst = loud / (1 + number) * np.sin(2 * np.pi * 500 * at / rate)
        sound[round(start * rate) :][: len(burst)] += burst
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("noise", [0, 12, 100])
def test_sounds_are_found_to_a_few_hundredths_of_a_second(noise: float) -> None:
    starts = [0.5, 1.6, 2.9]
    found = np.array(find_sounds(said(starts, 4.0, noise), RATE)) / RATE
    np.testing.assert_allclose(found[:, 0], starts, atol=0.05)
    np.testing.assert_allclose(found[:, 1], np.add(starts, LASTS), atol=0.05)


def test_a_short_gap_joins_and_a_click_is_none() -> None:
    recording = said([0.5, 1.1, 2.5], 4.0)  # 0.2 s between the first two
    recording[RATE * 37 // 10] = 20000
    assert len(find_sounds(recording, RATE)) == 2


def test_sounds_at_the_ends_are_found() -> None:
    assert len(find_sounds(said([0.0, 1.6], 2.0), RATE)) == 2


@pytest.mark.parametrize("samples", [said([], 2.0), np.zeros(RATE, np.int16), np.zeros(3, np.int16)])
def test_noise_and_silence_hold_no_sound(samples: NDArray[np.int16], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No sound in .* stands out from its noise"):
        read_cut(SPEC, write_wav(tmp_path / "quiet.wav", samples))


def test_cuts_hold_one_sound_each_with_what_surrounds_it(tmp_path: Path) -> None:
    recording = said([0.2, 0.95, 2.5], 4.0)
    cuts = read_cut(SPEC, write_wav(tmp_path / "three.wav", recording))
    assert [len(find_sounds(cut.samples, RATE)) for cut in cuts] == [1, 1, 1]
    # The first two share the pause between them; the last one has a window of its own, with the sound in its middle.
    between = (cuts[0].end + cuts[1].start) / 2
    np.testing.assert_array_equal(cuts[0].samples, recording[: round(between * RATE)])
    middle = (cuts[2].start + cuts[2].end) / 2
    np.testing.assert_array_equal(cuts[2].samples, recording[round((middle - 0.5) * RATE) : round((middle + 0.5) * RATE)])


def test_other_rates_are_resampled(tmp_path: Path) -> None:
    cuts = read_cut(SPEC, write_wav(tmp_path / "fast.wav", said([0.5, 2.0], 3.0, rate=44100), 44100))
    np.testing.assert_allclose([cut.start for cut in cuts], [0.5, 2.0], atol=0.05)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="is a"):
        read_cut(SPEC, tmp_path / "a.png")
