"""Recordings: sound files of every kind that devices make, sample rates, and windows."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.device import tone, wav

from edge_meta.errors import BackendError, InputError
from edge_meta.inputs import AudioInput
from edge_meta.inputs.audio_files import SUFFIXES, read_audio, to_int16
from edge_meta.inputs.resampling import fit

Samples = NDArray[np.int16]

RAMP = np.linspace(-32768, 32767, 500).astype(np.int16)


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
    class SoundFile:
        """RAMP, in blocks."""

        def __init__(self, file: Any) -> None:
            if file.read() != b"fLaC":
                raise RuntimeError("unknown format")
            self.samplerate, self.channels, self.left = 44100, 1, RAMP

        def __enter__(self) -> SoundFile:
            return self

        def __exit__(self, *raised: object) -> None:
            self.left = RAMP[:0]

        def read(self, frames: int, dtype: str, always_2d: bool) -> Samples:
            assert (dtype, always_2d) == ("int16", True)
            block, self.left = self.left[: min(frames, 300)], self.left[min(frames, 300) :]
            return block[:, None]

    monkeypatch.setitem(sys.modules, "soundfile", SimpleNamespace(SoundFile=SoundFile))
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    samples, rate = read_audio(tmp_path / "a.flac")
    np.testing.assert_array_equal(samples, RAMP)
    assert rate == 44100
    (tmp_path / "b.flac").write_bytes(b"other")
    with pytest.raises(InputError, match=r"b\.flac is not a readable recording .*unknown format"):
        read_audio(tmp_path / "b.flac")
    with pytest.raises(InputError, match=r"c\.flac does not exist"):
        read_audio(tmp_path / "c.flac")


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
