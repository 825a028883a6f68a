"""Arrays and files become examples, and everything else is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.device import draw, png

from edge_meta.errors import InputError
from edge_meta.inputs import ArrayInput, AudioInput, ImageInput, InputSpec, input_from_manifest
from edge_meta.inputs.resizing import resize

GRAY, RGB = ImageInput(28, 28, 1), ImageInput.for_shape((20, 30, 3))


def test_an_array_and_a_path_are_resized_alike(tmp_path: Path) -> None:
    pixels = draw(3, 0, 61, 47)
    path = png(tmp_path, "drawn.png", pixels)
    wanted = resize(pixels[:, :, None], 28, 28)
    for image in (pixels, pixels[:, :, None], path, str(path)):
        np.testing.assert_array_equal(GRAY.read(image), wanted)


def test_an_image_of_the_encoders_size_is_not_changed() -> None:
    np.testing.assert_array_equal(GRAY.read(draw(1))[:, :, 0], draw(1))


@pytest.mark.parametrize(
    ("input_spec", "image"),
    [
        (GRAY, np.zeros((28, 28, 3), np.uint8)),
        (GRAY, np.zeros((28, 28, 2), np.uint8)),
        (GRAY, np.zeros((1, 28, 28, 1), np.uint8)),
        (GRAY, np.zeros(28, np.uint8)),
        (GRAY, np.uint8(7)),
        (GRAY, np.zeros((28, 28), np.float32)),
        (GRAY, np.full((28, 28), np.nan)),
        (GRAY, np.zeros((28, 28), np.int64)),
        (GRAY, np.zeros((28, 28), bool)),
        (GRAY, np.zeros((0, 28), np.uint8)),
        (GRAY, np.zeros((28, 0, 1), np.uint8)),
        (GRAY, np.array(["a", "b"])),
        (GRAY, None),
        (GRAY, [np.zeros((28, 28), np.uint8), np.zeros((30, 30), np.uint8)]),
        (RGB, np.zeros((28, 28), np.uint8)),
        (RGB, np.zeros((28, 28, 1), np.uint8)),
        (RGB, np.zeros((28, 28, 4), np.uint8)),
        (RGB, np.zeros((3, 28, 28), np.uint8)),
    ],
    ids=lambda value: f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__,
)
def test_wrong_rank_channels_or_dtype_is_an_error(input_spec: ImageInput, image: Any) -> None:
    with pytest.raises(InputError):
        input_spec.read(image)
    with pytest.raises(InputError):
        input_spec.read_all([image])


def test_several_images_may_be_stacked_or_listed_in_any_mix(tmp_path: Path) -> None:
    first, second = draw(0), draw(1)
    wanted = [first[:, :, None], second[:, :, None]]
    stack = np.stack([first, second])
    path = png(tmp_path, "second.png", second)
    for images in (stack, stack[..., None], [first, second], [first, path], (str(path) for _ in range(2))):
        read = GRAY.read_all(images)
        assert len(read) == 2
        np.testing.assert_array_equal(read[1], wanted[1])
        assert read[0].shape == (28, 28, 1)
    np.testing.assert_array_equal(GRAY.read_all(stack), wanted)
    assert GRAY.read_all([]) == []


@pytest.mark.parametrize(
    ("input_spec", "images"),
    [
        (GRAY, "image.png"),
        (GRAY, Path("image.png")),
        (GRAY, np.zeros((28, 28), np.uint8)),
        (GRAY, np.zeros((2, 1, 28, 28, 1), np.uint8)),
        (RGB, np.zeros((20, 30, 3), np.uint8)),
        (GRAY, 7),
        (GRAY, None),
    ],
)
def test_one_image_is_not_several(input_spec: ImageInput, images: Any) -> None:
    with pytest.raises(InputError):
        input_spec.read_all(images)


def test_normalization_maps_paper_to_0_and_ink_to_1() -> None:
    pixels = np.array([0, 51, 255], np.uint8)
    np.testing.assert_allclose(GRAY.normalize(pixels), [1.0, 0.8, 0.0], atol=1e-6)
    np.testing.assert_allclose(RGB.normalize(pixels), [-1.0, -77 / 128, 127 / 128], atol=1e-6)
    assert GRAY.normalize(pixels).dtype == np.float32
    assert GRAY.normalize(pixels)[2] == 0.0


@pytest.mark.parametrize("input_spec", [GRAY, RGB, ImageInput(84, 12, 3, 1.5, 0.25)])
def test_the_manifest_keeps_every_field(input_spec: ImageInput) -> None:
    assert ImageInput.from_manifest(json.loads(json.dumps(input_spec.to_manifest()))) == input_spec


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "sound"}, {"dtype": "float32"}, {"resize": "crop"}, {"height": 0}, {"width": -28}, {"height": 1 << 20},
        {"channels": 2}, {"channels": None}, {"mean": float("nan")}, {"scale": 0}, {"scale": float("inf")}, {"scale": "x"},
    ],
)  # fmt: skip
def test_absurd_manifest_fields_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        ImageInput.from_manifest({**GRAY.to_manifest(), **change})


@pytest.mark.parametrize("field", ["kind", "dtype", "resize", "height", "width", "channels", "mean", "scale"])
def test_missing_manifest_fields_are_refused(field: str) -> None:
    fields = GRAY.to_manifest()
    del fields[field]
    with pytest.raises(KeyError):
        ImageInput.from_manifest(fields)


# --- arrays -----------------------------------------------------------------------------------------------------------


SERIES, IDS = ArrayInput((5, 2)), ArrayInput((4,), "int32")


def test_a_file_or_array_of_any_fitting_dtype_is_taken(tmp_path: Path) -> None:
    values = np.arange(10, dtype=np.float32).reshape(5, 2)
    np.save(tmp_path / "a.npy", values)
    for series in (tmp_path / "a.npy", str(tmp_path / "a.npy"), values, values.astype(np.float64), values.astype(np.int8)):
        read = SERIES.read(series)
        np.testing.assert_array_equal(read, values)
        assert read.dtype == np.float32
    assert IDS.read([7, 0, 3, 1]).dtype == np.int32
    np.testing.assert_array_equal(np.stack(SERIES.read_all(np.stack([values, values]))), [values, values])


@pytest.mark.parametrize(
    ("array_input", "array"),
    [
        (SERIES, np.zeros((2, 5))),
        (SERIES, np.zeros((1, 5, 2))),
        (SERIES, np.full((5, 2), np.inf)),
        (SERIES, np.full((5, 2), 1e300)),
        (SERIES, np.zeros((5, 2), bool)),
        (SERIES, np.zeros((5, 2), complex)),
        (SERIES, [[1.0], [1.0, 2.0]]),
        (SERIES, None),
        (IDS, np.zeros(4)),
        (IDS, np.full(4, 1 << 40)),
        (ArrayInput((2,), "uint8"), np.array([-1, 3])),
    ],
)
def test_another_shape_or_values_that_do_not_fit_are_errors(array_input: ArrayInput, array: Any) -> None:
    with pytest.raises(InputError):
        array_input.read(array)
    with pytest.raises(InputError):
        array_input.read_all([array])


@pytest.mark.parametrize("content", [None, b"", b"text", b"\x93NUMPY\x01\x00"])
def test_what_is_no_npy_file_is_an_error_that_names_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npy"):
        SERIES.read(path)
    with pytest.raises(InputError, match="is a folder"):
        SERIES.read(tmp_path)


def test_a_pickled_npy_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"a\.npy is not a readable \.npy file"):
        SERIES.read(tmp_path / "a.npy")


# --- every kind -------------------------------------------------------------------------------------------------------


KINDS = [GRAY, RGB, AudioInput(4000, 8000), SERIES, IDS, ArrayInput((3, 2, 2), "uint8")]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_is_read_back_from_a_manifest(kind: InputSpec) -> None:
    assert input_from_manifest(json.loads(json.dumps(kind.to_manifest()))) == kind


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_synthetic_examples_are_examples(kind: InputSpec) -> None:
    for example in kind.synthetic(np.random.default_rng(0), 3):
        np.testing.assert_array_equal(kind.read(example), example)
        assert example.shape == kind.shape
        assert kind.normalize(example).dtype == kind.tensor_dtype


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (AudioInput(100), {"samples": 0}), (AudioInput(100), {"sample_rate": -1}), (AudioInput(100), {"dtype": "float32"}),
        (AudioInput(100), {"range": [0, 1]}), (AudioInput(100), {"fit": "centre"}), (AudioInput(100), {"samples": "many"}),
        (SERIES, {"shape": []}), (SERIES, {"shape": [0]}), (SERIES, {"shape": [1 << 40]}), (SERIES, {"dtype": "float64"}),
        (SERIES, {"shape": 7}), (SERIES, {"kind": "smell"}),
    ],
)  # fmt: skip
def test_absurd_fields_of_every_kind_are_refused(kind: InputSpec, change: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        input_from_manifest({**kind.to_manifest(), **change})


@pytest.mark.parametrize("input_spec", [GRAY, AudioInput(16), ArrayInput((3,))], ids=["image", "audio", "array"])
@pytest.mark.parametrize("paths", [["a.png", "b.png"], (Path("a.wav"),)], ids=["list", "tuple"])
def test_several_paths_are_not_one_example(input_spec: InputSpec, paths: Any) -> None:
    with pytest.raises(InputError, match=rf"A list of {len(paths)} paths? .* one {input_spec.noun} .* one path at a time"):
        input_spec.read(paths)


def test_a_recording_without_samples_is_named_as_such() -> None:
    with pytest.raises(InputError, match="has no samples"):
        AudioInput(16).read(np.zeros(0, np.int16))


def test_a_recording_that_is_not_finite_is_named_as_such() -> None:
    with pytest.raises(InputError, match="not finite"):
        AudioInput(16).read(np.array([0.0, np.nan], np.float32))
