"""The heads inside encoder.tflite, run by the interpreter, against the NumPy heads that the classifier uses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.device import draw

from edge_meta.heads import linear
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder
from edge_meta.types import Array


@pytest.fixture(scope="module")
def encoder(bundle: Bundle) -> Encoder:
    return Encoder(bundle.model)


def run(encoder: Encoder, signature: str, **inputs: Any) -> dict[str, Array]:
    """Run a signature of the encoder's file; returns its outputs."""
    outputs: dict[str, Array] = encoder.interpreter.get_signature_runner(signature)(
        **{key: np.float32(value) for key, value in inputs.items()}
    )
    return outputs


@pytest.fixture(scope="module")
def sizes(bundle: Bundle) -> tuple[int, int, int]:
    """(N, M, D): the most labels, the most shots of a training step, the embedding's dimension."""
    shots, classes = bundle.manifest.signatures["train_step"]["inputs"]["onehot"]
    return classes, shots, bundle.manifest.dim


def assert_near(actual: Array, wanted: Any) -> None:
    """Equal to 1e-5 of the largest magnitude."""
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def shots_of(rng: np.random.Generator, classes: int, shots: int, dim: int) -> tuple[Array, NDArray[np.int64]]:
    """Embeddings around class centers (M, D) and their labels (M,), each class at least once, in no order."""
    labels = rng.permutation(np.concatenate([np.arange(classes), rng.integers(0, classes, shots - classes)]))
    centers = rng.normal(0, 0.1, (classes, dim))
    return (centers[labels] + rng.normal(0, 0.3, (shots, dim))).astype(np.float32), labels


def test_signatures_are_those_of_the_manifest(bundle: Bundle, encoder: Encoder) -> None:
    listed = encoder.interpreter.get_signature_list()
    assert set(listed) == set(bundle.manifest.signatures) == {"embed", "enroll", "score", "train_step"}
    for name, signature in bundle.manifest.signatures.items():
        assert set(listed[name]["inputs"]) == set(signature["inputs"])
        assert set(listed[name]["outputs"]) == set(signature["outputs"])
        runner = encoder.interpreter.get_signature_runner(name)
        for details, shapes in [
            (runner.get_input_details(), signature["inputs"]),
            (runner.get_output_details(), signature["outputs"]),
        ]:
            assert {key: value["shape"].tolist() for key, value in details.items()} == shapes
            assert all(value["dtype"] == np.float32 for value in details.values())


def test_plain_invoke_embeds_whatever_ran_before(bundle: Bundle, sizes: tuple[int, int, int]) -> None:
    classes, _, dim = sizes
    encoder = Encoder(bundle.model)
    image = bundle.manifest.input_spec.normalize(draw(1)[None, :, :, None])
    embedding = encoder.embed(image)
    assert np.ptp(embedding) > 0
    # The interpreter refuses to invoke while a runner is alive, so none is kept.
    by_name = encoder.interpreter.get_signature_runner("embed")(image=image)["embedding"]
    np.testing.assert_array_equal(by_name, embedding[None])
    score = {"embedding": (1, dim), "prototypes": (classes, dim), "counts": (classes,)}
    encoder.interpreter.get_signature_runner("score")(**{key: np.ones(shape, "f4") for key, shape in score.items()})
    np.testing.assert_array_equal(encoder.embed(image), embedding)


@pytest.mark.parametrize("used", [1, 5, 64])
def test_enroll_keeps_each_prototype_the_mean_of_its_shots(encoder: Encoder, sizes: tuple[int, int, int], used: int) -> None:
    classes, _, dim = sizes
    shots, labels = shots_of(np.random.default_rng(used), used, used + 40, dim)
    prototypes, counts = np.zeros((classes, dim)), np.zeros(classes)
    for shot, label in zip(shots, labels, strict=True):
        done = run(
            encoder, "enroll", embedding=shot[None], onehot=np.eye(classes)[label], prototypes=prototypes, counts=counts
        )
        prototypes, counts = done["prototypes"], done["counts"]
    np.testing.assert_array_equal(counts, np.bincount(labels, minlength=classes))
    assert_near(prototypes[:used], [shots[labels == k].mean(axis=0, dtype=np.float64) for k in range(used)])
    assert not prototypes[used:].any()


@pytest.mark.parametrize("used", [1, 2, 20, 64])
def test_score_is_the_numpy_heads_score_with_empty_rows_masked(
    encoder: Encoder, sizes: tuple[int, int, int], used: int
) -> None:
    classes, _, dim = sizes
    rng = np.random.default_rng(used)
    # Enrolled rows lie anywhere; the empty ones between them hold what would win if it were not masked.
    rows = np.sort(rng.permutation(classes)[:used])
    embedding = rng.normal(0, 0.3, (1, dim)).astype(np.float32)
    prototypes = np.repeat(embedding, classes, axis=0)
    prototypes[rows] += rng.normal(0, 0.3, (used, dim)).astype(np.float32)
    counts = np.zeros(classes)
    counts[rows] = rng.integers(1, 9, used)

    scored = run(encoder, "score", embedding=embedding, prototypes=prototypes, counts=counts)
    distances, scores = scored["distances"][0], scored["scores"][0]
    wanted = linear.squared_distances(embedding[0], prototypes[rows])
    assert_near(distances[rows], wanted)
    assert_near(scores[rows], linear.softmax(-wanted))
    assert distances.argmin() == rows[wanted.argmin()]
    empty = np.delete(np.arange(classes), rows)
    assert not scores[empty].any()
    assert np.all(distances[empty] == np.finfo(np.float32).max)


@pytest.mark.parametrize(("used", "count"), [(2, 2), (5, 25), (20, 100), (64, 256), (1, 3)])
def test_fifty_train_steps_are_the_numpy_heads_steps(
    encoder: Encoder, sizes: tuple[int, int, int], used: int, count: int
) -> None:
    classes, most, dim = sizes
    rng = np.random.default_rng((used, count))
    shots, labels = shots_of(rng, used, count, dim)
    rates = rng.uniform(0.01, 0.2, 50)
    prototypes = np.stack([shots[labels == k].mean(axis=0) for k in range(used)])
    weights, bias, losses = linear.adapt(shots, labels, prototypes, rates.tolist())

    # What lies in padding rows and masked columns must not matter, and must not change.
    embeddings = rng.normal(0, 3.0, (most, dim)).astype(np.float32)
    embeddings[:count] = shots
    onehot = np.zeros((most, classes), np.float32)
    onehot[np.arange(count), labels] = 1.0
    w, b = rng.normal(0, 9.0, (dim, classes)).astype(np.float32), rng.normal(0, 9.0, classes).astype(np.float32)
    w[:, :used], b[:used] = linear.linear_from_prototypes(prototypes)
    masked = w[:, used:].copy(), b[used:].copy()
    in_file = []
    for rate in rates:
        done = run(
            encoder, "train_step", embeddings=embeddings, onehot=onehot, class_mask=np.arange(classes) < used, W=w, b=b,
            learning_rate=[rate],
        )  # fmt: skip
        w, b = done["W"], done["b"]
        in_file.append(done["loss"].item())
    assert_near(w[:, :used], weights)
    assert_near(b[:used], bias)
    np.testing.assert_allclose(in_file, losses, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(w[:, used:], masked[0])
    np.testing.assert_array_equal(b[used:], masked[1])
    assert used == count or used == 1 or losses[-1] < losses[0]
