"""Read image files and Pillow's images, within bounds of memory; the same for training and for the device.

An image is a uint8 array of shape (height, width, channels), 1 channel for grayscale and 3 for RGB. Reading a file needs
Pillow (`pip install "edge-meta[image]"`); an array needs only NumPy.
"""

from __future__ import annotations

import io
import threading
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import BackendError, InputError
from edge_meta.inputs.image_conversion import check_mode, is_pillow_image, mean_chroma, to_pixels

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})

MOST_PIXELS = 1 << 26  # 64 megapixels
LONGEST_SIDE = 1 << 16  # pixels; JPEG allows 65,535
# Those of the suffixes. Pillow knows others, some of which run programs or hide a second image in the first.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")

COLOURFUL = 24.0  # mean chroma; drawings stay below it, on warm paper as well
SMALL = 256  # pixels on a side that suffice to measure colours

TILE_WIDTH, TILE_HEIGHT = 322, 323  # TIFF 6.0, section 15

_opening = threading.Lock()  # warnings.catch_warnings is for one thread at a time


def read_image(source: Any, channels: int, name: str | None = None, most_pixels: int = MOST_PIXELS) -> NDArray[np.uint8]:
    """Decode an image file, the first frame of an animated one, to uint8 (height, width, channels).

    Apply EXIF rotation, lay transparency on white, and scale 16-bit grayscale to 8 bits. An image object of Pillow gives
    what a file of it would give.

    Args:
        source: a path, the file's bytes, or an image object of Pillow, at the frame that it is at.
        channels: 1 for grayscale, 3 for RGB.
        name: of the image in messages; its path unless given.
        most_pixels: as the file's header tells them, before they are decoded.

    Raises:
        InputError: the file is missing, is not a readable image, or has more than `most_pixels`, or more than 65,536 on a
            side; or its pixels are 32-bit or floating-point numbers.
        BackendError: Pillow is not installed.
    """
    name = name or (str(source) if isinstance(source, (str, Path)) else getattr(source, "filename", "") or "image")
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise BackendError(
            f"Reading {name} needs Pillow, which is not installed.", 'Run: pip install "edge-meta[image]"'
        ) from None
    too_large = InputError(
        f"{name} has more than {most_pixels:,} pixels, or more than {LONGEST_SIDE:,} on a side.",
        "Make it smaller, or crop it.",
    )
    try:
        with _opened(source) as image:
            if max(image.width * image.height, _tile_pixels(image)) > most_pixels or max(image.size) > LONGEST_SIDE:
                raise too_large
            check_mode(image, name)
            if image is source:  # which stays as it is
                return to_pixels(ImageOps.exif_transpose(image), channels)
            ImageOps.exif_transpose(image, in_place=True)
            return to_pixels(image, channels)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise too_large from None
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{name} does not exist.", "Check the path.") from None
    except IsADirectoryError:
        raise InputError(f"{name} is a folder.", "Name the image files in it.") from None
    # Pillow's decoders raise whatever their parsing trips over, so every Exception here means a bad file.
    except Exception as error:
        raise InputError(
            f"{name} is not a readable image ({type(error).__name__}: {error}).",
            "Remove it from the list, or replace it with a PNG or JPEG file.",
        ) from None


def is_colourful(source: Any) -> bool:
    """Whether an image that `read_image` has read is in colour, rather than ink of one colour on paper."""
    try:
        with _opened(source) as image:
            if image is not source:
                image.draft("RGB", (SMALL, SMALL))  # a JPEG file decodes sooner at an eighth of its size
            return mean_chroma(image) > COLOURFUL
    except OSError:  # the file has gone, or changed
        return False


def _opened(source: Any) -> Any:
    """Read an image's header. Pillow's own warning of too many pixels becomes an error here."""
    from PIL import Image

    if is_pillow_image(source):
        return nullcontext(source)
    source = io.BytesIO(source) if isinstance(source, bytes) else source
    with _opening, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(source, formats=FORMATS)


def _tile_pixels(image: Any) -> int:
    """Pixels of a TIFF file's tile, which is decoded whole, however small the image is."""
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(TILE_WIDTH, 0)) * int(tags.get(TILE_HEIGHT, 0))
