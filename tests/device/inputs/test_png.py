"""PNG files that are written without Pillow."""

from __future__ import annotations

import numpy as np
import pytest

from edge_meta.inputs.image_files import read_image
from edge_meta.inputs.png import write_png


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_its_image(channels: int) -> None:
    pytest.importorskip("PIL")
    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    np.testing.assert_array_equal(read_image(write_png(image), channels), image)
