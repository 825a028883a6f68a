"""Small files that claim, or unpack to, far more than they are: each is refused before its cost is paid.

A new process reads each, so that its peak memory is this file's.
"""

from __future__ import annotations

import io
import struct
import sys
import zipfile
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


def tiff(path: Path, side: int, tile: int) -> Path:
    """Write a gray TIFF image whose one tile of zeros is larger than the image."""
    deflate = zlib.compressobj(9)
    content = b"".join(deflate.compress(bytes(tile)) for _ in range(tile)) + deflate.flush()
    tags = {256: side, 257: side, 258: 8, 259: 8, 262: 1, 277: 1, 322: tile, 323: tile, 324: 8, 325: len(content)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(content)) + content + directory)
    return path


def test_a_tile_far_larger_than_its_image_is_refused(tmp_path: Path) -> None:
    assert said_in_bounds(tmp_path, IMAGE, tiff(tmp_path / "a.tif", 64, 64), megabytes=20) == "(28, 28, 3)"
    large = tiff(tmp_path / "b.tif", 64, 16_384)
    assert f"{large} has more than 67,108,864 pixels" in said_in_bounds(tmp_path, IMAGE, large, megabytes=20)


@pytest.mark.parametrize("file_format", ["ICO", "EPS", "PPM"])
def test_a_format_that_is_not_in_the_list_is_refused(tmp_path: Path, file_format: str) -> None:
    path = tmp_path / "image.png"
    Image.new("RGB", (16, 16)).save(path, format=file_format)
    assert f"{path} is not a readable image" in said_in_bounds(tmp_path, IMAGE, path, megabytes=20)


def test_an_array_of_a_longer_side_is_refused(tmp_path: Path) -> None:
    code = "print(ImageInput(28, 28).read(np.zeros((1, 65_537), np.uint8)))"
    assert "has more than 65,536 on a side" in said_in_bounds(tmp_path, code, megabytes=20)


# --- arrays and archives ----------------------------------------------------------------------------------------------

ARRAY = "print(ArrayInput((3, 4)).read(sys.argv[1]).shape)"
NPZ = "print(load_dataset(f'npz:{sys.argv[1]}', 'all', ArrayInput((3, 4))).examples.shape)"


def claiming(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    """A .npy file of no values whose header claims a shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": dtype})
    return file.getvalue()


def npz(path: Path, **members: bytes) -> Path:
    """Write an .npz file of members as given, packed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize("shape", [(3, 5), (2**31, 4), (2**62, 2**62), (-1,)])
@pytest.mark.parametrize("dtype", ["<f4", "|O", "|V0", "<U9"])
def test_an_array_that_claims_more_than_its_file_is_refused(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(claiming(shape, dtype))
    assert f"{path} is not a readable .npy file" in said_in_bounds(tmp_path, ARRAY, path, megabytes=20)
    inside = npz(tmp_path / "a.npz", x=claiming(shape, dtype), y=claiming((0,)))
    assert f"{inside} is not an .npz file" in said_in_bounds(tmp_path, NPZ, inside, megabytes=20)


def test_an_array_of_too_many_values_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with open(path, "wb") as file:
        file.write(claiming((2**28 + 1,)))
        file.truncate(2**30 + 1000)  # zeros that take no disk
    assert "has 268,435,457 values; at most 67,108,864" in said_in_bounds(tmp_path, ARRAY, path, megabytes=20)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path: Path, method: int) -> None:
    path = tmp_path / "zeros.npz"
    with zipfile.ZipFile(path, "w", method) as archive, archive.open("x.npy", "w") as member:
        member.write(claiming((2**24, 3, 4), "|u1"))
        for _ in range(12):
            member.write(bytes(2**24))
    assert path.stat().st_size < 2**20
    assert "more than 200 times its size" in said_in_bounds(tmp_path, NPZ, path, megabytes=30)


def test_an_archive_of_more_than_four_gibibytes_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "many.npz", x=claiming((0, 3, 4)), y=claiming((0,)))
    content = path.read_bytes()
    at = content.index(b"PK\x01\x02") + 20
    path.write_bytes(content[:at] + struct.pack("<II", 2**32 - 2, 2**32 - 2) + content[at + 8 :])  # sizes in the directory
    said = said_in_bounds(tmp_path, NPZ, path, megabytes=20)
    assert "bytes; at most 4,294,967,296 are read" in said


@pytest.mark.parametrize("dataset", ["omniglot", "lake"])
def test_a_dataset_archive_that_unpacks_to_far_more_is_refused(tmp_path: Path, dataset: str) -> None:
    name = {"omniglot": "images_evaluation", "lake": "all_runs"}[dataset]
    (tmp_path / "omniglot").mkdir()
    with zipfile.ZipFile(tmp_path / "omniglot" / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for member in (f"{name}/Latin/character01/a.png", "run01/class_labels.txt"):
            archive.writestr(member, bytes(2**26))
    code = "import os; os.environ['EDGE_META_DATA'] = '.'; print(load_dataset(sys.argv[1], 'test'))"
    assert "is damaged" in said_in_bounds(tmp_path, code, dataset, megabytes=20)
