"""Stores that keep sums alone: the same prototypes, and clear errors where single shots are needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.device import cli, complaint, draw, embeddings, opened, png, said, state, takes

from edge_meta import Classifier
from edge_meta.errors import StoreError
from edge_meta.runtime.bundle import Bundle
from edge_meta.store.store import Store


@pytest.fixture
def sums(tmp_path: Path) -> Store:
    """A store without shots, with the labels of `filled`."""
    store = opened(tmp_path / "sums.db", keep_shots=False)
    for seed, (label, count) in enumerate([("alef", 2), ("bet", 3), ("gimel", 1)]):
        store.enroll(label, embeddings(seed, count))
    return store


def test_prototypes_and_scatters_are_those_of_the_shots(filled: Store, sums: Store) -> None:
    assert state(sums) == state(filled)


def test_undo_goes_back_step_by_step(sums: Store) -> None:
    past = [state(sums)]
    for seed, label in enumerate(["alef", "dalet", "alef", "dalet"]):
        sums.enroll(label, embeddings(10 + seed, 1 + seed))
        past.append(state(sums))
    sums.close()
    with opened(sums.path, keep_shots=False) as again:
        for seed, label in reversed(list(enumerate(["alef", "dalet", "alef", "dalet"]))):
            assert state(again) == past.pop()
            undone = again.undo()
            assert (undone.action, undone.label, undone.shots) == ("enroll", label, 1 + seed)
        assert state(again) == past.pop()


def test_a_forgotten_labels_steps_are_gone_from_undo(sums: Store) -> None:
    assert sums.forget("gimel").shots == 1
    sums.enroll("gimel", embeddings(7, 2))
    assert [(step.label, step.shots) for step in (sums.undo(), sums.undo(), sums.undo())] == [
        ("gimel", 2), ("bet", 3), ("alef", 2),
    ]  # fmt: skip
    assert sums.snapshot().labels == ()


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda store: store.shots(), "no single shots to list"),
        (lambda store: store.forget("alef", "00" * 16), "no single shots to forget"),
        (lambda store: store.adapting().__enter__(), "no single shots to adapt to"),
    ],
)
def test_what_needs_single_shots_is_refused(sums: Store, use: Callable[[Store], object], said: str) -> None:
    before = state(sums)
    with pytest.raises(StoreError, match=rf"sums\.db keeps {said}.*without --no-shots"):
        use(sums)
    assert state(sums) == before


def test_the_choice_is_made_once(filled: Store, sums: Store) -> None:
    for store, keep_shots, words in ((filled, False, "keeps single shots"), (sums, True, "keeps no single shots")):
        before = state(store)
        with opened(store.path, keep_shots=keep_shots) as other:
            assert state(other) == before  # reading asks for nothing
            with pytest.raises(StoreError, match=rf"{words}.*--no-shots"):
                other.enroll("dalet", embeddings(5, 1))
            assert state(other) == before
            other.forget("alef")  # nor does forgetting
        assert store.snapshot().labels == ("bet", "gimel")


def test_a_classifier_without_shots(bundle: Bundle, tmp_path: Path) -> None:
    with Classifier.load(bundle, tmp_path / "store.db", keep_shots=False) as classifier:
        classifier.enroll("alef", takes(0, 3))
        classifier.enroll("bet", takes(1, 2))
        assert classifier.classify(draw(1, 9)).top[0].label == "bet"
        with pytest.raises(StoreError, match="no single shots to adapt to"):
            classifier.adapt()
        assert classifier.undo().label == "bet"
        assert classifier.labels == ["alef"]


def test_the_command_line(tmp_path: Path) -> None:
    images = [png(tmp_path, f"{take}.png", draw(0, take)) for take in range(3)]
    store = ["--store", tmp_path / "sums.db"]
    done = said(cli("enroll", "omniglot", "alef", *images[:2], "--no-shots", *store, "--json"))
    assert (done["shots"], done["classes"]) == (2, 1)
    assert said(cli("enroll", "omniglot", "bet", images[2], "--no-shots", *store, "--json"))["classes"] == 2
    assert cli("classify", "omniglot", images[0], *store).stdout
    assert "Enroll with --no-shots" in complaint(cli("enroll", "omniglot", "alef", images[2], *store, code=1))
    for refused in (
        ["inspect", "omniglot", "--shots"],
        ["forget", "omniglot", "alef", "--shot", "00"],
        ["adapt", "omniglot"],
    ):
        assert "keeps no single shots" in complaint(cli(*refused, *store, code=1))
    cli("enroll", "omniglot", "alef", images[0], "--store", tmp_path / "shots.db")
    refused_too = cli("enroll", "omniglot", "alef", images[0], "--no-shots", "--store", tmp_path / "shots.db", code=1)
    assert "keeps single shots" in complaint(refused_too)
    undone = said(cli("undo", "omniglot", *store, "--json"))
    assert undone == {"action": "enroll", "label": "bet", "shots": 1, "classes": 1, "scrub_pending": False}
