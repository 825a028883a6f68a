"""Small copies of image files, for reports."""

from __future__ import annotations

import io

from edge_meta.inputs.image_files import read_image

SIDE = 96  # pixels at most
QUALITY = 85  # of JPEG


def thumbnail(path: str) -> bytes:
    """Return a small copy of an image file as the content of a JPEG file.

    Raises:
        InputError, BackendError: see `read_image`.
    """
    pixels = read_image(path, channels=3)
    from PIL import Image

    image, content = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((SIDE, SIDE))
    image.save(content, "JPEG", quality=QUALITY)
    return content.getvalue()
