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
from edge_meta.inputs import ImageInput
from edge_meta.inputs.image_files import SUFFIXES, is_colourful, read_image

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


MODES = {  # → the format that keeps it in a file
    "1": "PNG", "L": "PNG", "LA": "PNG", "P": "PNG", "PA": "TIFF", "RGB": "PNG", "RGBA": "PNG", "RGBX": "TIFF",
    "CMYK": "TIFF", "YCbCr": "TIFF", "LAB": "TIFF", "I;16": "PNG",
}  # fmt: skip


def pillow_image(mode: str) -> Image.Image:
    """An image of a mode, with colours and half-transparent pixels where the mode has them."""
    if mode == "I;16":
        return Image.fromarray(noise(30, 40)[:, :, 0].astype(np.uint16) * 257)
    if mode == "LAB":
        return Image.fromarray(noise(30, 40, 3), "LAB")
    if mode == "PA":
        return Image.fromarray(noise(30, 40, 3)).convert("P").convert("PA")
    return Image.fromarray(noise(30, 40, 4)).convert(mode)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", MODES)
def test_an_image_object_is_read_like_its_file(mode: str, channels: int) -> None:
    image = pillow_image(mode)
    assert image.mode == mode
    before = image.tobytes()
    pixels = read_image(image, channels)
    np.testing.assert_array_equal(pixels, read_image(encoded(image, format=MODES[mode]), channels))
    np.testing.assert_array_equal(ImageInput(30, 40, channels).read(image), pixels)
    assert pixels.std() > 10
    assert (image.mode, image.tobytes()) == (mode, before)


@pytest.mark.parametrize("mode", ["HSV", "La", "RGBa"])
def test_modes_that_no_file_keeps_are_read_by_their_colours(mode: str) -> None:
    source = Image.fromarray(noise(30, 40, 4)).convert({"HSV": "RGB", "La": "LA", "RGBa": "RGBA"}[mode])
    difference = read_image(source.convert(mode), 3).astype(int) - read_image(source, 3)
    assert np.abs(difference).mean() < 3


def test_the_transparent_colour_of_a_palette_object_is_white() -> None:
    image = Image.new("P", (3, 1))
    image.putdata([0, 1, 2])
    image.putpalette([0, 0, 0, 200, 100, 50, 255, 255, 0])
    image.info["transparency"] = 0
    assert read_image(image, 3).tolist() == [[[255] * 3, [200, 100, 50], [255, 255, 0]]]


def test_an_opened_file_is_turned_as_its_camera_was(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    Image.fromarray(noise(16, 24)[:, :, 0]).save(path, exif=exif)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_image(image, 1), read_image(path, 1))
        assert image.size == (24, 16)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pixels_of_unknown_range_are_refused(tmp_path: Path, dtype: type[np.generic]) -> None:
    image = Image.fromarray(np.linspace(0, 1000, 12).reshape(3, 4).astype(dtype))
    image.save(tmp_path / "depth.tiff")
    for source, name in ((image, "image"), (tmp_path / "depth.tiff", "depth.tiff")):
        with pytest.raises(InputError, match=f"{name} has .*which values are black and white. Scale it to 0 to 255"):
            read_image(source, 1)


def test_an_image_object_of_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    whole = encoded(Image.fromarray(noise(40, 40)[:, :, 0]))
    with Image.open(io.BytesIO(whole[: len(whole) // 2])) as image, pytest.raises(InputError, match="not a readable image"):
        read_image(image, 1)


# Colours


def coloured(chroma: int, size: int = 40) -> Image.Image:
    """An image with half of its pixels grey, and half of twice this chroma."""
    pixels = np.full((size, size, 3), 200, np.uint8)
    pixels[: size // 2, :, 2] -= 2 * chroma
    return Image.fromarray(pixels)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF"])
def test_colour_photos_are_told_from_drawings(file_format: str) -> None:
    assert is_colourful(encoded(coloured(40), format=file_format))
    assert is_colourful(encoded(coloured(40, 2000), format=file_format))
    assert not is_colourful(encoded(coloured(10), format=file_format))
    assert not is_colourful(encoded(Image.fromarray(draw(0)).convert("RGB"), format=file_format))


def test_grey_images_have_no_colours_whatever_their_mode() -> None:
    grey = Image.fromarray(noise(30, 40)[:, :, 0])
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I"):
        assert not is_colourful(grey.convert(mode))
    assert is_colourful(coloured(40).convert("P"))


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
