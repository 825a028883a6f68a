"""The classifier: enroll, classify, adapt, forget and undo with drawn images and the shipped encoder."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.device import altered, bytes_in, draw, mixed, png, python, takes

from edge_meta import Classifier
from edge_meta.errors import BundleError, ColourWarning, EdgeMetaError, InputError, LabelError, StoreError
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.results import Enrolled
from edge_meta.store.store import Store
from edge_meta.store.undo import Undone

Pixels = NDArray[np.uint8]

KINDS = ["alef", "bet", "gimel", "dalet", "he"]


@pytest.fixture
def taught(classifier: Classifier) -> Classifier:
    """A classifier with five labels of 1, 2, 3, 4 and 5 shots."""
    for kind, label in enumerate(KINDS):
        classifier.enroll(label, takes(kind, kind + 1))
    return classifier


@pytest.fixture
def confused(classifier: Classifier) -> Classifier:
    """A classifier with three labels of 9 shots that prototypes confuse, and a better last layer does not."""
    for label in range(3):
        classifier.enroll(KINDS[label], mixed(label, 3))
    return classifier


# Enroll


def test_enroll_says_what_it_did(classifier: Classifier) -> None:
    assert tuple(classifier.enroll("alef", takes(0, 2))) == ("alef", 2, 2, 1)
    assert tuple(classifier.enroll("bet", takes(1, 1))) == ("bet", 1, 1, 2)
    done = classifier.enroll("alef", takes(0, 3, first=2))
    assert (done.label, done.added, done.shots, done.classes) == ("alef", 3, 5, 2)
    assert classifier.labels == ["alef", "bet"]
    assert [classifier.shots(label) for label in ("alef", "bet", "gimel")] == [5, 1, 0]


def test_arrays_of_any_size_paths_and_mixes_are_enrolled(tmp_path: Path, classifier: Classifier) -> None:
    path = png(tmp_path, "drawn.png", draw(0, 1, 64, 80))
    for images, count in [
        (np.stack([draw(0, take, 105, 105) for take in range(3)]), 3),
        (np.stack([draw(0, take, 17, 50) for take in range(2)])[..., None], 2),
        ([draw(0, 0, 105, 105), draw(0, 1, 9, 31), draw(0)[:, :, None]], 3),
        ([path, str(path)], 2),
        ((image for image in [draw(0), path]), 2),
    ]:
        assert classifier.enroll("alef", images).added == count
    assert classifier.shots("alef") == 12


def test_a_file_and_its_pixels_have_one_embedding(tmp_path: Path, classifier: Classifier) -> None:
    pixels = draw(2, 0, 90, 70)
    np.testing.assert_array_equal(classifier.embed(png(tmp_path, "drawn.png", pixels)), classifier.embed(pixels))


def test_an_image_object_has_the_embedding_of_its_file(tmp_path: Path, classifier: Classifier) -> None:
    path = png(tmp_path, "drawn.png", draw(2, 0, 90, 70))
    with Image.open(path) as image:
        palette = image.convert("P")
    palette.putpalette([255 - value // 3 for value in range(768)])  # so that an index is not its grey
    palette.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(classifier.embed(palette), classifier.embed(tmp_path / "palette.png"))
    assert classifier.enroll("alef", [palette, path]).added == 2


def test_embeddings_of_several_labels_are_enrolled_at_once(taught: Classifier) -> None:
    shots = {label: np.stack([taught.embed(image) for image in takes(7, 2)]) for label in ("new", "alef")}
    assert taught.enroll_embeddings(shots) == [Enrolled("new", 2, 2, 6), Enrolled("alef", 2, 3, 6)]
    assert taught.classify(draw(7, 3)).best.label in shots
    assert taught.undo() == Undone("enroll", None, 4)
    assert (taught.labels, taught.shots("alef")) == (KINDS, 1)


def test_a_colour_photo_for_a_grey_bundle_warns_once(tmp_path: Path, classifier: Classifier) -> None:
    photo = png(tmp_path, "photo.png", np.full((28, 28, 3), (200, 150, 60), np.uint8))
    with pytest.warns(ColourWarning, match=r"photo\.png is a colour photo"):
        classifier.enroll("alef", [photo])
    classifier.enroll("alef", [photo])
    classifier.classify(photo)


def test_a_grey_bundle_of_photos_takes_colours_in_silence(tmp_path: Path) -> None:
    photo = png(tmp_path, "photo.png", np.full((28, 28, 3), (200, 150, 60), np.uint8))
    bundle = altered(tmp_path, lambda fields: fields["training"].update(dataset="folder:photos"))
    with Classifier.load(bundle, tmp_path / "store.db") as classifier:
        classifier.enroll("alef", [photo])


def test_a_rename_is_seen_at_once(taught: Classifier) -> None:
    assert taught.rename("alef", "aleph") == 1
    assert taught.labels == ["aleph", *KINDS[1:]]
    assert taught.classify(draw(0, 9)).top[0].label == "aleph"
    taught.undo()
    assert taught.labels == KINDS


@pytest.mark.parametrize("images", [[], np.zeros((0, 28, 28), np.uint8)])
def test_no_images_are_an_error(classifier: Classifier, images: Any) -> None:
    with pytest.raises(InputError, match="No images"):
        classifier.enroll("alef", images)
    assert classifier.labels == []


def test_nothing_is_enrolled_when_one_file_is_bad(tmp_path: Path, taught: Classifier) -> None:
    good, bad = png(tmp_path, "good.png", draw(0)), png(tmp_path, "bad.png", draw(0))
    bad.write_bytes(bad.read_bytes()[:100])
    for label in ("alef", "new"):
        with pytest.raises(InputError, match=r"bad\.png is not a readable image"):
            taught.enroll(label, [good, good, bad, good])
    assert taught.labels == KINDS
    assert taught.shots("alef") == 1


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((28, 28, 3), np.uint8),
        np.zeros((2, 28, 28, 1), np.uint8),
        np.zeros(784, np.uint8),
        np.full((28, 28), np.nan),
        np.zeros((28, 28), np.float32),
        np.zeros((28, 28), bool),
        np.zeros((0, 28), np.uint8),
    ],
    ids=lambda image: f"{image.dtype}{list(image.shape)}",
)
def test_arrays_that_are_no_image_are_refused(taught: Classifier, image: NDArray[Any]) -> None:
    with pytest.raises(InputError):
        taught.classify(image)
    with pytest.raises(InputError):
        taught.enroll("alef", [draw(0), image])
    assert taught.shots("alef") == 1


@pytest.mark.parametrize("label", ["", "  ", "\ud800"])
def test_what_is_no_label_is_refused(classifier: Classifier, label: str) -> None:
    with pytest.raises(LabelError):
        classifier.enroll(label, takes(0, 1))
    assert classifier.labels == []


def test_one_label_in_several_forms_is_one_class(classifier: Classifier) -> None:
    assert tuple(classifier.enroll("Cafe\u0301", takes(0, 1))) == ("Café", 1, 1, 1)
    assert tuple(classifier.enroll(" Café\n", takes(0, 2))) == ("Café", 2, 3, 1)
    shots = {form: classifier.embed(draw(0))[None] for form in ("Café", "Cafe\u0301")}
    assert [tuple(done) for done in classifier.enroll_embeddings(shots)] == [("Café", 2, 5, 1)]
    assert (classifier.labels, classifier.shots("Cafe\u0301")) == (["Café"], 5)
    assert classifier.forget("Cafe\u0301").shots == 5


def test_a_label_of_an_older_store_is_found_by_its_usual_form(classifier: Classifier) -> None:
    for label in ("Cafe\u0301", "two\nlines"):
        classifier.store.enroll(label, classifier.embed(draw(0))[None])
    assert tuple(classifier.enroll("Café", takes(0, 1))) == ("Cafe\u0301", 1, 2, 2)
    classifier.rename("two\nlines", "one line")
    with pytest.raises(LabelError, match="enrolled already"):
        classifier.rename("one line", "Café")
    assert classifier.rename("Café", "Café") == 2
    assert classifier.labels == ["Café", "one line"]


# Classify


def test_new_takes_are_classified_with_scores_that_sum_to_one(tmp_path: Path, taught: Classifier) -> None:
    for kind, label in enumerate(KINDS):
        result = taught.classify(draw(kind, 100), top_k=5)
        assert result.top[0].label == label
        assert sorted(near.label or "" for near in result.top) == sorted(KINDS)
        assert sum(near.score for near in result.top) == pytest.approx(1.0, abs=1e-6)
        scores, distances = [near.score for near in result.top], [near.distance for near in result.top]
        assert scores == sorted(scores, reverse=True)
        assert distances == sorted(distances)
        assert taught.classify(png(tmp_path, f"{label}.png", draw(kind, 100)), top_k=5) == result


def test_distances_and_scores_are_those_of_float64(taught: Classifier) -> None:
    prototypes = {
        label: np.mean([taught.embed(image).astype(np.float64) for image in takes(kind, kind + 1)], axis=0)
        for kind, label in enumerate(KINDS)
    }
    for kind in range(8):
        query = taught.embed(draw(kind, 50)).astype(np.float64)
        distances = {label: float(((query - prototype) ** 2).sum()) for label, prototype in prototypes.items()}
        total = np.logaddexp.reduce([-distance for distance in distances.values()])
        for near in taught.classify(draw(kind, 50), top_k=5).top:
            assert near.label is not None
            assert near.distance == pytest.approx(distances[near.label], rel=1e-5, abs=1e-6)
            assert near.score == pytest.approx(np.exp(-distances[near.label] - total), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("top_k", "listed"), [(1, 1), (3, 3), (5, 5), (99, 5)])
def test_top_lists_as_many_as_asked_and_there_are(taught: Classifier, top_k: int, listed: int) -> None:
    assert len(taught.classify(draw(0), top_k).top) == listed


def test_an_enrolled_image_is_known(taught: Classifier) -> None:
    result = taught.classify(draw(0))  # alef's only shot, so at no distance
    assert result.known
    assert result.best == result.top[0]
    assert result.best.label == "alef"
    assert result.best.distance == pytest.approx(0.0, abs=1e-9)


def rejecting(far: float, one_shot: float = 0.0) -> Callable[[dict[str, Any]], None]:
    """A manifest that knows a label of n shots up to far + one_shot / n, at any rate, however many labels there are."""
    table = [[[far + one_shot] * 2], [[far + one_shot / 5] * 2]]
    fixed = {"labels": [1], "rates": [0.01, 0.05], "shots": [1, 5], "far": table, "spread": 1e9}
    return lambda fields: fields["rejection"].update(fixed)


@pytest.mark.parametrize(
    ("change", "known"),
    [
        (rejecting(1e-9), False),
        (rejecting(1e9), True),
        (rejecting(1e-9, one_shot=1e9), True),
        (lambda fields: fields.update(rejection=None), True),
    ],
)
def test_the_manifest_decides_who_is_unknown(tmp_path: Path, change: Callable[[dict[str, Any]], None], known: bool) -> None:
    with Classifier.load(altered(tmp_path, change), tmp_path / "store.db") as classifier:
        classifier.enroll("alef", takes(0, 3))
        classifier.enroll("bet", takes(1, 3))
        result = classifier.classify(draw(0, 9))
    assert result.known is known
    assert result.best.label == ("alef" if known else None)
    assert [near.label for near in result.top] == ["alef", "bet"]
    assert result.best[1:] == result.top[0][1:]


@pytest.mark.parametrize(("false_accept", "known"), [(None, True), (0.05, True), (0.02, True), (0.01, False)])
def test_a_smaller_false_accept_rate_makes_more_unknown(tmp_path: Path, false_accept: float | None, known: bool) -> None:
    def steep(fields: dict[str, Any]) -> None:
        rejecting(1.0)(fields)
        fields["rejection"]["far"] = [[[1e-9, 1e30]]] * 2

    with Classifier.load(altered(tmp_path, steep), tmp_path / "store.db", false_accept=false_accept) as classifier:
        classifier.enroll("alef", takes(0, 3))
        assert classifier.classify(draw(0, 9)).known is known


@pytest.mark.parametrize("rate", [0.0, 0.6, -1.0, float("nan")])
def test_a_rate_that_was_not_calibrated_is_refused(tmp_path: Path, rate: float) -> None:
    with pytest.raises(InputError, match="not calibrated for a false-accept rate"):
        Classifier.load("omniglot", tmp_path / "store.db", false_accept=rate)


def test_a_bundle_without_calibration_takes_no_rate(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not calibrated for unknown"):
        Classifier.load(
            altered(tmp_path, lambda fields: fields.update(rejection=None)), tmp_path / "store.db", false_accept=0.05
        )


def test_more_shots_draw_the_line_nearer(tmp_path: Path) -> None:
    with Classifier.load(altered(tmp_path, rejecting(1e-9)), tmp_path / "measured.db") as classifier:
        classifier.enroll("alef", np.repeat(takes(0, 1), 4, axis=0))
        distance = classifier.classify(draw(0, 9)).best.distance
    assert distance > 0
    # The line is at twice the distance for one shot and at half of it for four.
    with Classifier.load(
        altered(tmp_path, rejecting(1e-9, 2 * distance), name="one.bundle"), tmp_path / "one.db"
    ) as classifier:
        classifier.enroll("alef", takes(0, 1))
        assert classifier.classify(draw(0, 9)).known
        classifier.enroll("alef", np.repeat(takes(0, 1), 3, axis=0))
        assert not classifier.classify(draw(0, 9)).known


def test_with_nothing_enrolled_there_is_nothing_to_say(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"Nothing is enrolled in .*store\.db"):
        classifier.classify(draw(0))
    assert classifier.labels == []
    assert not (tmp_path / "store.db").exists()


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        (np.zeros(5, np.float32), r"shape \(5,\) was given; the bundle's have \(112,\)"),
        (np.zeros((1, 112), np.float32), r"shape \(1, 112\) was given"),
        (np.full(112, np.nan, np.float32), "not finite"),
        (np.full(112, 1e39), "not finite"),
        (["alef"] * 112, "not an array of numbers"),
    ],
    ids=["length", "rank", "nan", "large", "text"],
)
def test_an_embedding_that_is_none_is_refused(taught: Classifier, given: Any, cause: str) -> None:
    with pytest.raises(InputError, match=cause):
        taught.classify_embedding(given)


def test_a_list_of_numbers_is_an_embedding(taught: Classifier) -> None:
    embedding = taught.embed(draw(1))
    assert taught.classify_embedding(embedding.tolist()) == taught.classify_embedding(embedding)


@pytest.mark.parametrize("value", [1e-9, 2.0**-17])
def test_embeddings_that_a_store_rounds_away_are_refused(classifier: Classifier, value: float) -> None:
    shots = np.full((2, 112), value, np.float32)
    shots[0] = 1.0
    with pytest.raises(StoreError, match=r"no value beyond .* Multiply all embeddings"):
        classifier.enroll_embeddings({"alef": shots})
    assert classifier.labels == []
    classifier.enroll_embeddings({"alef": np.zeros((1, 112), np.float32), "bet": shots[1:] / value * 2.0**-16})
    assert classifier.labels == ["alef", "bet"]


# Adapt, forget, undo


@pytest.mark.parametrize("solver", [None, "lda", "gradient", "ridge"])
def test_adapt_moves_the_head_and_says_what_it_gains(confused: Classifier, solver: str | None) -> None:
    before = confused.classify(draw(0, 100))
    done = confused.adapt(solver=solver)
    after = confused.classify(draw(0, 100))
    assert (done.shots, done.classes, done.held_out) == (27, 3, 27)
    assert (done.changed, done.solver) == (True, solver or "lda")
    allowed = len(confused.bundle.manifest.learning_rates) if solver == "gradient" else 0
    assert done.steps == done.steps_allowed == allowed
    assert done.loss_after < done.loss_before
    assert (done.held_out_loss_after or 0.0) < (done.held_out_loss_before or 0.0)
    assert (done.held_out_accuracy_after or 0.0) > (done.held_out_accuracy_before or 1.0)
    assert [near.score for near in after.top] != [near.score for near in before.top]
    assert {near.label: near.distance for near in after.top} == pytest.approx(
        {near.label: near.distance for near in before.top}, rel=1e-6
    )


def test_adapting_again_starts_from_the_prototypes_again(confused: Classifier) -> None:
    done = confused.adapt(steps=20, learning_rate=0.1)
    before = confused.classify(draw(0, 100))
    confused.adapt(solver="ridge")
    assert confused.classify(draw(0, 100)) != before
    assert confused.adapt(steps=20, learning_rate=0.1) == done
    assert confused.classify(draw(0, 100)) == before


def test_new_takes_are_right_more_often_after_adapting(confused: Classifier) -> None:
    images = [mixed(label, 10, first=50) for label in range(3)]

    def right() -> float:
        answers = [[confused.classify(image).top[0].label == KINDS[label] for image in images[label]] for label in range(3)]
        return float(np.mean(answers))

    before = right()
    confused.adapt()
    assert right() > before


def test_top_is_in_the_order_of_the_adapted_head(confused: Classifier) -> None:
    confused.adapt()
    tops = [confused.classify(draw(kind)).top for kind in range(40)]
    assert any(top[0] != min(top, key=lambda near: near.distance) for top in tops)
    for top in tops:
        assert [near.score for near in top] == sorted((near.score for near in top), reverse=True)


@pytest.mark.parametrize(
    "options", [{"steps": 1, "learning_rate": 1e-12}, {"learning_rate": 1e30}, {"learning_rate": 1e300}]
)
def test_where_prototypes_do_best_the_head_stays_theirs(confused: Classifier, options: dict[str, Any]) -> None:
    before = confused.classify(draw(0, 100))
    done = confused.adapt(**options)
    assert (done.changed, done.steps, done.loss_after) == (False, 0, done.loss_before)
    assert (done.held_out_loss_after, done.held_out_accuracy_after) == (
        done.held_out_loss_before, done.held_out_accuracy_before,
    )  # fmt: skip
    assert confused.classify(draw(0, 100)) == before
    assert confused.undo().action == "adapt"  # and not the enroll before it, whose shots would be gone
    assert confused.classify(draw(0, 100)) == before


def test_an_earlier_adaptation_goes_where_prototypes_do_best(confused: Classifier) -> None:
    by_prototypes = confused.classify(draw(0, 100))
    confused.adapt()
    before = confused.classify(draw(0, 100))
    assert before != by_prototypes
    assert not confused.adapt(learning_rate=1e30).changed
    assert confused.classify(draw(0, 100)) == by_prototypes
    assert confused.undo().action == "adapt"
    assert confused.classify(draw(0, 100)) == before


def learned(fields: dict[str, Any]) -> None:
    fields["head"].update(steps=2, learning_rates=[0.5, 0.3], learned=True)


@pytest.mark.parametrize(("change", "changed"), [(lambda fields: None, False), (learned, True)])
def test_one_shot_a_label_is_adapted_only_by_learned_rates(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], changed: bool
) -> None:
    with Classifier.load(altered(tmp_path, change), tmp_path / "store.db") as classifier:
        for kind in range(3):
            classifier.enroll(KINDS[kind], takes(kind, 1))
        done = classifier.adapt()
        assert (done.changed, done.held_out, done.held_out_loss_before) == (changed, 0, None)
        assert done.steps == (2 if changed else 0)
        assert bool(classifier.store.snapshot().columns) is changed


def test_the_adapted_head_is_that_of_float64(confused: Classifier) -> None:
    assert confused.adapt(steps=3, learning_rate=0.1).steps == 3
    shots = np.stack([confused.embed(image) for label in range(3) for image in mixed(label, 3)]).astype(np.float64)
    truth = np.repeat(np.eye(3), 9, axis=0)
    prototypes = truth.T @ shots / 9
    weights, bias = 2.0 * prototypes.T, -(prototypes**2).sum(axis=1)
    for _ in range(3):
        logits = shots @ weights + bias
        excess = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)) - truth
        weights, bias = weights - 0.1 * shots.T @ excess / len(shots), bias - 0.1 * excess.mean(axis=0)
    logits = confused.embed(draw(3, 100)).astype(np.float64) @ weights + bias
    scores = dict(zip(KINDS, np.exp(logits - np.logaddexp.reduce(logits)), strict=False))
    for near in confused.classify(draw(3, 100)).top:
        assert near.score == pytest.approx(scores[near.label or ""], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("labels", [0, 1])
def test_adapting_fewer_than_two_labels_is_an_error(classifier: Classifier, labels: int) -> None:
    for kind in range(labels):
        classifier.enroll(KINDS[kind], takes(kind, 3))
    with pytest.raises(LabelError, match="at least two"):
        classifier.adapt()


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0}, {"steps": -1}, {"learning_rate": 0.0}, {"learning_rate": -0.1}, {"learning_rate": float("nan")},
        {"learning_rate": float("inf")}, {"solver": "newton"}, {"solver": "lda"},
    ],
    ids=str,
)  # fmt: skip
def test_impossible_steps_and_rates_change_nothing(taught: Classifier, options: dict[str, Any]) -> None:
    before = taught.classify(draw(0, 100), 5)
    with pytest.raises(InputError):
        taught.adapt(**{"steps": 5, **options})
    assert taught.classify(draw(0, 100), 5) == before


def test_a_bundle_without_learning_rates_is_an_error(tmp_path: Path) -> None:
    folder = altered(tmp_path, lambda fields: fields["head"].update(steps=0, learning_rates=[]))

    def adapt(steps: int | None) -> None:
        with Classifier.load(folder, tmp_path / "store.db") as classifier:
            classifier.enroll("alef", takes(0, 1))
            classifier.enroll("bet", takes(1, 1))
            classifier.adapt(steps)

    for steps in (None, 3):
        with pytest.raises(EdgeMetaError):
            adapt(steps)


def test_undo_takes_an_adaptation_back(confused: Classifier) -> None:
    before = confused.classify(draw(2, 100), 3)
    confused.adapt()
    assert confused.classify(draw(2, 100), 3) != before
    undone = confused.undo()
    assert (undone.action, undone.label) == ("adapt", None)
    assert confused.classify(draw(2, 100), 3) == before


def test_forget_and_undo_are_seen_at_once(taught: Classifier) -> None:
    before = taught.classify(draw(2, 100), 5)
    taught.enroll("gimel", takes(4, 5))
    assert taught.classify(draw(2, 100), 5) != before
    undone = taught.undo()
    assert (undone.action, undone.label, undone.shots) == ("enroll", "gimel", 5)
    assert taught.classify(draw(2, 100), 5) == before

    assert taught.forget("gimel").shots == 3
    assert taught.labels == ["alef", "bet", "dalet", "he"]
    assert "gimel" not in [near.label for near in taught.classify(draw(2, 100), 5).top]
    with pytest.raises(LabelError):
        taught.forget("gimel")
    assert taught.forget("he", taught.store.shots()[-1][1]).shots == 1
    assert taught.shots("he") == 4


@pytest.mark.parametrize("solver", ["lda", "gradient", "ridge"])
def test_labels_enrolled_after_adapting_go_by_prototype(confused: Classifier, solver: str) -> None:
    confused.adapt(solver=solver)
    confused.enroll("vav", takes(20, 3))
    confused.enroll("bet", mixed(1, 1, first=10))
    snapshot = confused.store.snapshot()
    assert sorted(snapshot.labels[k] for k in snapshot.columns) == ["alef", "gimel"]
    answers = [confused.classify(image).top[0].label for image in takes(20, 10, first=50)]
    assert answers == ["vav"] * 10
    images = [(KINDS[label], image) for label in range(3) for image in mixed(label, 10, first=50)]
    assert np.mean([confused.classify(image).top[0].label == label for label, image in images]) > 0.6


# Loading, sharing, closing


def test_what_was_taught_is_there_after_loading_again(taught: Classifier, bundle: Bundle, tmp_path: Path) -> None:
    taught.adapt()
    before = taught.classify(draw(4, 100), 5)
    taught.close()
    with Classifier.load("omniglot", store=str(tmp_path / "store.db")) as again:
        assert again.labels == KINDS
        assert again.classify(draw(4, 100), 5) == before


def test_leaving_the_block_closes_the_store(bundle: Bundle, tmp_path: Path) -> None:
    with Classifier.load(bundle, tmp_path / "shop" / "closed.db") as classifier:
        classifier.enroll("alef", takes(0, 1))
        assert len(list((tmp_path / "shop").iterdir())) > 1
    assert [file.name for file in (tmp_path / "shop").iterdir()] == ["closed.db"]


def test_an_empty_store_names_the_newest_of_another_encoder(bundle: Bundle, data_folder: Path) -> None:
    folder = data_folder / "edge_meta"
    folder.mkdir(parents=True)
    for age, name in enumerate(("omniglot-0123456789ab", "omniglot-fedcba987654", "letters-aaaaaaaaaaaa")):
        (folder / f"{name}.db").touch()
        os.utime(folder / f"{name}.db", (1000 - age, 1000 - age))
    with Classifier.load(bundle) as classifier:
        with pytest.raises(LabelError, match=r"edge-meta migrate BUNDLE \S+omniglot-0123456789ab\.db takes it over"):
            classifier.classify(draw(0))
        classifier.enroll("alef", draw(0)[None])
        classifier.forget("alef")
        with pytest.raises(LabelError, match=r"Another encoder of this bundle left \S+omniglot-0123456789ab\.db"):
            classifier.classify(draw(0))
    with Classifier.load(bundle, folder / "mine.db") as classifier, pytest.raises(LabelError) as caught:
        classifier.classify(draw(0))
    assert caught.value.remedy == "Enroll first: edge-meta enroll BUNDLE LABEL FILE..."


def test_the_default_store_is_in_the_users_data_folder(bundle: Bundle, data_folder: Path) -> None:
    with Classifier.load("omniglot") as classifier:
        classifier.enroll("alef", takes(0, 1))
    encoder_id = bundle.manifest.encoder_id
    assert [file.name for file in (data_folder / "edge_meta").iterdir()] == [f"omniglot-{encoder_id[:12]}.db"]


def test_changes_by_others_count_in_the_next_classify(taught: Classifier, bundle: Bundle, tmp_path: Path) -> None:
    with Classifier.load(bundle, tmp_path / "store.db") as other:
        other.enroll("vav", takes(7, 2))
        assert taught.classify(draw(7, 100)).top[0].label == "vav"
        taught.forget("vav")
        assert other.labels == KINDS
    image = png(tmp_path, "zayin.png", draw(8))
    done = python(tmp_path, "-m", "edge_meta", "enroll", "omniglot", "zayin", image, "--store", tmp_path / "store.db")
    assert done.returncode == 0, done.stderr
    assert taught.classify(draw(8)).top[0].label == "zayin"


def test_eight_threads_may_share_a_classifier(classifier: Classifier) -> None:
    classifier.enroll("start", takes(99, 1))

    def work(kind: int) -> list[str | None]:
        answers = []
        for take in range(3):
            classifier.enroll(f"kind {kind}", takes(kind, 1, first=take))
            answers.append(classifier.classify(draw(kind, take)).top[0].label)
            assert f"kind {kind}" in classifier.labels
        return answers

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(work, range(8)))
    assert answers == [[f"kind {kind}"] * 3 for kind in range(8)]
    assert sorted(classifier.labels) == [*(f"kind {kind}" for kind in range(8)), "start"]
    assert [classifier.shots(f"kind {kind}") for kind in range(8)] == [3] * 8


def test_a_seeded_bundle_starts_a_new_store_and_is_never_written(taught: Classifier, tmp_path: Path) -> None:
    taught.adapt()
    wanted = taught.classify(draw(0, 100), 5)
    taught.close()
    folder = altered(tmp_path, files={"prototypes.db": (tmp_path / "store.db").read_bytes()})
    before = bytes_in(folder)
    for store in ("first.db", "second.db"):
        with Classifier.load(folder, tmp_path / store) as classifier:
            assert classifier.classify(draw(0, 100), 5) == wanted
            classifier.enroll("vav", takes(7, 1))
            classifier.forget("alef")
    assert bytes_in(folder) == before
    with Classifier.load(folder, tmp_path / "first.db") as classifier:
        assert classifier.labels == ["bet", "gimel", "dalet", "he", "vav"]


def test_a_store_of_another_encoder_is_refused(taught: Classifier, tmp_path: Path) -> None:
    taught.close()
    with pytest.raises(StoreError, match="two encoders never mix"):
        Classifier.load(altered(tmp_path, lambda fields: fields.update(encoder_id="f" * 32)), tmp_path / "store.db")


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields["embedding"].update(dim=32),
        lambda fields: fields["input"].update(height=32),
        lambda fields: fields["input"].update(channels=3),
    ],
)
def test_a_manifest_that_does_not_fit_its_model_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(BundleError, match=r"encoder\.tflite takes \(1, 28, 28, 1\) and gives 112 values"):
        Classifier.load(altered(tmp_path, change), tmp_path / "store.db")


@pytest.mark.parametrize("model", [b"", b"not a model", b"\x1c\0\0\0ONNX" + bytes(1000)])
def test_a_model_that_is_none_is_refused_even_with_its_checksum(tmp_path: Path, model: bytes) -> None:
    with pytest.raises(BundleError, match=r"encoder\.tflite"):
        Classifier.load(altered(tmp_path, files={"encoder.tflite": model}), tmp_path / "store.db")


def test_a_closed_classifier_says_so_and_leaves_its_file_alone(taught: Classifier) -> None:
    taught.close()
    with pytest.raises(StoreError, match="was closed"):
        taught.classify(draw(0))
    with pytest.raises(StoreError, match="was closed"):
        assert taught.labels


def test_a_forgotten_label_is_gone_before_its_bytes_are(taught: Classifier) -> None:
    store = Store(taught.store.path, taught.store.encoder_id, taught.store.dim, busy_seconds=0.05)
    classifier = Classifier(taught.bundle, taught.encoder, store)
    with store, closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM labels").fetchone()
        assert classifier.forget(KINDS[0]).scrub_pending
        assert KINDS[0] not in classifier.labels
        assert all(near.label != KINDS[0] for near in classifier.classify(draw(0), 5).top)


def test_limits_say_up_to_which_distance_a_label_is_known(classifier: Classifier) -> None:
    for kind in range(3):
        classifier.enroll(str(kind), takes(kind, 2))
    limits = classifier.limits()
    assert (limits.dtype, limits.shape) == (np.float64, (3,))
    for kind in range(6):
        result = classifier.classify(draw(kind, 5))
        assert result.known == (result.top[0].distance <= limits[int(str(result.top[0].label))])
    classifier.forget("1")
    assert classifier.limits().shape == (2,)


def test_limits_are_infinite_without_a_calibration(tmp_path: Path) -> None:
    bundle = altered(tmp_path, lambda fields: fields.update(rejection=None))
    with Classifier.load(bundle, tmp_path / "store.db") as classifier:
        classifier.enroll("ink", takes(0, 1))
        assert classifier.limits().tolist() == [np.inf]


def test_a_classifier_and_its_bundle_are_shown_in_a_line(taught: Classifier) -> None:
    assert repr(taught) == "<Classifier omniglot: 5 labels, 15 shots, store.db>"
    made_by = taught.bundle.manifest.encoder_id[:12]
    assert repr(taught.bundle) == f"<Bundle omniglot: 28×28×1 image to 112 values, int8, {made_by}>"
