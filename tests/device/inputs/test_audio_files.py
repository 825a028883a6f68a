"""Recordings: sound files of every kind that devices make, sample rates, and windows."""

from __future__ import annotations

import sys
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_meta.errors import BackendError, InputError
from edge_meta.inputs import AudioInput
from edge_meta.inputs.audio_files import SUFFIXES, fit, read_audio, resample, to_int16

Samples = NDArray[np.int16]

RAMP = np.linspace(-32768, 32767, 500).astype(np.int16)


def wav(folder: Path, content: bytes, width: int = 2, channels: int = 1, rate: int = 16000) -> Path:
    """Write samples of `width` bytes as a .wav file into a folder."""
    path = folder / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(content)
    return path


def tone(hertz: float, rate: int, count: int) -> NDArray[np.float64]:
    return 10000.0 * np.sin(2 * np.pi * hertz * np.arange(count) / rate)


# --- files ------------------------------------------------------------------------------------------------------------


def test_every_width_of_pcm_is_read_alike(tmp_path: Path) -> None:
    wide = RAMP.astype("<i4") << 16
    three = np.stack([np.full(500, 7, np.uint8), *wide.view(np.uint8).reshape(-1, 4)[:, 2:].T], axis=1)
    eight = ((RAMP >> 8) + 128).astype(np.uint8)
    for content, width in ((RAMP.astype("<i2"), 2), (wide, 4), (three, 3)):
        samples, rate = read_audio(wav(tmp_path, content.tobytes(), width, rate=8000))
        np.testing.assert_array_equal(samples, RAMP)
        assert (samples.dtype, rate) == (np.int16, 8000)
    np.testing.assert_array_equal(read_audio(wav(tmp_path, eight.tobytes(), 1))[0], (RAMP >> 8) << 8)


def test_channels_are_averaged(tmp_path: Path) -> None:
    both = np.stack([RAMP, np.full(500, 100, np.int16)], axis=1)
    wanted = np.rint((RAMP.astype(float) + 100) / 2)
    np.testing.assert_array_equal(read_audio(wav(tmp_path, both.astype("<i2").tobytes(), channels=2))[0], wanted)


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "no samples", "float", "header"])
def test_what_is_no_recording_is_an_error_that_names_the_file(tmp_path: Path, kind: str) -> None:
    whole = wav(tmp_path, RAMP.tobytes()).read_bytes()
    path = tmp_path / f"{kind}.wav"
    contents = {
        "empty": b"", "text": b"no sound at all", "no samples": wav(tmp_path, b"").read_bytes(), "header": whole[:20],
        "float": whole[:20] + b"\x03\0" + whole[22:],
    }  # fmt: skip
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(contents[kind])
    with pytest.raises(InputError) as caught:
        read_audio(path)
    assert str(path) in caught.value.cause


@pytest.mark.parametrize("end", [50, 300, 1043])
def test_a_file_cut_short_gives_what_is_there_or_an_error(tmp_path: Path, end: int) -> None:
    path = wav(tmp_path, RAMP.tobytes())
    path.write_bytes(path.read_bytes()[:end])
    samples, _ = read_audio(path)
    np.testing.assert_array_equal(samples, RAMP[: (end - 44) // 2])


def test_flac_needs_soundfile_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(BackendError, match=r'a\.flac needs soundfile.*pip install "edge-meta\[audio\]"'):
        read_audio(tmp_path / "a.flac")


def test_flac_is_read_through_soundfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(file: Any, dtype: str, always_2d: bool) -> tuple[Samples, int]:
        if file.read() != b"fLaC":
            raise RuntimeError("unknown format")
        assert (dtype, always_2d) == ("int16", True)
        return RAMP[:, None], 44100

    monkeypatch.setitem(sys.modules, "soundfile", SimpleNamespace(read=read))
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    samples, rate = read_audio(tmp_path / "a.flac")
    np.testing.assert_array_equal(samples, RAMP)
    assert rate == 44100
    (tmp_path / "b.flac").write_bytes(b"other")
    with pytest.raises(InputError, match=r"b\.flac is not a readable recording .*unknown format"):
        read_audio(tmp_path / "b.flac")
    with pytest.raises(InputError, match=r"c\.flac does not exist"):
        read_audio(tmp_path / "c.flac")


# --- sample rates and windows -----------------------------------------------------------------------------------------


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


# --- the input --------------------------------------------------------------------------------------------------------


def test_files_and_arrays_of_one_recording_are_read_alike(tmp_path: Path) -> None:
    audio = AudioInput(300, 16000)
    path = wav(tmp_path, RAMP.astype("<i2").tobytes())
    wanted = fit(RAMP, 300)
    for recording in (path, str(path), RAMP, RAMP.astype(np.float64) / 32768, (RAMP / np.float32(32768)).tolist()):
        np.testing.assert_array_equal(audio.read(recording), wanted)
    assert [len(read) for read in audio.read_all([path, RAMP])] == [300, 300]
    assert len(audio.read_all(np.zeros((4, 100), np.int16))) == 4
    values = audio.normalize(np.array([-32768, 0, 16384], np.int16))
    assert (values.tolist(), values.dtype) == ([-1.0, 0.0, 0.5], np.float32)


def test_a_file_of_another_rate_is_resampled(tmp_path: Path) -> None:
    path = wav(tmp_path, np.rint(tone(500, 48000, 48000)).astype("<i2").tobytes(), rate=48000)
    read = AudioInput(16000, 16000).read(path)
    assert np.abs(read[200:-200] - tone(500, 16000, 16000)[200:-200]).max() < 25


@pytest.mark.parametrize(
    "recording",
    [
        np.zeros((2, 100), np.int16), np.zeros(0, np.int16), np.zeros(100, np.int32), np.zeros(100, np.uint8),
        np.full(100, 20000.0), np.full(100, np.nan), np.array(["a"]), None, [[1.0], [1.0, 2.0]],
    ],
    ids=["stereo", "empty", "int32", "uint8", "range of int16", "nan", "text", "nothing", "ragged"],
)  # fmt: skip
def test_wrong_rank_dtype_or_range_is_an_error(recording: Any) -> None:
    with pytest.raises(InputError):
        AudioInput(100).read(recording)


@pytest.mark.parametrize("recordings", ["a.wav", Path("a.wav"), np.zeros(100, np.int16), 7])
def test_one_recording_is_not_several(recordings: Any) -> None:
    with pytest.raises(InputError):
        AudioInput(100).read_all(recordings)


def test_float_samples_a_little_above_full_scale_are_clipped() -> None:
    assert to_int16(np.array([1.0, 1.2, -1.3])).tolist() == [32767, 32767, -32768]


def test_suffixes_are_those_of_the_datasets_contract() -> None:
    assert {".wav", ".flac"} == SUFFIXES
