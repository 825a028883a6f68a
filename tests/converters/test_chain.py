"""Chains of .tflite files: one file that gives what the files give when they are run one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from support.device import cli

from converters import ModelOptions, export_bundle
from converters.external.between import Between
from converters.external.chain import KNOWN_PAIRS
from converters.targets.web import check_file
from edge_meta.datasets import cache
from edge_meta.errors import ExportError
from edge_meta.inputs import AudioInput
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import open_encoder

RNG = np.random.default_rng(0)
BANDS = RNG.normal(size=(100, 1, 8)).astype("f4") / 10
KERNEL = RNG.normal(size=(3, 3, 1, 4)).astype("f4")
WEIGHTS = RNG.normal(size=(12 * 8, 16)).astype("f4") / 10
SAMPLES = RNG.normal(0, 0.2, 4000).clip(-1, 0.99).astype("f4")


def spectrogram(samples: Any) -> Any:
    """(1, N) → (1, 1, N / 100, 8)."""
    return tf.abs(tf.nn.conv1d(tf.reshape(samples, (1, -1, 1)), BANDS, 100, "VALID"))[:, None]


def turned(samples: Any) -> Any:
    return tf.transpose(spectrogram(samples)[:, 0], (0, 2, 1))


def dense(frames: Any) -> Any:
    """(1, 12, 8) → (1, 16)."""
    return tf.tanh(tf.reshape(frames, (1, 96)) @ WEIGHTS)


def strided(frames: Any) -> Any:
    """(1, 12, 8, 1) → (1, 4), with a stride of 4 frames."""
    first = tf.nn.relu(tf.nn.conv2d(frames, KERNEL, (2, 1), "VALID"))
    return tf.reduce_mean(tf.nn.max_pool2d(first, (2, 2), (2, 2), "VALID"), (1, 2))


def sequence(frames: Any) -> Any:
    """(1, T, 8) → (1, T, 4)."""
    return tf.tanh(frames @ WEIGHTS[:8, :4])


Convert = Callable[..., Path]


@pytest.fixture(scope="module")
def convert(tmp_path_factory: pytest.TempPathFactory) -> Convert:
    """convert(name, function, shape): its .tflite file; `integers` quantizes all of it."""
    folder = tmp_path_factory.mktemp("parts")

    def make(name: str, function: Any, shape: Any, integers: bool = False) -> Path:
        path = folder / f"{name}.tflite"
        if not path.exists():
            traced = tf.function(function).get_concrete_function(tf.TensorSpec(shape))
            converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module())
            if integers:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.representative_dataset = lambda: ([RNG.uniform(0, 2, shape).astype("f4")] for _ in range(50))
                converter.inference_input_type = converter.inference_output_type = tf.int8
            path.write_bytes(converter.convert())
        return path

    return make


@pytest.fixture
def front(convert: Convert) -> Path:
    return convert("front", spectrogram, (1, None))


def run(path: Path, values: np.ndarray) -> np.ndarray:
    """Run a file by itself; integers are what its scales say."""
    interpreter = Interpreter(str(path))
    given, taken = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.resize_tensor_input(given["index"], values.shape)
    interpreter.allocate_tensors()
    scale, zero = given["quantization"]
    if scale:
        values = np.clip(np.round(values / scale) + zero, -128, 127)
    interpreter.set_tensor(given["index"], values.astype(given["dtype"]))
    interpreter.invoke()
    result = interpreter.get_tensor(taken["index"]).astype(np.float64)
    scale, zero = taken["quantization"]
    return (result - zero) * scale if scale else result


def chained(tmp_path: Path, *files: Path, samples: int = 4000, **options: Any) -> Bundle:
    shape = {} if samples == 16000 else {"input_shape": (samples,)}
    stated = ModelOptions(sample_rate=16000, scale=(1.0,), **shape, **options)
    return export_bundle(files, tmp_path / "made.bundle", model_options=stated, overwrite=True)


def embedding(bundle: Bundle) -> np.ndarray:
    return open_encoder(bundle).embed(SAMPLES[None])


def windows(frames: np.ndarray, hop: int) -> list[np.ndarray]:
    return [frames[first : first + 12] for first in range(0, len(frames) - 11, hop)]


def test_a_chain_gives_the_mean_over_windows_of_its_files(convert: Convert, front: Path, tmp_path: Path) -> None:
    back = convert("strided", strided, (1, 12, 8, 1))
    bundle = chained(tmp_path, front, back, between=("x/10+2",))
    frames = run(front, SAMPLES[None])[0, 0] / 10 + 2
    wanted = np.mean([run(back, each[None, :, :, None].astype("f4"))[0] for each in windows(frames, 4)], axis=0)
    np.testing.assert_allclose(embedding(bundle), wanted, rtol=1e-5)
    assert bundle.manifest.input_spec == AudioInput(4000, 16000)
    assert [part["source"] for part in bundle.manifest.training["parts"]] == ["front.tflite", "strided.tflite"]


def test_a_network_without_strides_moves_by_half_a_window(convert: Convert, front: Path, tmp_path: Path) -> None:
    back = convert("dense", dense, (1, 12, 8))
    wanted = np.mean([run(back, each[None].astype("f4"))[0] for each in windows(run(front, SAMPLES[None])[0, 0], 6)], axis=0)
    np.testing.assert_allclose(embedding(chained(tmp_path, front, back)), wanted, atol=1e-5)


def test_a_quantized_network_takes_what_a_float_one_gives(convert: Convert, front: Path, tmp_path: Path) -> None:
    back = convert("integers", dense, (1, 12, 8), integers=True)
    frames = run(front, SAMPLES[None])[0, 0]
    wanted = np.mean([run(back, each[None])[0] for each in windows(frames, 6)], axis=0)
    np.testing.assert_allclose(embedding(chained(tmp_path, front, back)), wanted, atol=0.02)


def test_bands_before_frames_change_places(convert: Convert, front: Path, tmp_path: Path) -> None:
    other, back = convert("turned", turned, (1, None)), convert("dense", dense, (1, 12, 8))
    straight = embedding(chained(tmp_path, front, back))
    np.testing.assert_allclose(embedding(chained(tmp_path, other, back)), straight, atol=1e-6)


def test_vectors_of_a_network_of_open_length_are_averaged(convert: Convert, front: Path, tmp_path: Path) -> None:
    back = convert("sequence", sequence, (1, None, 8))
    wanted = run(back, run(front, SAMPLES[None])[0].astype("f4"))[0].mean(axis=0)
    np.testing.assert_allclose(embedding(chained(tmp_path, front, back)), wanted, atol=1e-6)


def test_three_files_hand_on_the_windows_as_frames(convert: Convert, front: Path, tmp_path: Path) -> None:
    middle = convert("strided", strided, (1, 12, 8, 1))
    back = convert("last", lambda x: tf.tanh(tf.reshape(x, (1, 20)) @ WEIGHTS[:20]), (1, 5, 4))
    frames = [run(middle, each[None, :, :, None].astype("f4"))[0] for each in windows(run(front, SAMPLES[None])[0, 0], 4)]
    starts = range(0, len(frames) - 4, 2)
    wanted = np.mean([run(back, np.stack(frames[first : first + 5])[None].astype("f4"))[0] for first in starts], axis=0)
    np.testing.assert_allclose(embedding(chained(tmp_path, front, middle, back)), wanted, atol=1e-5)


def test_every_shape_of_a_chain_is_stated_in_its_file(convert: Convert, front: Path, tmp_path: Path) -> None:
    check_file(chained(tmp_path, front, convert("strided", strided, (1, 12, 8, 1))).model)


@pytest.mark.parametrize(("frames", "seconds"), [(12, 1.0), (190, 1.5)])
def test_an_open_input_is_as_long_as_the_chain_needs(
    convert: Convert, front: Path, tmp_path: Path, frames: int, seconds: float
) -> None:
    back = convert(f"long{frames}", lambda x: tf.reduce_mean(x, axis=1) * 2.0, (1, frames, 8))
    assert chained(tmp_path, front, back, samples=16000).manifest.input_spec == AudioInput(round(16000 * seconds), 16000)


@pytest.mark.parametrize(
    ("text", "scale", "offset"),
    [("x/10+2", 0.1, 2.0), ("2 - x*3", -3.0, 2.0), ("x", 1.0, 0.0), ("-(x+1)/2", -0.5, -0.5), ("0.5*x", 0.5, 0.0)],
)
def test_scale_and_offset_are_read_from_an_expression(text: str, scale: float, offset: float) -> None:
    found = Between.of(text)
    assert (found.scale, found.offset) == pytest.approx((scale, offset))


@pytest.mark.parametrize("text", ["", "2", "x*x", "y+1", "1/x", "x/0", "x(1)", "x+", "x*1e999", "'x'", "x" * 9, "(" * 999])
def test_other_expressions_are_refused(text: str) -> None:
    with pytest.raises(ExportError, match="no scale and offset of x"):
        Between.of(text)


def refused(tmp_path: Path, *files: Path, **options: Any) -> str:
    with pytest.raises(ExportError) as caught:
        chained(tmp_path, *files, **options)
    assert not (tmp_path / "made.bundle").exists()
    return str(caught.value)


def test_files_that_do_not_belong_together_are_refused(convert: Convert, front: Path, tmp_path: Path) -> None:
    back = convert("dense", dense, (1, 12, 8))
    assert "which is not [4000]" in refused(tmp_path, back, front)
    assert "do not belong together" in refused(tmp_path, front, convert("other", sequence, (1, 7, 8)), back)
    assert "gives 10 frames, and its next model takes 12" in refused(tmp_path, front, back, samples=1000)
    assert "is no .tflite file" in refused(tmp_path, front, tmp_path / "some.onnx")
    assert "cannot be read" in refused(tmp_path, front, tmp_path / "missing.tflite")


def test_an_expression_is_given_for_every_joint_or_none(convert: Convert, front: Path, tmp_path: Path) -> None:
    back = convert("dense", dense, (1, 12, 8))
    assert "given 2 times for 2 files" in refused(tmp_path, front, back, between=("x", "x"))
    assert "for a chain of several" in refused(tmp_path, back, between=("x",))


def test_the_command_line_joins_files(convert: Convert, front: Path, tmp_path: Path) -> None:
    back, output = convert("strided", strided, (1, 12, 8, 1)), tmp_path / "words.bundle"
    done = cli("export", front, back, "--between", "x/10+2", "--scale", "1", "--output", output, "--json")
    assert json.loads(done.stdout)["dim"] == 4
    assert Bundle.open(output).manifest.input_spec == AudioInput(16000, 16000)
    assert "runs on 38 windows of 12 frames, 4 apart" in done.stderr
    assert "1 s are taken at a time" in done.stderr
    assert "front+strided.tflite" in (output / "README.md").read_text()
    assert "is no bundle" in cli("export", front, back, "--target", "imprint", "--output", output, code=2).stderr


def test_a_known_pair_needs_no_options(tmp_path: Path) -> None:
    """Google's speech_embedding takes samples in the range of int16 and log-mel values x/10+2."""
    files = [cache.folder() / "models" / f"oww_{name}.tflite" for name in ("melspectrogram", "embedding_model")]
    if not all(file.exists() for file in files):
        pytest.skip(f"{files[0].parent} has no speech_embedding")
    assert len(KNOWN_PAIRS) == 1
    bundle = export_bundle(files, tmp_path / "words.bundle", model_options=ModelOptions(sample_rate=16000))
    samples = RNG.integers(-20000, 20000, 16000).astype("f4")
    frames = run(files[0], samples[None])[0, 0] / 10 + 2
    wanted = np.mean([run(files[1], frames[None, at : at + 76, :, None].astype("f4")).ravel() for at in (0, 8, 16)], axis=0)
    found = open_encoder(bundle).embed(samples[None] / np.float32(32768))
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
