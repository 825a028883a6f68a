"""Decoding all that a camera or a scanner may hand over."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from support.device import draw, noise, png

from edge_meta.errors import BackendError, InputError
from edge_meta.inputs.image_files import SUFFIXES, read_image

Pixels = NDArray[np.uint8]


def encoded(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, **{"format": "PNG", **options})
    return file.getvalue()


def test_gray_and_rgb_files_are_read_as_asked() -> None:
    gray, colour = noise(5, 8), noise(5, 8, 3)
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(gray[:, :, 0])), 1), gray)
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(gray[:, :, 0])), 3), gray.repeat(3, axis=2))
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(colour)), 3), colour)
    luma = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_image(encoded(Image.fromarray(colour)), 1)[:, :, 0] - luma).max() <= 1


def test_transparency_is_laid_on_white() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = 0, 128, 255
    for mode in ("RGBA", "LA"):
        pixels = read_image(encoded(Image.fromarray(rgba).convert(mode)), 1)[0, :, 0]
        np.testing.assert_allclose(pixels, [255, 127, 0], atol=1)


def test_the_transparent_colour_of_a_palette_is_white() -> None:
    image = Image.new("P", (3, 1))
    image.putdata([0, 1, 2])
    image.putpalette([0, 0, 0, 200, 100, 50, 255, 255, 0])
    assert read_image(encoded(image), 3).tolist() == [[[0, 0, 0], [200, 100, 50], [255, 255, 0]]]
    assert read_image(encoded(image, transparency=0), 3).tolist() == [[[255] * 3, [200, 100, 50], [255, 255, 0]]]


def test_one_bit_images_are_black_and_white() -> None:
    bits = noise(6, 9)[:, :, 0] > 127
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(bits)), 1)[:, :, 0], bits * 255)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight(file_format: str) -> None:
    wide = np.array([[0, 257, 32896, 60000, 65535]], np.uint16)
    pixels = read_image(encoded(Image.fromarray(wide), format=file_format), 1)
    assert pixels[0, :, 0].tolist() == [0, 1, 128, 233, 255]


def test_exif_rotation_is_applied() -> None:
    image = noise(4, 6)[:, :, 0]
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it turned clockwise
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(image), exif=exif), 1)[:, :, 0], np.rot90(image, k=-1))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "L", "RGB"])
def test_a_large_image_is_converted_like_a_small_one(mode: str) -> None:
    pixels = noise(1500, 1000, 4)
    for channels in (1, 3):
        whole = read_image(encoded(Image.fromarray(pixels).convert(mode)), channels)
        part = Image.fromarray(pixels).convert(mode).crop((0, 1030, 1000, 1070))
        np.testing.assert_array_equal(whole[1030:1070], read_image(encoded(part), channels))


def test_the_first_frame_of_an_animation_is_read() -> None:
    frames = [Image.new("L", (4, 3), gray) for gray in (255, 0)]
    for file_format in ("GIF", "PNG", "WEBP", "TIFF"):
        file = encoded(frames[0], format=file_format, save_all=True, append_images=frames[1:])
        assert read_image(file, 1).min() == 255


def test_the_limit_of_pixels_can_be_set(tmp_path: Path) -> None:
    path = png(tmp_path, "a.png", draw(0))
    assert read_image(path, 1, most_pixels=28 * 28).shape == (28, 28, 1)
    with pytest.raises(InputError, match=r"a\.png has more than 783 pixels"):
        read_image(path, 1, most_pixels=783)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_suffix_of_a_dataset_can_be_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    Image.new("L", (5, 4), 200).save(path)
    assert np.abs(read_image(path, 1).astype(int) - 200).max() <= 2
    assert read_image(str(path), 3).shape == (4, 5, 3)


def unreadable(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.png"
    whole = encoded(Image.fromarray(noise(40, 40)[:, :, 0]))
    contents = {
        "empty": b"",
        "text": b"this is not an image",
        "truncated": whole[: len(whole) // 2],
        "corrupt": whole[:60] + b"\xff" * 400 + whole[460:],
        "header": whole[:20],
    }
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(contents[kind])
    return path


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "truncated", "corrupt", "header"])
def test_what_is_no_image_is_an_error_that_names_the_file(tmp_path: Path, kind: str) -> None:
    path = unreadable(kind, tmp_path)
    with pytest.raises(InputError) as caught:
        read_image(path, 1)
    assert str(path) in caught.value.cause
    assert caught.value.remedy
    if path.is_file():
        with pytest.raises(InputError, match=r"^scan 7 "):
            read_image(path.read_bytes(), 1, "scan 7")


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=8))
def test_a_damaged_file_is_read_or_is_an_error_and_nothing_else(at: int, damage: bytes) -> None:
    whole = encoded(Image.fromarray(noise(40, 40)[:, :, 0]))
    at %= len(whole)
    with suppress(InputError):
        assert read_image(whole[:at] + damage + whole[at + len(damage) :], 1).shape[2] == 1


def test_without_pillow_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = png(tmp_path, "image.png", draw(0))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(BackendError) as caught:
        read_image(path, 1)
    assert str(path) in caught.value.cause
    assert 'pip install "edge-meta[image]"' in caught.value.remedy
