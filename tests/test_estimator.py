"""The estimator does as scikit-learn asks, and answers as the device does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.exceptions import NotFittedError
from sklearn.model_selection import StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.utils.estimator_checks import check_estimator
from support.blas import USUAL, WatchedImage, numpy_threads, usual_threads
from support.device import cli

from edge_meta import Classifier
from edge_meta.datasets import load_dataset
from edge_meta.errors import InputError, LabelError, StoreError
from edge_meta.estimator import FewShotClassifier

HEADS = ["prototype", "linear"]


@pytest.fixture(scope="module")
def letters() -> tuple[np.ndarray, np.ndarray]:
    """Images (60, H, W, 1) of six letters that the shipped encoder never saw, and their names (60,)."""
    data = load_dataset("glyphs", "test")
    chosen = np.flatnonzero(data.labels < 6).reshape(6, -1)[:, :10].ravel()
    return data.examples[chosen], np.array(data.class_names)[data.labels[chosen]]


@pytest.fixture(scope="module")
def embedded(letters: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """Their embeddings, (60, D)."""
    with Classifier.load("omniglot", tmp_path_factory.mktemp("embedded") / "store.db") as classifier:
        return np.stack([classifier.embed(image) for image in letters[0]])


# scikit-learn's habits


@pytest.mark.parametrize("head", HEADS)
def test_it_passes_all_of_scikit_learns_checks_that_can_run(head: str) -> None:
    done = check_estimator(FewShotClassifier(head=head), on_skip=None)
    skipped = {check["check_name"] for check in done if check["status"] == "skipped"}
    # The one needs an environment variable of SciPy's, the other pandas. No check is expected to fail.
    assert skipped <= {"check_array_api_input", "check_classifier_data_not_an_array"}
    assert {check["status"] for check in done} <= {"passed", "skipped"}
    assert len(done) > 50


def test_cross_validation_is_that_of_nearest_means(embedded: np.ndarray, letters: tuple[np.ndarray, np.ndarray]) -> None:
    names = letters[1]
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_score(FewShotClassifier(), embedded, names, cv=folds)
    exact, wanted = embedded.astype(np.float64), np.empty_like(names)
    for train, test in folds.split(exact, names):
        means = np.stack([exact[train][names[train] == name].mean(axis=0) for name in np.unique(names)])
        distances = ((exact[test][:, None] - means) ** 2).sum(axis=2)
        wanted[test] = np.unique(names)[distances.argmin(axis=1)]
    assert list(cross_val_predict(FewShotClassifier(), embedded, names, cv=folds)) == list(wanted)
    assert scores.mean() == pytest.approx((wanted == names).mean())
    assert scores.mean() > 0.8
    assert cross_val_score(FewShotClassifier(head="linear"), embedded, names, cv=folds).mean() > 0.8


def test_images_are_cross_validated_with_a_bundle(embedded: np.ndarray, letters: tuple[np.ndarray, np.ndarray]) -> None:
    images, names = letters
    of_images = cross_val_score(FewShotClassifier("omniglot"), images, names, cv=2)
    assert list(of_images) == list(cross_val_score(FewShotClassifier(), embedded, names, cv=2))


@pytest.mark.parametrize("labels", [np.repeat([7, -3, 0], 4), np.repeat([0.0, 2.0, 1.0], 4), np.repeat([True, False], 6)])
def test_labels_of_any_kind_come_back_as_they_were(labels: np.ndarray) -> None:
    rows = np.random.default_rng(0).normal(size=(12, 3)) + 10 * np.unique(labels, return_inverse=True)[1][:, None]
    predicted = FewShotClassifier().fit(rows, labels).predict(rows)
    np.testing.assert_array_equal(predicted, labels)
    assert predicted.dtype == labels.dtype


def test_without_scikit_learn_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import edge_meta.estimator"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        'needs scikit-learn, which is not installed. Run: pip install "edge-meta[sklearn]"' in done.stderr.splitlines()[-1]
    )


# The device's answers


@pytest.mark.parametrize("head", HEADS)
def test_its_answers_are_the_devices(letters: tuple[np.ndarray, np.ndarray], tmp_path: Path, head: str) -> None:
    images, names = letters
    shots = np.arange(60) % 10 < 3
    estimator = FewShotClassifier("omniglot", head=head).fit(images[shots], names[shots])
    with Classifier.load("omniglot", tmp_path / "store.db") as classifier:
        for name in np.unique(names):
            classifier.enroll(str(name), images[shots & (names == name)])
        if head == "linear":
            classifier.adapt()
        results = [classifier.classify(image, top_k=1) for image in images[~shots]]
    assert list(estimator.predict(images[~shots])) == [result.top[0].label for result in results]
    np.testing.assert_allclose(
        estimator.predict_proba(images[~shots]).max(axis=1), [result.top[0].score for result in results], rtol=1e-5
    )


@pytest.mark.parametrize("head", HEADS)
def test_learning_in_parts_is_learning_at_once(
    embedded: np.ndarray, letters: tuple[np.ndarray, np.ndarray], head: str
) -> None:
    names = letters[1]
    at_once = FewShotClassifier(head=head).fit(embedded, names)
    in_parts = FewShotClassifier(head=head)
    for start in range(0, 60, 15):  # classes come one after the other, the second in two parts
        in_parts.partial_fit(embedded[start : start + 15], names[start : start + 15])
    assert list(in_parts.classes_) == list(at_once.classes_) == sorted(set(names))
    np.testing.assert_allclose(in_parts.predict_proba(embedded), at_once.predict_proba(embedded), rtol=1e-3, atol=1e-6)


def test_announced_classes_score_0_before_their_first_shot(embedded: np.ndarray) -> None:
    estimator = FewShotClassifier().partial_fit(embedded[:20], np.repeat(["b", "c"], 10), classes=["a", "b", "c"])
    assert list(estimator.classes_) == ["a", "b", "c"]
    probabilities = estimator.predict_proba(embedded)
    assert not probabilities[:, 0].any()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)


# A store


def test_estimator_and_device_share_a_store(letters: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    images, _ = letters
    path = tmp_path / "store.db"
    FewShotClassifier("omniglot", store=path).fit(images[:20], np.repeat(["zeta", "beta"], 10))
    assert "beta: 10 shots" in cli("inspect", "omniglot", "--store", path).stdout
    with Classifier.load("omniglot", path) as classifier:
        classifier.enroll("alpha", images[20:30])
    estimator = FewShotClassifier("omniglot", store=path).partial_fit(images[30:40], ["gamma"] * 10)
    assert list(estimator.classes_) == ["alpha", "beta", "gamma", "zeta"]
    assert (estimator.predict(images[20:30]) == "alpha").mean() > 0.8


def test_fitting_never_overwrites_a_store(embedded: np.ndarray, tmp_path: Path) -> None:
    path, labels = tmp_path / "store.db", np.repeat(["a", "b"], 10)
    estimator = FewShotClassifier(store=path).fit(embedded[:20], labels)
    before = path.read_bytes()
    for again in (estimator, FewShotClassifier(store=path)):
        with pytest.raises(StoreError, match=r"store\.db holds classes already\. Add to them with partial_fit"):
            again.fit(embedded[:20], labels)
    with pytest.raises(LabelError, match=r"store\.db holds labels that are text"):
        FewShotClassifier(store=path).partial_fit(embedded[:20], np.repeat([1, 2], 10))
    assert path.read_bytes() == before
    assert estimator.partial_fit(embedded[:20], labels).snapshot_.counts.tolist() == [20, 20]


# What a user may get wrong


def test_mistakes_say_what_to_do(embedded: np.ndarray, letters: tuple[np.ndarray, np.ndarray]) -> None:
    images, names = letters
    with pytest.raises(NotFittedError):
        FewShotClassifier().predict(embedded)
    with pytest.raises(InputError, match="There is no head 'cosine'"):
        FewShotClassifier(head="cosine").fit(embedded, names)
    with pytest.raises(InputError, match="There is no solver 'newton'"):
        FewShotClassifier(head="linear", solver="newton").fit(embedded, names)
    with pytest.raises(StoreError, match="beyond"):
        FewShotClassifier().fit(embedded.astype(np.float64) * 1e39, names)
    with pytest.raises(StoreError, match="Multiply all embeddings"):
        FewShotClassifier().fit(embedded * 1e-9, names)
    with pytest.raises(InputError, match="dtype float32"):
        FewShotClassifier("omniglot").fit(images.astype(np.float32), names)
    with pytest.raises(InputError, match="No images"):
        FewShotClassifier("omniglot").fit(images[:5], names[:5]).predict(images[:0])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        FewShotClassifier("omniglot").fit(images, names[:5])


def test_numpy_has_one_thread_and_then_all() -> None:
    image = WatchedImage()
    with usual_threads():
        estimator = FewShotClassifier("omniglot", head="linear").fit([image] * 4, ["a", "a", "b", "b"])
        estimator.predict([image])
        assert image.seen == {1}
        assert numpy_threads() == USUAL
