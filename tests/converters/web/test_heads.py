"""The page's heads against the runtime's: labels equal, distances and limits within 1e-4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.device import altered
from support.web import in_node, needs_node, packed

from edge_meta import Classifier
from edge_meta.evaluation.doubtful_shots import doubtful_shots
from edge_meta.heads.adaptation import AdaptationConfig
from edge_meta.runtime.bundle import Bundle
from edge_meta.store.archive import write_archive
from edge_meta.types import Array

pytestmark = needs_node

CLASSIFY = """
import {readArchive} from './archive.js';
import {Classifier, adapt} from './classifier.js';

const {manifest} = asked;
const store = readArchive(unpacked(asked.archive), manifest.encoder_id, manifest.embedding.dim);
const fitted = asked.adapt ? adapt(store, manifest) : null;
const classifier = new Classifier(store, manifest);
const answers = asked.queries.map((query) => classifier.classify(floats(query)));
const alike = asked.alike.map(([label, shot]) => classifier.lookAlike(floats(shot), label));
console.log(JSON.stringify({answers, limits: classifier.limits, alike, chosen: fitted?.chosen}));
"""


def drawn(seed: int, count: int, dim: int, spread: float = 1.0) -> tuple[Array, Array]:
    """Class means (8, dim), and noise (count, dim) around them."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(8, dim)) * 3.0 / dim**0.5
    return means.astype(np.float32), (rng.normal(size=(count, dim)) * spread / dim**0.5).astype(np.float32)


def asked_of(classifier: Classifier, folder: Path, **more: Any) -> Any:
    """Ask the page as the classifier stands; the store's archive and the manifest are passed."""
    write_archive(classifier.store, folder / "store.npz")
    manifest = json.loads(classifier.bundle.manifest.to_json())
    archive = packed((folder / "store.npz").read_bytes())
    return in_node(
        folder / "page", CLASSIFY, **{"archive": archive, "manifest": manifest, "adapt": False, "alike": [], **more}
    )


def require_equal(found: list[Any], classifier: Classifier, queries: Array) -> None:
    for answer, query in zip(found, queries, strict=True):
        expected = classifier.classify_embedding(query)
        assert (answer["label"], answer["known"]) == (expected.best.label, expected.known)
        assert [near["label"] for near in answer["top"]] == [near.label for near in expected.top]
        for name in ("score", "distance"):
            values = [getattr(near, name) for near in expected.top]
            np.testing.assert_allclose([near[name] for near in answer["top"]], values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("bundle", ["omniglot", "objects"])
@pytest.mark.parametrize("none", [0, 3])
@pytest.mark.parametrize(("labels", "keep_shots"), [(1, True), (2, True), (5, True), (8, True), (8, False)])
def test_a_thousand_answers_are_those_of_the_runtime(
    tmp_path: Path, bundle: str, labels: int, keep_shots: bool, none: int
) -> None:
    dim = Bundle.open(bundle).manifest.dim
    means, noise = drawn(labels, 1200, dim, 2.5)
    with Classifier.load(bundle, tmp_path / "a.db", keep_shots=keep_shots) as classifier:
        for label in range(labels):
            classifier.enroll_embeddings({f"class {label}": means[label] + noise[8 * label : 8 * label + 1 + label]})
        if none:
            classifier.enroll_none_embeddings(means[:none] * 0.7 + noise[100 : 100 + none])
        queries = means[np.arange(1000) % 8] + noise[200:1200] * np.linspace(0.2, 2.0, 1000, dtype=np.float32)[:, None]
        found = asked_of(classifier, tmp_path, queries=[packed(query) for query in queries])
        np.testing.assert_allclose(found["limits"], classifier.limits(), rtol=1e-5)
        require_equal(found["answers"], classifier, queries)
        assert none or {answer["known"] for answer in found["answers"]} == {True, False}


@pytest.mark.parametrize(("bundle", "learned"), [("omniglot", False), ("omniglot", True), ("objects", False)])
def test_adapting_fits_the_head_that_the_runtime_fits(tmp_path: Path, bundle: str, learned: bool) -> None:
    def learn(fields: dict[str, Any]) -> None:
        fields["head"]["learned"] = learned

    source = altered(tmp_path, learn) if bundle == "omniglot" else Bundle.open(bundle)
    with Classifier.load(source, tmp_path / "a.db") as classifier:
        dim = classifier.bundle.manifest.dim
        scales = np.where(np.arange(dim) < dim // 4, 12.0, 0.5).astype(np.float32)  # noise of some directions
        means, noise = drawn(7, 300, dim)
        for label in range(6):
            classifier.enroll_embeddings(
                {f"class {label}": means[label] + scales * noise[8 * label : 8 * label + 8 - label]}
            )
        queries = (means[np.arange(200) % 8] + scales * noise[100:]).astype(np.float32)
        found = asked_of(classifier, tmp_path, adapt=True, queries=[packed(query) for query in queries])
        before = [classifier.classify_embedding(query).top[0].score for query in queries]
        classifier.adapt()
        require_equal(found["answers"], classifier, queries)
        assert found["chosen"] > 0
        assert [classifier.classify_embedding(query).top[0].score for query in queries] != before
        classifier.enroll_embeddings({"later": means[6:7]})  # its column comes from its prototype
        found = asked_of(classifier, tmp_path, queries=[packed(query) for query in queries])
        require_equal(found["answers"], classifier, queries)


@pytest.mark.parametrize("shots", [1, 2, 30])
def test_the_chosen_head_is_the_runtimes_at_any_number_of_shots(tmp_path: Path, shots: int) -> None:
    means, noise = drawn(shots, 200, 16, 3.0)
    labels = np.repeat(np.arange(4), shots)
    embeddings = means[labels] + noise[: len(labels)]
    prototypes = np.stack([embeddings[labels == label].mean(axis=0) for label in range(4)])
    script = """
    import {fit} from './adapt.js';
    const found = fit(asked.embeddings.map(floats), asked.labels, asked.prototypes.map(floats), {learning_rates: [1]});
    console.log(JSON.stringify({...found, head: found.head?.map(({weights, bias}) => [...weights, bias])}));
    """
    rows = {"embeddings": [packed(row) for row in embeddings], "prototypes": [packed(row) for row in prototypes]}
    found = in_node(tmp_path / "page", script, labels=labels.tolist(), **rows)
    expected = AdaptationConfig.of((1.0,), False).fit(embeddings, labels, prototypes)
    assert (found["chosen"], found["judged"]) == (expected.chosen, expected.judged)
    if expected.before:
        assert found["before"]["loss"] == pytest.approx(expected.before.loss, rel=1e-4)
        assert found["after"]["accuracy"] == expected.after.accuracy
    if expected.chosen:
        head = np.array(found["head"])
        np.testing.assert_allclose(head[:, :-1].T, expected.head.weights, rtol=2e-4, atol=2e-4)
        np.testing.assert_allclose(head[:, -1], expected.head.bias, rtol=2e-4, atol=2e-4)


def test_shots_that_look_like_another_label_are_those_of_enroll(tmp_path: Path) -> None:
    means, noise = drawn(3, 60, 112, 12.0)
    with Classifier.load("omniglot", tmp_path / "a.db") as classifier:
        shots = {f"class {label}": means[label] + noise[4 * label : 4 * label + 4] for label in range(8)}
        classifier.enroll_embeddings(shots)
        named = {label: [(f"{label} {row}", shot) for row, shot in enumerate(rows)] for label, rows in shots.items()}
        expected = {doubt.path: doubt.other for doubt in doubtful_shots(named, {}, classifier.store.snapshot())}
        pairs = [(label, path, shot) for label, rows in named.items() for path, shot in rows]
        found = asked_of(classifier, tmp_path, queries=[], alike=[(label, packed(shot)) for label, _, shot in pairs])
    assert expected
    assert {path: other for (_, path, _), other in zip(pairs, found["alike"], strict=True) if other} == expected
