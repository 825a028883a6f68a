"""Shares to be expected, by a store's own shots: those that edge-meta check gives."""

from __future__ import annotations

from pathlib import Path

from support.device import takes

from edge_meta import Classifier
from edge_meta.evaluation.expected import expected_shares
from edge_meta.evaluation.own_examples import leave_out
from edge_meta.heads.scoring import ScoringHead


def test_few_labels_give_what_leaving_out_gives(tmp_path: Path) -> None:
    with Classifier.load("omniglot", tmp_path / "store.db", false_accept=0.2) as classifier:
        for label in range(6):
            classifier.enroll(str(label), takes(label, 1 + label % 4))
        classifier.enroll_none(takes(9, 3))
        head = ScoringHead(classifier.store.snapshot())
        expected = expected_shares(classifier.store, head, classifier.limits())
        assert expected == leave_out(classifier).expected
        assert expected is not None
        assert (expected.accepted.out_of, expected.lost.out_of, expected.none.out_of) == (13, 11, 3)


def test_nothing_is_expected_without_labels_or_single_shots(tmp_path: Path) -> None:
    with Classifier.load("omniglot", tmp_path / "store.db", keep_shots=False) as classifier:
        for _ in range(2):
            head = ScoringHead(classifier.store.snapshot())
            assert expected_shares(classifier.store, head, classifier.limits()) is None
            classifier.enroll("alef", takes(0, 2))
