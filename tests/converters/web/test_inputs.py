"""The input that the page gives to the encoder, against the runtime's."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.device import wav
from support.web import in_node, needs_node, packed, unpacked

from edge_meta.inputs import AudioInput, ImageInput
from edge_meta.inputs.resampling import fit, resample
from edge_meta.inputs.resizing import resize

pytestmark = needs_node

VALUES = """
import {imageValues} from './image.js';
const values = asked.images.map(({rgba, ...sides}) => packed(imageValues({data: unpacked(rgba), ...sides}, asked.input)));
console.log(JSON.stringify(values));
"""


@pytest.mark.parametrize("channels", [1, 3])
def test_images_come_out_as_the_runtime_reads_them(tmp_path: Path, channels: int) -> None:
    input_spec = replace(ImageInput(32, 24), channels=channels, mean=100.0, scale=1.0)
    rng = np.random.default_rng(channels)
    images, expected = [], []
    for height, width in ((32, 24), (480, 640), (33, 9), (7, 200), (1, 1)):
        smooth = rng.integers(0, 256, (height // 5 + 1, width // 5 + 1, 3)).astype(np.uint8)
        colours = resize(smooth, height, width) if height > 32 else rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        rgba = np.concatenate([colours, np.full((height, width, 1), 255, np.uint8)], axis=2)
        images.append({"rgba": packed(rgba), "height": height, "width": width})
        Image.fromarray(colours).save(tmp_path / "image.png")
        expected.append(input_spec.normalize(input_spec.read(tmp_path / "image.png")))
    found = in_node(tmp_path / "page", VALUES, images=images, input=input_spec.to_manifest())
    for text, values in zip(found, expected, strict=True):
        difference = np.abs(np.frombuffer(unpacked(text), np.float32) - values.ravel())
        assert difference.max() <= 1.0  # a pixel that lies between two values may go either way
        assert (difference > 0).mean() < 0.01


RECORDING = """
import {audioValues, fitted, readWav, resampled} from './audio.js';
const read = asked.files.map((file) => readWav(unpacked(file)));
const values = read.map(({samples, rate}) => packed(audioValues(samples, rate, asked.input)));
console.log(JSON.stringify({values, rates: read.map(({rate}) => rate)}));
"""


@pytest.mark.parametrize(
    ("width", "channels", "rate"), [(1, 1, 8000), (2, 2, 44100), (3, 1, 16000), (4, 2, 48000), (2, 1, 11025)]
)
def test_recordings_come_out_as_the_runtime_reads_them(tmp_path: Path, width: int, channels: int, rate: int) -> None:
    input_spec = AudioInput(4000)
    rng, files, expected = np.random.default_rng(width), [], []
    for count in (1000, 20000):
        content = rng.integers(0, 256, count * width * channels).astype(np.uint8).tobytes()
        path = wav(tmp_path, content, width, channels, rate)
        files.append(packed(path.read_bytes()))
        expected.append(input_spec.read(path))
    found = in_node(tmp_path / "page", RECORDING, files=files, input=input_spec.to_manifest())
    assert found["rates"] == [rate, rate]
    for text, samples in zip(found["values"], expected, strict=True):
        values = np.frombuffer(unpacked(text), np.float32) * 32768.0
        difference = np.abs(values - samples)
        assert difference.max() <= 1.0
        assert (difference > 0).mean() < 0.01


def test_resampling_and_fitting_are_the_runtimes(tmp_path: Path) -> None:
    samples = (np.random.default_rng(0).normal(size=9000) * 5000 * np.linspace(0, 1, 9000)).astype(np.int16)
    script = """
    import {fitted, resampled} from './audio.js';
    const samples = new Int16Array(unpacked(asked.samples).buffer);
    console.log(JSON.stringify([packed(fitted(samples, 800)), packed(resampled(samples, 22050, 16000))]));
    """
    window, slower = (
        np.frombuffer(unpacked(text), np.int16) for text in in_node(tmp_path / "page", script, samples=packed(samples))
    )
    np.testing.assert_array_equal(window, fit(samples, 800))
    assert np.abs(slower - resample(samples, 22050, 16000).astype(int)).max() <= 1


def test_files_that_are_no_recordings_are_refused(tmp_path: Path) -> None:
    whole = wav(tmp_path, bytes(400)).read_bytes()
    script = """
    import {readWav} from './audio.js';
    const refused = asked.files.map((file) => {
      try { return readWav(unpacked(file)).samples.length; } catch (error) { return error.key ?? String(error); }
    });
    console.log(JSON.stringify(refused));
    """
    found = in_node(tmp_path / "page", script, files=[packed(whole[:cut]) for cut in (0, 11, 30, 44, 100, len(whole))])
    assert found == ["recording_unreadable"] * 4 + [28, 200]


@pytest.mark.parametrize("length", [0, 1, 55, 56, 63, 64, 65, 1000])
def test_sha_256_is_that_of_hashlib(tmp_path: Path, length: int) -> None:
    message = np.random.default_rng(length).bytes(length)
    script = "import {sha256} from './sha256.js'; console.log(JSON.stringify(packed(sha256(unpacked(asked.message)))));"
    assert unpacked(in_node(tmp_path / "page", script, message=packed(message))) == hashlib.sha256(message).digest()
