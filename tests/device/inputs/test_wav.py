"""Formats of .wav files: float, extensible, 24 bits, A-law, mu-law and compressed ones, from files and pipes."""

from __future__ import annotations

import io
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.device import tone

from edge_meta.errors import InputError
from edge_meta.inputs import ArrayInput, AudioInput, ImageInput, InputSpec
from edge_meta.inputs.audio_files import read_audio
from edge_meta.inputs.wav import decode, read_blocks, read_format, write_wav

TONE = tone(500, 16000, 800)
GUID_END = bytes.fromhex("000000001000800000aa00389b71")


def riff(content: bytes, tag: int, bits: int, channels: int = 1, rate: int = 16000, extensible: bool = False) -> bytes:
    """A .wav file with a chunk of odd length before its samples."""
    align = channels * bits // 8
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, channels, rate, rate * align, align, bits)
    if extensible:
        form += struct.pack("<HHIH", 22, bits, 0, tag) + GUID_END
    chunks = b"".join(
        name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
        for name, body in ((b"LIST", b"abc"), (b"fmt ", form), (b"data", content), (b"id3 ", b"more"))
    )
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def three_bytes(values: NDArray[np.float64]) -> bytes:
    return np.rint(values * 256).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(
    ("content", "tag", "bits"),
    [
        ((TONE / 32768).astype("<f4").tobytes(), 3, 32),
        ((TONE / 32768).astype("<f8").tobytes(), 3, 64),
        (three_bytes(TONE), 1, 24),
        (np.rint(TONE * 65536).astype("<i4").tobytes(), 1, 32),
        (np.rint(TONE).astype("<i2").tobytes(), 1, 16),
    ],
    ids=["float32", "float64", "24 bits", "32 bits", "16 bits"],
)
def test_every_format_gives_the_same_samples(tmp_path: Path, content: bytes, tag: int, bits: int, extensible: bool) -> None:
    (tmp_path / "a.wav").write_bytes(riff(content, tag, bits, extensible=extensible))
    samples, rate = read_audio(tmp_path / "a.wav")
    np.testing.assert_array_equal(samples, np.rint(TONE))
    assert rate == 16000


@pytest.mark.parametrize(
    ("tag", "codes", "samples"),
    [
        # The values of ITU-T G.711, shifted left to 16 bits: the loudest, the quietest, one between.
        (7, [0x00, 0x80, 0xFF, 0x7F, 0x9C], [-32124, 32124, 0, 0, 9852]),
        (6, [0x2A, 0xAA, 0xD5, 0x55, 0x80], [-32256, 32256, 8, -8, 5504]),
    ],
    ids=["mu-law", "A-law"],
)
def test_codes_of_g711_stand_for_its_values(tag: int, codes: list[int], samples: list[int]) -> None:
    stream = io.BytesIO(riff(bytes(codes), tag, 8))
    assert decode(bytes(codes), read_format(stream)).tolist() == samples


def test_stereo_float_is_averaged_and_clipped(tmp_path: Path) -> None:
    content = np.array([[0.5, 0.25], [1.5, 1.5], [-3, -3]], "<f4").tobytes()
    (tmp_path / "a.wav").write_bytes(riff(content, 3, 32, channels=2))
    assert read_audio(tmp_path / "a.wav")[0].tolist() == [12288, 32767, -32768]


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 96000, 192000])
def test_every_usual_rate_is_resampled(tmp_path: Path, rate: int) -> None:
    content = (tone(500, rate, rate) / 32768).astype("<f4").tobytes()
    (tmp_path / "a.wav").write_bytes(riff(content, 3, 32, rate=rate))
    read = AudioInput(16000, 16000).read(tmp_path / "a.wav")
    assert np.abs(read[200:-200] - tone(500, 16000, 16000)[200:-200]).max() < 30


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (riff(b"\0" * 64, 85, 16), "it is compressed, MP3"),
        (riff(b"\0" * 64, 17, 4), "it is compressed, IMA ADPCM"),
        (riff(b"\0" * 64, 999, 16), "its format, number 999, is unknown"),
        (riff(b"\0" * 64, 3, 16), "float samples of 16 bits are not read"),
        (riff(b"\0" * 64, 1, 16, channels=0), "it has no channels"),
        (riff(np.full(9, np.nan, "<f4").tobytes(), 3, 32), "not finite, or far outside of -1 to 1"),
        (riff(np.full(9, 9999, "<f4").tobytes(), 3, 32), "not finite, or far outside of -1 to 1"),
        (riff(b"\0" * 64, 1, 16, extensible=True).replace(GUID_END, bytes(14)), "its extensible format is unknown"),
        (b"RIFF\0\0\0\0WAVEdata\4\0\0\0abcd", "its samples come before their format"),
        (b"ID3", "it does not start like a .wav file"),
    ],
    ids=["mp3", "adpcm", "unknown", "float16", "no channels", "nan", "integers", "guid", "no format", "other"],
)
def test_other_formats_are_refused_in_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_audio(tmp_path / "a.wav")
    assert caught.value.cause.startswith(f"{tmp_path / 'a.wav'} is not a readable recording: ")
    assert said in caught.value.cause


class Pipe(io.BytesIO):
    """A stream that gives its content in parts of 7 bytes and cannot be sought."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 7, 7))

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation("seek")


def test_a_pipe_without_known_length_is_read_to_its_end() -> None:
    content = np.rint(TONE).astype("<i2").tobytes()
    whole = riff(content, 1, 16)[:-12].replace(struct.pack("<I", len(content)), b"\xff\xff\xff\xff")
    stream = Pipe(whole)
    blocks = list(read_blocks(stream, read_format(stream), frames=300))
    assert [len(block) for block in blocks] == [300, 300, 200]
    np.testing.assert_array_equal(np.concatenate(blocks)[:, 0], np.rint(TONE))


@pytest.mark.parametrize(
    ("spec", "file", "said"),
    [
        (ImageInput(28, 28, 1), "yes.wav", "This bundle takes images; yes.wav is sound."),
        (AudioInput(100), "Photo.JPG", "This bundle takes recordings; Photo.JPG is an image."),
        (AudioInput(100), "x.npy", "This bundle takes recordings; x.npy is an array."),
        (ArrayInput((3,)), "yes.flac", "This bundle takes arrays; yes.flac is sound."),
        (ImageInput(28, 28, 1), "film.mp4", "This bundle takes images; film.mp4 is video."),
    ],
)
def test_another_sense_is_refused_in_one_sentence(spec: InputSpec, file: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        spec.read(file)
    assert caught.value.cause == said


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    samples = np.array([0, 1, -1, 32767, -32768, 12], np.int16)
    (tmp_path / "a.wav").write_bytes(write_wav(samples, 22050))
    read, rate = read_audio(tmp_path / "a.wav")
    np.testing.assert_array_equal(read, samples)
    assert rate == 22050
    with wave.open(str(tmp_path / "a.wav")) as file:  # and another program reads it
        assert file.readframes(6) == samples.tobytes()
