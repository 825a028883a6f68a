"""Other people's models: each becomes a bundle that embeds as the model itself does, or is refused in one sentence."""

from __future__ import annotations

import json
import re
import struct
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from support.device import cli
from support.workstation import synthetic

from converters import export_bundle
from converters.calibration.embedding_normalization import EmbeddingNormalization, best_normalization
from converters.options import ModelOptions
from converters.tflite.edit import serialize
from converters.tflite.model import parse
from edge_meta import Classifier
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import BackendError, EdgeMetaError, ExportError, InputError
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.episode_heads import prototype_head
from edge_meta.heads import linear
from edge_meta.inputs import ArrayInput, AudioInput, ImageInput
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder

RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(192, 16)).astype("f4") / 8
SOUND = RNG.normal(size=(100, 16)).astype("f4") / 1000
WORDS = RNG.normal(size=(10, 16)).astype("f4")
PIXELS = RNG.integers(0, 256, (8, 8, 3), np.uint8)
SIGNED: dict[str, Any] = {"mean": (127.5,), "scale": (1 / 127.5,)}


def image(x: Any) -> Any:
    """(…, 8, 8, 3) → (1, 16)."""
    return tf.tanh(tf.reshape(x, (1, 192)) @ WEIGHTS)


def planes(x: Any) -> Any:
    return image(tf.transpose(x, (0, 2, 3, 1)))


def stacked(x: Any) -> Any:
    return tf.tanh(tf.reshape(x, (-1, 192)) @ WEIGHTS)


def sound(x: Any) -> Any:
    return tf.reshape(tf.abs(tf.reshape(x, (-1, 100)) @ SOUND), (1, -1, 16))[:, :40]


def loudness(x: Any) -> Any:
    return tf.reduce_mean(sound(x), axis=1)


def tokens(ids: Any) -> Any:
    return tf.reduce_mean(tf.gather(tf.constant(WORDS), ids), axis=1)


def sentence(input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
    mask = tf.cast(attention_mask, tf.float32)[:, :, None]
    total = tf.reduce_sum(
        (tf.gather(tf.constant(WORDS), input_ids) + tf.cast(token_type_ids, tf.float32)[:, :, None]) * mask, 1
    )
    return total / tf.reduce_sum(mask, axis=1)


@pytest.fixture(scope="module")
def convert(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """convert(function, shape or specs, dtype): its .tflite file, made once; `ends` quantizes it and its ends."""
    folder = tmp_path_factory.mktemp("models")
    made: dict[Any, Path] = {}

    def make(function: Any, *shapes: Any, dtype: Any = tf.float32, ends: Any = None) -> Path:
        key = (function, shapes, dtype, ends)
        if key not in made:
            specs = [tf.TensorSpec(shape, dtype) for shape in shapes]
            traced = tf.function(function).get_concrete_function(*specs)
            converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module())
            if ends is not None:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.representative_dataset = lambda: ([RNG.uniform(-1, 1, shapes[0]).astype("f4")] for _ in range(50))
                converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
                converter.inference_input_type = converter.inference_output_type = ends
            path = folder / f"{len(made)}.tflite"
            path.write_bytes(converter.convert())
            made[key] = path
        return made[key]

    return make


def run(path: Path, *inputs: np.ndarray) -> np.ndarray:
    """Run the model itself; its output dequantized in float64."""
    interpreter = Interpreter(str(path))
    for details, values in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.resize_tensor_input(details["index"], values.shape)
    interpreter.allocate_tensors()
    for details, values in zip(interpreter.get_input_details(), inputs, strict=True):
        assert details["dtype"] == values.dtype
        interpreter.set_tensor(details["index"], values)
    interpreter.invoke()
    details = interpreter.get_output_details()[0]
    values = interpreter.get_tensor(details["index"]).astype(np.float64).ravel()
    scale, zero = details["quantization"]
    return (values - zero) * scale if scale else values


def embedding(bundle: Bundle, example: Any, tmp_path: Path) -> np.ndarray:
    with Classifier.load(bundle, tmp_path / "store.db") as classifier:
        return classifier.embed(example)


def export(path: Path, tmp_path: Path, **options: Any) -> Bundle:
    return export_bundle(path, tmp_path / "made.bundle", model_options=ModelOptions(**options))


# --- images -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (None, 8, 8, 3), (8, 8, 3)])
def test_a_float_image_model_embeds_as_it_does_itself(convert: Callable[..., Path], tmp_path: Path, shape: Any) -> None:
    path = convert(stacked, shape)
    bundle = export(path, tmp_path, input_kind="image", **SIGNED)
    wanted = run(path, (PIXELS.astype("f4") / 127.5 - 1.0).reshape([size or 1 for size in shape]))
    np.testing.assert_allclose(embedding(bundle, PIXELS, tmp_path), wanted, atol=1e-5)
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    assert ImageInput.from_manifest(manifest["input"]) == ImageInput(8, 8, 3, 127.5, 1 / 127.5)
    assert manifest["signatures"] == {"embed": {"inputs": {"image": [1, 8, 8, 3]}, "outputs": {"embedding": [1, 16]}}}
    assert (manifest["rejection"], manifest["quantization"]) == (None, "float32")


@pytest.mark.parametrize("ends", [tf.uint8, tf.int8])
def test_a_quantized_model_takes_raw_pixels_and_keeps_its_bits(
    convert: Callable[..., Path], tmp_path: Path, ends: Any
) -> None:
    path = convert(image, (1, 8, 8, 3), ends=ends)
    bundle = export(path, tmp_path)
    raw = PIXELS[None] if ends == tf.uint8 else (PIXELS[None].astype(int) - 128).astype(np.int8)
    np.testing.assert_allclose(embedding(bundle, PIXELS, tmp_path), run(path, raw), atol=1e-6)
    assert bundle.manifest.quantization == "int8"


def test_integers_without_a_scale_are_raw_pixels(convert: Callable[..., Path], tmp_path: Path) -> None:
    path = convert(lambda x: image(tf.cast(x, tf.float32) / 255.0), (1, 8, 8, 3), dtype=tf.uint8)
    np.testing.assert_allclose(embedding(export(path, tmp_path), PIXELS, tmp_path), run(path, PIXELS[None]), atol=1e-5)


def test_planes_blue_first_and_a_mean_for_each_channel(convert: Callable[..., Path], tmp_path: Path) -> None:
    path = convert(planes, (1, 3, 8, 8))
    mean, scale = (103.5, 116.25, 123.75), (0.0625, 0.03125, 0.015625)
    bundle = export(path, tmp_path, mean=mean, scale=scale, channel_order="bgr")
    values = ((PIXELS[:, :, ::-1] - np.array(mean)) * np.array(scale)).astype("f4")
    wanted = run(path, np.ascontiguousarray(values.transpose(2, 0, 1)[None]))
    np.testing.assert_allclose(embedding(bundle, PIXELS, tmp_path), wanted, atol=1e-5)
    assert bundle.manifest.signatures["embed"]["inputs"]["image"] == [1, 8, 8, 3]


def test_the_files_own_metadata_says_the_range_of_pixels(convert: Callable[..., Path], tmp_path: Path) -> None:
    """An export is read back from its file: a bundle's own encoder.tflite can be exported again."""
    first = export(convert(image, (1, 8, 8, 3)), tmp_path, mean=(50.0,), scale=(0.25,))
    again = export_bundle(first.path / "encoder.tflite", tmp_path / "again.bundle")
    assert again.manifest.input_spec == first.manifest.input_spec == ImageInput(8, 8, 3, 50.0, 0.25)
    np.testing.assert_array_equal(embedding(again, PIXELS, tmp_path), embedding(first, PIXELS, tmp_path / "first"))


def test_an_inner_tensor_needs_no_operator_behind_it(convert: Callable[..., Path], tmp_path: Path) -> None:
    path = convert(lambda x: tf.nn.softmax(image(x) @ np.eye(16, 4000, dtype="f4")), (1, 8, 8, 3))
    interpreter = Interpreter(str(path))
    inner = next(d for d in interpreter.get_tensor_details() if list(d["shape"]) == [1, 16] and "Tanh" in d["name"])
    bundle = export(path, tmp_path, output_tensor=inner["name"], **SIGNED)
    wanted = run(convert(image, (1, 8, 8, 3)), PIXELS[None].astype("f4") / np.float32(127.5) - 1)
    np.testing.assert_allclose(embedding(bundle, PIXELS, tmp_path), wanted, atol=1e-5)
    assert len(bundle.model) < path.stat().st_size - 4000 * 15 * 4
    options = ModelOptions(output_tensor=str(inner["index"]), **SIGNED)
    by_index = export_bundle(path, tmp_path / "index.bundle", model_options=options)
    assert by_index.manifest.encoder_id == bundle.manifest.encoder_id


# --- recordings and arrays --------------------------------------------------------------------------------------------


def test_a_waveform_model_takes_recordings(convert: Callable[..., Path], tmp_path: Path) -> None:
    path = convert(loudness, (1, 4000))
    bundle = export(path, tmp_path, sample_rate=8000, scale=(32768.0,))
    assert bundle.manifest.input_spec == AudioInput(4000, 8000)
    samples = RNG.integers(-32768, 32768, 4000).astype(np.int16)
    np.testing.assert_allclose(embedding(bundle, samples, tmp_path), run(path, samples[None].astype("f4")), rtol=1e-4)


def test_int16_samples_without_a_batch_and_of_open_length(convert: Callable[..., Path], tmp_path: Path) -> None:
    path = convert(lambda x: loudness(tf.cast(x, tf.float32)), (None,), dtype=tf.int16)
    with pytest.raises(ExportError, match=r"leaves the size of its input .* open \(\[-1\]\).*--input-shape"):
        export(path, tmp_path)
    bundle = export(path, tmp_path, input_shape=(8000,))
    samples = RNG.integers(-32768, 32768, 8000).astype(np.int16)
    np.testing.assert_allclose(embedding(bundle, samples, tmp_path), run(path, samples), rtol=1e-4)


def test_a_sensor_series_is_an_array(convert: Callable[..., Path], tmp_path: Path) -> None:
    path = convert(lambda x: image(x[..., None] * tf.ones(4)), (1, 16, 3))
    bundle = export(path, tmp_path, mean=(1.0, 2.0, 3.0), scale=(0.5,))
    assert bundle.manifest.input_spec == ArrayInput((16, 3))
    series = RNG.normal(size=(16, 3)).astype("f4")
    wanted = run(path, ((series - [1, 2, 3]) * 0.5).astype("f4")[None])
    np.testing.assert_allclose(embedding(bundle, series, tmp_path), wanted, atol=1e-5)
    np.save(tmp_path / "series.npy", series)
    np.testing.assert_array_equal(embedding(bundle, tmp_path / "series.npy", tmp_path), embedding(bundle, series, tmp_path))


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_token_ids_are_an_array_of_integers(convert: Callable[..., Path], tmp_path: Path, dtype: Any) -> None:
    path = convert(tokens, (1, 6), dtype=dtype)
    bundle = export(path, tmp_path)
    assert bundle.manifest.input_spec == ArrayInput((6,), dtype.name)
    ids = np.array([3, 1, 4, 1, 5, 9])
    np.testing.assert_allclose(embedding(bundle, ids, tmp_path), WORDS[ids].mean(axis=0), atol=1e-6)
    with pytest.raises(InputError):
        embedding(bundle, ids / 2.0, tmp_path)
    with pytest.raises(BackendError, match="fails while it runs the encoder"):
        embedding(bundle, ids + 10, tmp_path)


def test_mask_and_segments_of_a_text_model_are_made_from_its_ids(convert: Callable[..., Path], tmp_path: Path) -> None:
    path = convert(sentence, (1, 6), (1, 6), (1, 6), dtype=tf.int32)
    notes: list[str] = []
    bundle = export_bundle(path, tmp_path / "made.bundle", on_note=notes.append)
    assert any("the mask is 1 where an id is not 0" in note for note in notes)
    ids = np.array([3, 1, 4, 1, 0, 0], np.int32)
    np.testing.assert_allclose(embedding(bundle, ids, tmp_path), WORDS[ids[:4]].mean(axis=0), atol=1e-6)


# --- refused ----------------------------------------------------------------------------------------------------------


def refused(path: Path, tmp_path: Path, **options: Any) -> str:
    with pytest.raises(ExportError) as caught:
        export(path, tmp_path, **options)
    assert not (tmp_path / "made.bundle").exists()
    assert caught.value.cause.count(". ") == 0
    return str(caught.value)


@pytest.mark.parametrize(
    ("function", "shapes", "says"),
    [
        (lambda x: (image(x), 2 * image(x)), [(1, 8, 8, 3)], r"has 2 outputs: \d+ '.*' \[1, 16\].*--output-tensor"),
        (lambda x: sound(x), [(1, 4000)], r"gives \d+ '.*' \[1, 40, 16\], not one vector"),
        (lambda x: tf.argmax(image(x), axis=1), [(1, 8, 8, 3)], r"an embedding has 2 to 65536 values"),
        (lambda x: image(x) + tf.random.uniform((1, 16)), [(1, 8, 8, 3)], r"it keeps state or is random"),
        (lambda x: image(tf.math.log(x - 1e6)), [(1, 8, 8, 3)], "not finite"),
        (lambda x: image(0.0 * x), [(1, 8, 8, 3)], "same embedding for every image"),
        (lambda x: 1e6 * (2.0 + image(x)), [(1, 8, 8, 3)], "below 32768"),
        (lambda x, state: image(x) + state, [(1, 8, 8, 3), (1, 16)], r"takes 2 inputs .* keeps no state"),
    ],
    ids=["two outputs", "sequence", "one integer", "random", "not finite", "constant", "too large", "state in"],
)
def test_what_gives_no_embedding_is_refused(
    convert: Callable[..., Path], tmp_path: Path, function: Any, shapes: Any, says: str
) -> None:
    options = SIGNED if shapes[0] == (1, 8, 8, 3) else {"sample_rate": 8000, "scale": (1.0,)}
    assert re.search(says, refused(convert(function, *shapes), tmp_path, **options))


@pytest.mark.parametrize(
    ("code", "says"),
    [("Mystery", "Mystery"), ("FlexErf", "needs TensorFlow's own kernels (FlexErf)")],
)
def test_operators_that_devices_lack_are_named(convert: Callable[..., Path], tmp_path: Path, code: str, says: str) -> None:
    model = parse(convert(image, (1, 8, 8, 3)).read_bytes())
    tanh = model.operatorCodes[model.subgraphs[0].operators[-1].opcodeIndex]
    tanh.builtinCode, tanh.deprecatedBuiltinCode, tanh.customCode = 32, 32, code
    (tmp_path / "custom.tflite").write_bytes(serialize(model))
    assert says in refused(tmp_path / "custom.tflite", tmp_path, **SIGNED)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x1c\0\0\0TFL3" + bytes(100)])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.tflite").write_bytes(content)
    assert "bad.tflite" in refused(tmp_path / "bad.tflite", tmp_path)


def test_a_file_cut_short_or_damaged_is_refused_or_embeds(convert: Callable[..., Path], tmp_path: Path) -> None:
    whole = convert(image, (1, 8, 8, 3)).read_bytes()
    (tmp_path / "bad.tflite").write_bytes(whole[: len(whole) // 2])
    assert "bad.tflite" in refused(tmp_path / "bad.tflite", tmp_path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"output_tensor": "nowhere"}, "computes no tensor 'nowhere'"),
        ({"input_kind": "smell"}, "no input kind 'smell'"),
        ({"input_kind": "audio"}, "no mono recording"),
        ({"input_shape": (9, 9, 3)}, r"takes [1, 8, 8, 3]"),
        ({"mean": (1.0, 2.0)}, "2 values were given for 3 channels"),
        ({"scale": (0.0,)}, "leaves nothing"),
        ({"channel_order": "grb"}, "no channel order"),
        ({"sample_rate": 0}, "no sample rate"),
        ({"sample_rate": 8000}, "may be an image"),
        ({"input_kind": "array", "sample_rate": 8000}, "no sample rate"),
    ],
)
def test_options_that_do_not_fit_are_refused(convert: Callable[..., Path], tmp_path: Path, options: dict, says: str) -> None:
    assert says in refused(convert(image, (1, 8, 8, 3)), tmp_path, **{**SIGNED, **options})


# --- Keras models and SavedModels -------------------------------------------------------------------------------------


@pytest.fixture
def series(tmp_path: Path) -> str:
    """A dataset of sensor series of 6 classes."""
    kinds = np.repeat(np.random.default_rng(1).normal(size=(6, 12, 3)), 10, axis=0)
    x = (kinds + RNG.normal(0, 0.3, kinds.shape)).astype("f4")
    np.savez(tmp_path / "series.npz", x=x, y=np.repeat(np.arange(6), 10))
    return f"npz:{tmp_path / 'series.npz'}"


def convolution() -> Any:
    inputs = keras.Input((12, 3))
    return keras.Model(
        inputs, keras.layers.Dense(8, name="embedding")(keras.layers.Conv1D(6, 3, activation="relu")(inputs)[:, -1])
    )


@pytest.mark.parametrize("kind", ["keras", "savedmodel"])
def test_a_keras_model_or_a_savedmodel_is_converted(tmp_path: Path, series: str, kind: str) -> None:
    model = convolution()
    source = tmp_path / ("mine.keras" if kind == "keras" else "mine")
    if kind == "keras":
        model.save(source)
    else:
        model.export(source, verbose=False)
    exact = export_bundle(source, tmp_path / "exact.bundle", quantize="float32")
    example = np.load(series[4:])["x"][7]
    wanted = model(example[None], training=False).numpy()[0]
    np.testing.assert_allclose(embedding(exact, example, tmp_path / "exact"), wanted, atol=1e-5)
    if kind == "savedmodel":
        options = ModelOptions(mean=(0.5,), scale=(2.0,), output_tensor="output_0")
        small = export_bundle(source, tmp_path / "small.bundle", calibration=series, model_options=options)
        assert small.manifest.quantization == "int8"
        plain = export_bundle(
            source, tmp_path / "plain.bundle", quantize="float32", calibration=series, model_options=options
        )
        found, wanted = (embedding(made, example, tmp_path / made.name) for made in (small, plain))
        assert np.dot(found, wanted) > 0.98 * np.linalg.norm(found) * np.linalg.norm(wanted)


def test_a_recurrent_layer_starts_anew_with_each_example(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((12, 3)), keras.layers.LSTM(8)])
    model.save(tmp_path / "recurrent.keras")
    bundle = export_bundle(tmp_path / "recurrent.keras", tmp_path / "made.bundle", quantize="float32")
    examples = RNG.normal(size=(3, 12, 3)).astype("f4")
    with Classifier.load(bundle, tmp_path / "store.db") as classifier:
        found = [classifier.embed(example) for example in (*examples, *examples)]
    np.testing.assert_allclose(found[:3], model(examples, training=False).numpy(), atol=1e-5)
    np.testing.assert_array_equal(found[:3], found[3:])


def test_code_in_a_keras_file_is_not_run(tmp_path: Path) -> None:
    inputs = keras.Input((8,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: 2 * x)(inputs)).save(tmp_path / "code.keras")
    with pytest.raises(ExportError, match=r"code\.keras is not a model that can be read .*[Ll]ambda"):
        export_bundle(tmp_path / "code.keras", tmp_path / "made.bundle", quantize="float32")


def test_unknown_layers_and_damaged_models_are_refused(tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("elsewhere")
    class Mystery(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    inputs = keras.Input((8,))
    keras.Model(inputs, Mystery()(inputs)).save(tmp_path / "own.keras")
    del keras.saving.get_custom_objects()["elsewhere>Mystery"]
    with pytest.raises(ExportError, match=r"own\.keras is not a model that can be read .*Mystery"):
        export_bundle(tmp_path / "own.keras", tmp_path / "made.bundle", quantize="float32")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "saved_model.pb").write_bytes(b"nothing")
    with pytest.raises(ExportError, match="bad is not a model that can be read"):
        export_bundle(tmp_path / "bad", tmp_path / "made.bundle", quantize="float32")


def test_a_subclassed_model_that_keras_cannot_rebuild_is_refused(tmp_path: Path) -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(4)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    model = Own()
    model(np.zeros((1, 8), "f4"))
    model.save(tmp_path / "own.keras")
    for options in ({"quantize": "float32"}, {"calibration": "glyphs"}):
        with pytest.raises(EdgeMetaError, match=r"own\.keras is not .* [Rr]un model\.export\('folder'\)"):
            export_bundle(tmp_path / "own.keras", tmp_path / "made.bundle", **options)


# --- the metric -------------------------------------------------------------------------------------------------------


def test_lengths_that_say_nothing_of_a_class_are_taken_out() -> None:
    data, rng = synthetic(12, 10), np.random.default_rng(2)
    directions = np.repeat(rng.normal(size=(12, 8)), 10, axis=0) + rng.normal(0, 0.2, (120, 8))
    embeddings = (rng.uniform(0.1, 10, (120, 1)) * directions + 3.0).astype("f4")
    metric = best_normalization(embeddings, data)
    assert metric.mean is not None
    after = metric.apply(embeddings)
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), metric.scale, rtol=1e-5)
    sampler = EpisodeSampler(data, 5, 1, 5, seed=0)
    assert accuracies(after, sampler, 100).mean() > accuracies(embeddings, sampler, 100).mean() + 0.05


def test_lengths_that_tell_classes_apart_stay() -> None:
    data, rng = synthetic(12, 10), np.random.default_rng(2)
    embeddings = (np.repeat(np.arange(12), 10)[:, None] * np.ones(8) + rng.normal(0, 0.1, (120, 8))).astype("f4")
    assert best_normalization(embeddings, data).mean is None


@pytest.mark.parametrize("spread", [0.01, 1.0, 100.0])
def test_scores_are_as_sure_as_they_are_right_at_any_scale(spread: float) -> None:
    data, rng = synthetic(12, 20), np.random.default_rng(2)
    classes = np.repeat(rng.normal(size=(12, 8)), 20, axis=0)
    embeddings = (spread * (classes + rng.normal(0, 0.8, (240, 8)))).astype("f4")
    after = best_normalization(embeddings, data).apply(embeddings)
    sure, right = [], []
    for task in EpisodeSampler(data, 5, 5, 10, seed=0).episodes(200):
        scores = linear.softmax(prototype_head(after[task.support], after[task.query]))
        sure.append(scores.max(axis=1).mean())
        right.append(np.mean(scores.argmax(axis=1) == np.repeat(np.arange(5), 10)))
    assert abs(np.mean(sure) - np.mean(right)) < 0.12


def test_the_file_does_what_the_metric_says(convert: Callable[..., Path], tmp_path: Path) -> None:
    plain = export(convert(image, (1, 8, 8, 3)), tmp_path, **SIGNED)
    metric = EmbeddingNormalization(np.linspace(-1, 1, 16).astype("f4"), 2.5)
    encoder = Encoder(metric.add_to(plain.model, "image"))
    before = embedding(plain, PIXELS, tmp_path)
    after = encoder.embed(plain.manifest.input_spec.normalize(PIXELS)[None])
    np.testing.assert_allclose(after, metric.apply(before[None])[0], atol=1e-5)


# --- the command line -------------------------------------------------------------------------------------------------


def wav(path: Path, samples: np.ndarray, rate: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return path


@pytest.mark.parametrize("backend", ["litert", "tensorflow"])
def test_the_command_line_learns_recordings(convert: Callable[..., Path], tmp_path: Path, backend: str) -> None:
    output, store = tmp_path / "sounds.bundle", ("--store", tmp_path / "store.db", "--backend", backend)
    done = cli(
        "export", convert(loudness, (1, 4000)), "--sample-rate", "8000", "--scale", "10", "--output", output, "--json"
    )
    assert json.loads(done.stdout)["dim"] == 16
    assert "never says unknown" in done.stderr
    times = np.arange(4000) / 8000
    for hertz in (200, 700):
        tones = [(8000 * np.sin(2 * np.pi * hertz * times + phase)).astype(int) for phase in (0, 1, 2)]
        files = [wav(tmp_path / f"{hertz}-{number}.wav", tone, 8000) for number, tone in enumerate(tones)]
        cli("enroll", output, hertz, *files[:2], *store)
        found = json.loads(cli("classify", output, files[2], *store, "--json").stdout) if hertz == 700 else None
    assert found is not None
    assert found["results"][0]["label"] == "700"
    assert "4000 samples at 8000 Hz → 16 values" in cli("inspect", output, "--store", tmp_path / "store.db").stdout


def test_a_folder_of_images_calibrates_and_evaluates(convert: Callable[..., Path], tmp_path: Path) -> None:
    for label in range(20):
        (tmp_path / "photos" / f"class{label}").mkdir(parents=True)
        for take in range(8):
            noisy = np.clip(np.random.default_rng(label).integers(0, 256, (8, 8, 3)) + RNG.normal(0, 20, (8, 8, 3)), 0, 255)
            Image.fromarray(noisy.astype(np.uint8)).save(tmp_path / "photos" / f"class{label}" / f"{take}.png")
    dataset, output = f"folder:{tmp_path / 'photos'}", tmp_path / "made.bundle"
    ends = ("--mean", "127.5", "--scale", "0.0078431")
    cli("export", convert(image, (1, 8, 8, 3)), *ends, "--calibration", dataset, "--output", output)
    rejection = json.loads((output / "manifest.json").read_text())["rejection"]
    assert rejection["false_accept"] == 0.05
    done = cli("evaluate", output, "--dataset", dataset, "--way", 4, "--query", 5, "--episodes", 50, "--json")
    assert json.loads(done.stdout)["accuracy"] > 0.9
    card = (output / "README.md").read_text()
    assert "with its weights as they were" in card


def test_options_of_models_and_of_runs_do_not_mix(convert: Callable[..., Path], tmp_path: Path) -> None:
    path, run = convert(image, (1, 8, 8, 3)), Path(__file__).parents[2] / "benchmarks" / "omniglot"
    assert "converted already" in cli("export", path, "--quantize", "int8", "--output", tmp_path / "b", code=1).stderr
    assert "states its input and output" in cli("export", run, "--mean", "1", "--output", tmp_path / "b", code=1).stderr
    assert "not a list of numbers" in cli("export", path, "--mean", "a,b", "--output", tmp_path / "b", code=2).stderr
    assert "does not exist" in cli("export", tmp_path / "no.tflite", "--output", tmp_path / "b", code=1).stderr
