"""The head: scores, distances and ranking against float64, and following changes label by label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.device import draw, takes

from edge_meta import Classifier
from edge_meta.errors import InputError
from edge_meta.heads import linear
from edge_meta.heads.scoring import FEW, ScoringHead
from edge_meta.runtime.bundle import Bundle
from edge_meta.store.reader import Snapshot
from edge_meta.store.store import Store
from edge_meta.types import Array

SIZES = pytest.mark.parametrize("labels", [1, 2, FEW, FEW + 1, 3000])


def enrolled(labels: int, dim: int = 24, offset: float = 0.0, seed: int = 0, moved: int = 0) -> Snapshot:
    """A snapshot of random prototypes around an offset, of whose columns some have been moved."""
    rng = np.random.default_rng(seed)
    prototypes = (rng.normal(size=(labels, dim)) + offset).astype(np.float32)
    columns = {
        int(k): (rng.normal(size=dim).astype(np.float32), float(np.float32(rng.normal())))
        for k in rng.permutation(labels)[:moved]
    }
    names = tuple(f"label {k}" for k in range(labels))
    return Snapshot(names, rng.integers(1, 9, labels), prototypes, rng.uniform(size=labels), columns)


def by_definition(snapshot: Snapshot, embedding: Array) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scores and squared distances in float64."""
    wide, prototypes = embedding.astype(np.float64), snapshot.prototypes.astype(np.float64)
    distances = ((prototypes - wide) ** 2).sum(axis=1)
    logits = wide @ wide - distances
    if snapshot.columns:
        weights, bias = linear.linear_from_columns(snapshot.prototypes, snapshot.columns)
        logits = wide @ weights.astype(np.float64) + bias
    return np.exp(logits - np.logaddexp.reduce(logits)), distances


@SIZES
@pytest.mark.parametrize("offset", [0.0, 3.0, 300.0, 20000.0])
@pytest.mark.parametrize("top_k", [1, 3, 99999])
def test_ranking_scores_and_distances_are_those_of_float64(labels: int, offset: float, top_k: int) -> None:
    snapshot = enrolled(labels, offset=offset)
    head = ScoringHead(snapshot)
    for query in (snapshot.prototypes[labels // 2], snapshot.prototypes[0] + np.float32(0.3)):
        scores, distances = by_definition(snapshot, query)
        ranked = head.rank(query, top_k)
        assert [near.label for near in ranked] == np.argsort(distances, kind="stable")[:top_k].tolist()
        np.testing.assert_allclose(
            [near.distance for near in ranked], distances[[near.label for near in ranked]], rtol=1e-6, atol=1e-6
        )
        np.testing.assert_allclose([near.score for near in ranked[:3]], -np.sort(-scores)[: min(top_k, 3)], rtol=1e-3)


@SIZES
def test_moved_columns_are_scored_as_they_are(labels: int) -> None:
    for moved in {1, labels // 2, labels}:
        snapshot = enrolled(labels, moved=moved)
        query = enrolled(1, seed=5).prototypes[0]
        scores, distances = by_definition(snapshot, query)
        ranked = ScoringHead(snapshot).rank(query, 5)
        best = np.argsort(-scores, kind="stable")[:5]
        assert [near.label for near in ranked] == best.tolist()
        np.testing.assert_allclose([near.score for near in ranked], scores[best], rtol=1e-4)
        np.testing.assert_allclose([near.distance for near in ranked], distances[best], rtol=1e-6)


@SIZES
def test_scores_add_up_to_one(labels: int) -> None:
    snapshot = enrolled(labels, moved=labels // 3)
    scores = [near.score for near in ScoringHead(snapshot).rank(snapshot.prototypes[0] * np.float32(0.1), labels)]
    assert sum(scores) == pytest.approx(1.0, abs=1e-6)
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("labels", [30, 3000])
def test_labels_with_the_same_prototype_come_in_their_order(labels: int) -> None:
    snapshot = enrolled(labels, dim=7)
    alike = np.random.default_rng(3).permutation(labels)[:12]
    snapshot.prototypes[alike] = 5.0
    ranked = ScoringHead(snapshot).rank(np.full(7, 5.5, np.float32), 4)
    assert [near.label for near in ranked] == sorted(alike.tolist())[:4]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("labels", [3, 3000])
def test_an_embedding_that_is_not_finite_is_an_error(labels: int, value: float) -> None:
    query = np.zeros(24, np.float32)
    query[3] = value
    with pytest.raises(InputError, match="not finite"):
        ScoringHead(enrolled(labels)).rank(query, 3)


@pytest.mark.parametrize("labels", [0, 5, 300])
def test_a_head_that_followed_every_change_is_that_of_the_whole(labels: int) -> None:
    rng = np.random.default_rng(0)
    start = enrolled(labels, dim=6)
    names = list(start.labels)
    rows: dict[str, tuple[int, float, Array]] = {
        name: (int(start.counts[k]), float(start.scatters[k]), start.prototypes[k].copy()) for k, name in enumerate(names)
    }

    def snapshot(of: list[str]) -> Snapshot:
        found = [rows[name] for name in of]
        prototypes = np.array([row[2] for row in found], np.float32).reshape(-1, 6)
        scatters = np.array([row[1] for row in found])
        return Snapshot(tuple(of), np.array([row[0] for row in found], np.int64), prototypes, scatters)

    head = ScoringHead(start)
    for turn in range(120):
        name = f"label {rng.integers(labels + 40)}"
        if name in names and rng.random() < 0.3:
            names.remove(name)
            head.update(name, snapshot([]))
        else:
            rows[name] = (turn + 1, float(turn), rng.normal(scale=1 + turn, size=6).astype(np.float32))
            if name not in names:
                names.append(name)
            head.update(name, snapshot([name]))
        head.update("never there", snapshot([]))
        if turn % 10 == 0:
            whole = snapshot(names)
            query = rng.normal(size=6).astype(np.float32)
            assert head.labels == names
            assert [head.shots(each) for each in names] == whole.counts.tolist()
            np.testing.assert_array_equal(head.scatters, whole.scatters)
            np.testing.assert_array_equal(head.prototypes, whole.prototypes)
            assert head.rank(query, 9) == ScoringHead(whole).rank(query, 9)
    assert head.shots("never there") == 0


# In a classifier


def test_own_changes_do_not_read_every_label_again(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []
    snapshot = Store.snapshot

    def noted(store: Store, label: str | None = None) -> Snapshot:
        asked.append(label)
        return snapshot(store, label)

    with Classifier.load(bundle, tmp_path / "store.db") as classifier:
        for kind, label in enumerate(["alef", "bet", "gimel"]):
            classifier.enroll(label, takes(kind, 2))
        monkeypatch.setattr(Store, "snapshot", noted)
        classifier.enroll("dalet", takes(3, 2))
        classifier.enroll("alef", takes(0, 1, first=5))
        classifier.forget("bet")
        classifier.forget("gimel", next(shot for label, shot, _ in classifier.store.shots() if label == "gimel"))
        assert asked == ["dalet", "alef", "bet", "gimel"]

        with Classifier.load(bundle, tmp_path / "store.db") as other:
            assert [classifier.classify(draw(kind), 9) for kind in range(4)] == [
                other.classify(draw(kind), 9) for kind in range(4)
            ]
            asked.clear()
            other.enroll("he", takes(4, 1))
            classifier.enroll("vav", takes(5, 1))
        assert asked == ["he", None, "vav"]
        assert classifier.labels == ["alef", "gimel", "dalet", "he", "vav"]
        assert [classifier.shots(label) for label in classifier.labels] == [3, 1, 2, 1, 1]
