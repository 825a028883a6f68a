"""The signatures: the heads equal the NumPy ones, masks and padding included, before and after conversion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from converters.quantization import signatures
from converters.quantization.formats import FORMATS
from converters.tflite.model import ModelFile
from edge_meta.heads import linear
from edge_meta.inputs import ImageInput
from edge_meta.runtime.interpreter import Encoder

N, M, D = 8, 16, 8  # as `converted` makes them: labels, shots and dimensions
FLOAT_MAX = np.finfo(np.float32).max


def eager(name: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    outputs = getattr(signatures, name)(**{key: tf.constant(value, tf.float32) for key, value in inputs.items()})
    return {key: value.numpy() for key, value in outputs.items()}


@pytest.fixture(params=["eager", "litert float32", "litert float16", "litert int8", "litert int16x8", "tf.lite int8"])
def run(request: pytest.FixtureRequest) -> Callable[..., dict[str, np.ndarray]]:
    """run(signature, **inputs) -> outputs."""
    if request.param == "eager":
        return eager
    runtime, quantize = request.param.split()
    make = Interpreter if runtime == "litert" else tf.lite.Interpreter
    interpreter = make(model_content=request.getfixturevalue("converted")(quantize, N, M))

    def run(name: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        return interpreter.get_signature_runner(name)(**{key: np.float32(value) for key, value in inputs.items()})

    return run


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def padded(array: np.ndarray, *shape: int) -> np.ndarray:
    """The array in the corner of zeros of that shape."""
    result = np.zeros(shape, np.float32)
    result[tuple(slice(size) for size in array.shape)] = array
    return result


# --- enroll -----------------------------------------------------------------------------------------------------------


def test_enrolling_keeps_every_prototype_the_mean_of_its_shots(
    run: Callable[..., dict[str, np.ndarray]], rng: np.random.Generator
) -> None:
    shots = rng.normal(size=(20, D)).astype(np.float32)
    labels = rng.choice([0, 3, 7], 20)
    state = {"prototypes": np.zeros((N, D)), "counts": np.zeros(N)}
    for shot, label in zip(shots, labels, strict=True):
        state = run("enroll", embedding=shot[None], onehot=np.eye(N)[label], **state)
    expected = [shots[labels == label].mean(axis=0) if label in labels else np.zeros(D) for label in range(N)]
    assert np.allclose(state["prototypes"], expected, atol=1e-6)
    assert state["counts"].tolist() == np.bincount(labels, minlength=N).tolist()


# --- score ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enrolled", [[0, 1, 2, 3, 4, 5, 6, 7], [1, 2, 6], [5]])
def test_scores_are_of_the_enrolled_labels_alone(
    run: Callable[..., dict[str, np.ndarray]], rng: np.random.Generator, enrolled: list[int]
) -> None:
    embedding = rng.normal(size=D).astype(np.float32)
    prototypes, counts = np.zeros((N, D), np.float32), np.zeros(N)
    prototypes[enrolled], counts[enrolled] = rng.normal(size=(len(enrolled), D)), rng.integers(1, 5, len(enrolled))
    found = run("score", embedding=embedding[None], prototypes=prototypes, counts=counts)
    distances = linear.squared_distances(embedding, prototypes[enrolled])
    expected = {"distances": np.full((1, N), FLOAT_MAX), "scores": np.zeros((1, N))}
    expected["distances"][0, enrolled], expected["scores"][0, enrolled] = distances, linear.softmax(-distances)
    for name, values in expected.items():
        assert found[name].shape == (1, N)
        assert np.allclose(found[name], values, rtol=1e-5, atol=1e-5), name


def test_scores_without_any_label_are_zero(run: Callable[..., dict[str, np.ndarray]]) -> None:
    found = run("score", embedding=np.ones((1, D)), prototypes=np.zeros((N, D)), counts=np.zeros(N))
    assert np.all(found["scores"] == 0)
    assert np.all(found["distances"] == FLOAT_MAX)


@pytest.mark.parametrize("size", [1e-3, 1e2, 1e4])
def test_scores_sum_to_one_however_large_the_embeddings_are(run: Callable[..., dict[str, np.ndarray]], size: float) -> None:
    prototypes = np.zeros((N, D))
    prototypes[0, 0], prototypes[1, 1] = size, -size
    embedding = np.full((1, D), 0.3 * size)
    found = run("score", embedding=embedding, prototypes=prototypes, counts=np.array([1, 2] + [0] * 6))
    assert found["scores"].sum() == pytest.approx(1.0, abs=1e-5)
    assert found["scores"].argmax() == 0


# --- train_step -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("labels", "shots"), [(N, M), (5, 9), (2, 2)])
def test_fifty_padded_training_steps_equal_numpys(
    run: Callable[..., dict[str, np.ndarray]], rng: np.random.Generator, labels: int, shots: int
) -> None:
    embeddings = rng.normal(size=(shots, D)).astype(np.float32)
    truth = np.arange(shots) % labels
    weights, bias = linear.linear_from_prototypes(0.3 * rng.normal(size=(labels, D)).astype(np.float32))
    # What stands in masked columns and padded rows must not matter, nor change.
    state = {"W": rng.normal(size=(D, N)).astype(np.float32), "b": rng.normal(size=N).astype(np.float32)}
    masked = state["W"][:, labels:].copy(), state["b"][labels:].copy()
    state["W"][:, :labels], state["b"][:labels] = weights, bias
    fixed = {
        "embeddings": np.concatenate([embeddings, rng.normal(size=(M - shots, D))]),
        "onehot": padded(np.eye(labels)[truth], M, N),
        "class_mask": padded(np.ones(labels), N),
    }
    first = bias.copy()
    for step in range(50):
        rate = 1.0 / (1 + step)
        found = run("train_step", **fixed, **state, learning_rate=[rate])
        weights, bias, loss = linear.linear_step(embeddings, truth, weights, bias, rate)
        assert found["loss"].shape == (1,)
        assert found["loss"].item() == pytest.approx(loss, abs=1e-5)
        state = {"W": found["W"], "b": found["b"]}
    assert np.allclose(state["W"][:, :labels], weights, atol=1e-5)
    assert np.allclose(state["b"][:labels], bias, atol=1e-5)
    assert np.array_equal(state["W"][:, labels:], masked[0])
    assert np.array_equal(state["b"][labels:], masked[1])
    assert not np.allclose(bias, first, atol=1e-2), "the steps moved nothing"


def test_a_training_step_without_shots_changes_nothing(
    run: Callable[..., dict[str, np.ndarray]], rng: np.random.Generator
) -> None:
    weights, bias = rng.normal(size=(D, N)).astype(np.float32), rng.normal(size=N).astype(np.float32)
    found = run(
        "train_step", embeddings=rng.normal(size=(M, D)), onehot=np.zeros((M, N)), class_mask=np.ones(N), W=weights, b=bias,
        learning_rate=[1.0],
    )  # fmt: skip
    assert np.array_equal(found["W"], weights)
    assert np.array_equal(found["b"], bias)
    assert found["loss"].item() == 0.0


# --- embed, and the file ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).random((20, 16, 16, 1)).astype(np.float32)


def embed_with(interpreter: Any, images: np.ndarray) -> np.ndarray:
    runner = interpreter.get_signature_runner("embed")
    return np.concatenate([runner(image=image[None])["embedding"] for image in images])


def test_the_frozen_encoder_is_the_encoder(trained: keras.Model, images: np.ndarray) -> None:
    embed = signatures.frozen(trained)
    expected = trained(images, training=False).numpy()
    assert np.allclose([embed(tf.constant(image[None]))[0] for image in images], expected, atol=1e-5)


@pytest.mark.parametrize("make", [Interpreter, tf.lite.Interpreter])
def test_the_float32_file_embeds_as_keras_does(
    converted: Callable[..., bytes], trained: keras.Model, images: np.ndarray, make: Callable[..., Any]
) -> None:
    found = embed_with(make(model_content=converted("float32")), images)
    assert np.allclose(found, trained(images, training=False).numpy(), atol=1e-5)


def test_the_int8_file_embeds_nearly_as_keras_does(converted: Callable[..., bytes], trained: keras.Model) -> None:
    drawings = ImageInput(16, 16).normalize(np.random.default_rng(2).integers(0, 256, (30, 16, 16, 1)).astype(np.uint8))
    exact = trained(drawings, training=False).numpy()
    one, other = (embed_with(make(model_content=converted("int8")), drawings) for make in (Interpreter, tf.lite.Interpreter))
    assert not np.array_equal(one, exact)
    cosine = np.sum(one * exact, axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosine.min() > 0.95
    step = np.unique(one)[1] - np.unique(one)[0]
    assert np.abs(one - other).max() <= 1.01 * step


@pytest.mark.parametrize("quantize", FORMATS)
def test_a_plain_invoke_embeds_and_the_signatures_are_in_order(
    converted: Callable[..., bytes], images: np.ndarray, quantize: str
) -> None:
    content = converted(quantize)
    parsed = ModelFile.parse(content)
    assert parsed.signatures == {"embed": 0, "enroll": 1, "score": 2, "train_step": 3}
    by_name = embed_with(Interpreter(model_content=content), images)
    encoder = Encoder(content)
    assert np.array_equal(np.stack([encoder.embed(image[None]) for image in images]), by_name)


@pytest.mark.parametrize("make", [Interpreter, tf.lite.Interpreter])
@pytest.mark.parametrize("quantize", FORMATS)
def test_inputs_and_outputs_are_static_float32(
    converted: Callable[..., bytes], quantize: str, make: Callable[..., Any]
) -> None:
    interpreter = make(model_content=converted(quantize, N, M))
    shapes = {
        "embed": ({"image": [1, 16, 16, 1]}, {"embedding": [1, D]}),
        "enroll": (
            {"embedding": [1, D], "onehot": [N], "prototypes": [N, D], "counts": [N]},
            {"prototypes": [N, D], "counts": [N]},
        ),
        "score": (
            {"embedding": [1, D], "prototypes": [N, D], "counts": [N]},
            {"distances": [1, N], "scores": [1, N]},
        ),
        "train_step": (
            {"embeddings": [M, D], "onehot": [M, N], "class_mask": [N], "W": [D, N], "b": [N], "learning_rate": [1]},
            {"W": [D, N], "b": [N], "loss": [1]},
        ),
    }
    assert set(interpreter.get_signature_list()) == set(shapes)
    for name, expected in shapes.items():
        runner = interpreter.get_signature_runner(name)
        for details, sides in zip((runner.get_input_details(), runner.get_output_details()), expected, strict=True):
            assert {key: [int(size) for size in value["shape"]] for key, value in details.items()} == sides
            assert all(value["dtype"] == np.float32 for value in details.values())
            assert all(-1 not in value["shape_signature"] for value in details.values())


def test_the_file_holds_the_encoders_weights_and_int8_takes_less(
    converted: Callable[..., bytes], trained: keras.Model
) -> None:
    kernels = [weight.numpy() for weight in trained.trainable_weights if weight.name == "kernel"]
    size = sum(kernel.size for kernel in kernels)
    parsed = {quantize: ModelFile.parse(converted(quantize)) for quantize in ("float32", "int8")}
    for quantize, bytes_each in (("float32", 4), ("int8", 1)):
        convolutions = [operator for operator in parsed[quantize].subgraphs[0] if operator.name == "CONV_2D"]
        sizes = [len(operator.inputs[1].data) for operator in convolutions]
        assert sizes == [kernel.size * bytes_each for kernel in kernels]
        assert len(converted(quantize)) > size * bytes_each
    assert len(converted("float32")) - len(converted("int8")) > size


@pytest.mark.parametrize("quantize", FORMATS)
def test_heads_are_in_float32(converted: Callable[..., bytes], quantize: str) -> None:
    parsed = ModelFile.parse(converted(quantize))
    for head in parsed.subgraphs[1:]:
        tensors = [tensor for operator in head for tensor in (*operator.inputs, *operator.outputs) if tensor]
        assert {tensor.dtype for tensor in tensors} <= {"float32", "int32", "int64", "bool"}
        assert not any(tensor.scales for tensor in tensors)
