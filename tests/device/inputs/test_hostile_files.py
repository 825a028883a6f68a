"""Small files that claim, or unpack to, far more than they are: each is refused before its cost is paid.

A new process reads each, so that its peak memory is this file's.
"""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.device import said_in_bounds, wav

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak memory of a process is read from /proc")

IMAGE = "print(ImageInput(28, 28, 3).read(sys.argv[1]).shape)"
AUDIO = "print(AudioInput(16000).read(sys.argv[1]).shape)"


def lying(path: Path, rate: int | None = None, channels: int | None = None, size: int | None = None) -> Path:
    """Change a .wav file's header."""
    content = bytearray(path.read_bytes())
    for at, form, value in ((24, "<I", rate), (22, "<H", channels), (40, "<I", size)):
        if value is not None:
            struct.pack_into(form, content, at, value)
    path.write_bytes(content)
    return path


# --- recordings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0, 1, 999, 768_001, 2**32 - 1])
def test_a_sample_rate_out_of_range_is_refused(tmp_path: Path, rate: int) -> None:
    path = lying(wav(tmp_path, bytes(4000)), rate=rate)
    said = said_in_bounds(tmp_path, AUDIO, path, megabytes=20)
    assert f"{path} has a sample rate of {rate:,} Hz; 1,000 to 768,000 Hz are read." in said


@pytest.mark.parametrize("rate", [1_000, 47_999, 767_999, 768_000])
def test_any_rate_in_range_is_read_or_refused_cheaply(tmp_path: Path, rate: int) -> None:
    path = lying(wav(tmp_path, bytes(4000)), rate=rate)
    said = said_in_bounds(tmp_path, AUDIO, path, megabytes=80)
    assert said == "(16000,)" or "takes too much to resample" in said


def test_more_samples_than_the_file_holds_are_not_awaited(tmp_path: Path) -> None:
    path = lying(wav(tmp_path, bytes(4000)), channels=65535, size=2**32 - 1)
    assert "has no samples" in said_in_bounds(tmp_path, AUDIO, path, megabytes=20)
    path = lying(wav(tmp_path, bytes(4000)), size=2**32 - 1)
    assert said_in_bounds(tmp_path, AUDIO, path, megabytes=20) == "(16000,)"


def test_a_recording_of_too_many_samples_is_refused(tmp_path: Path) -> None:
    path = lying(wav(tmp_path, b""), size=2**30)
    with open(path, "r+b") as file:
        file.truncate(2**30 + 44)  # zeros that take no disk
    assert f"{path} has more than 67,108,864 samples" in said_in_bounds(tmp_path, AUDIO, path, megabytes=20)


def test_a_long_recording_takes_a_few_times_its_size(tmp_path: Path) -> None:
    path = wav(tmp_path, np.random.default_rng(0).integers(-9, 9, 8_000_000).astype("<i2").tobytes(), rate=32_000)
    assert said_in_bounds(tmp_path, AUDIO, path, megabytes=4 * 16 + 20) == "(16000,)"


def test_a_flac_file_of_hours_of_silence_is_refused(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "silence.flac"
    with soundfile.SoundFile(path, "w", 16000, 1, "PCM_16") as file:
        for _ in range(70):
            file.write(np.zeros(1 << 20, np.int16))
    assert path.stat().st_size < 2**20
    assert "has more than 67,108,864 samples" in said_in_bounds(tmp_path, AUDIO, path, megabytes=320)


# --- images -----------------------------------------------------------------------------------------------------------


def flat_png(path: Path, width: int, height: int, rows: int) -> Path:
    """Write a black RGBA image that may have fewer rows than it claims, without making it in memory."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    deflate = zlib.compressobj(9)
    row = bytes(1 + 4 * width)
    content = b"".join(deflate.compress(row) for _ in range(rows)) + deflate.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("size", [(8193, 8192), (10_000, 9_000), (20_000, 10_000), (65_537, 1), (1, 65_537)])
def test_an_image_of_too_many_pixels_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    path = flat_png(tmp_path / "large.png", *size, rows=1)
    said = said_in_bounds(tmp_path, IMAGE, path, megabytes=20)
    assert said == f"{path} has more than 67,108,864 pixels, or more than 65,536 on a side. Make it smaller, or crop it."


@pytest.mark.parametrize("size", [(8192, 8192), (65_536, 1024), (1024, 65_536)])
def test_the_largest_image_takes_a_small_multiple_of_its_size(tmp_path: Path, size: tuple[int, int]) -> None:
    path = flat_png(tmp_path / "large.png", *size, rows=size[1])
    assert said_in_bounds(tmp_path, IMAGE, path, megabytes=2 * 256 + 64) == "(28, 28, 3)"  # 256 MB decoded


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "TIFF", "BMP", "JPEG"])
def test_a_header_that_lies_about_its_size_is_refused(tmp_path: Path, file_format: str) -> None:
    path = tmp_path / f"image.{file_format.lower()}"
    Image.new("RGB", (1021, 1013)).save(path, lossless=True)
    content = path.read_bytes()
    if file_format == "WEBP":
        fields = (1021 - 1) | (1013 - 1) << 14
        lie = content.replace(struct.pack("<I", fields), struct.pack("<I", 2**28 - 1 | fields & ~(2**28 - 1)))
    else:
        order = ">" if file_format == "JPEG" else "<"
        lie = content
        for side in (1021, 1013):
            lie = lie.replace(struct.pack(f"{order}H", side), struct.pack(f"{order}H", 60_000))
    assert lie != content
    path.write_bytes(lie)
    assert str(path) in said_in_bounds(tmp_path, IMAGE, path, megabytes=30)
