"""Strangers in `evaluate`: AUROC against counting pairs, intervals against repeated drawing, and the command line."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.device import altered, cli, complaint, mixed, said, takes

from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import DatasetError
from edge_meta.evaluation.episode_heads import prototype_head
from edge_meta.evaluation.open_set import auroc, judge_strangers
from edge_meta.heads.rejection import Rejection

REJECTION = Rejection(0.05, (2, 4), (0.01, 0.2), (1, 5), (((0.8, 3.3), (0.7, 2.3)), ((0.5, 3.0), (0.4, 2.0))), 1.0)


def dataset(classes: int = 12, examples: int = 8, groups: int = 3) -> Dataset:
    labels = np.repeat(np.arange(classes, dtype=np.int32), examples)
    names = tuple(str(label) for label in range(classes))
    of_groups = tuple(f"group {label * groups // classes}" for label in range(classes))
    return Dataset("drawn", "test", np.zeros((len(labels), 1, 1, 1), np.uint8), labels, names, of_groups)


def embedded(data: Dataset, dim: int = 3, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = 1.5 * rng.normal(size=(len(data.class_names), dim))
    return (centres[data.labels] + 0.5 * rng.normal(size=(len(data.labels), dim))).astype(np.float32)


def test_auroc_is_the_share_of_pairs_in_order_and_half_of_ties() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.integers(0, 6, (4, 5)) / 1.0, rng.integers(2, 8, (4, 7)) / 1.0
    pairs = [(a < b) + 0.5 * (a == b) for a in low.ravel() for b in high.ravel()]
    assert auroc(low, high).mean == pytest.approx(np.mean(pairs))
    assert auroc(low, low).mean == pytest.approx(0.5)
    assert auroc(low, low + 100).mean == 1.0


def test_the_interval_of_auroc_is_that_of_other_episodes() -> None:
    """Values of one episode hang together, so the interval must be over episodes."""

    def drawn(seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rng = np.random.default_rng(seed)
        mood = rng.normal(size=(60, 1))
        return mood + rng.normal(size=(60, 10)), 1.5 + mood + rng.normal(size=(60, 12))

    means = np.array([auroc(*drawn(seed)).mean for seed in range(400)])
    claimed = np.mean([auroc(*drawn(seed)).ci95 for seed in range(50)])
    assert claimed == pytest.approx(1.96 * means.std(), rel=0.15)


def test_known_queries_are_counted_as_a_device_counts_them() -> None:
    data = dataset()
    embeddings, sampler = embedded(data), EpisodeSampler(data, 4, 2, 3, seed=5)
    found = judge_strangers(embeddings, sampler, 20, prototype_head, REJECTION, 0.1)
    lost = []
    for episode in sampler.episodes(20):
        support = embeddings[episode.support].astype(np.float64)
        centres = support.mean(axis=1)
        scatters = ((support - centres[:, None]) ** 2).sum(axis=(1, 2))
        limits = REJECTION.limits(np.full(4, 2), scatters, 0.1)
        for query in embeddings[episode.query].reshape(-1, 3):
            distances = ((centres - query) ** 2).sum(axis=1)
            lost.append(distances.min() > limits[distances.argmin()])
    assert found.rejected_known.mean == pytest.approx(np.mean(lost))
    assert 0 < found.rejected_known.mean < 1
    assert 0 < found.false_accept.mean < 1
    assert 0.5 < found.auroc.mean < 1
    assert found.asked == 0.1


def test_strangers_are_of_groups_that_the_episode_does_not_use() -> None:
    data = dataset(classes=4, groups=2)
    # Classes of a group lie on each other: strangers of the episode's own group would all be known.
    embeddings = (10.0 * (data.labels // 2)[:, None] * np.ones(3)).astype(np.float32)
    sampler = EpisodeSampler(data, 2, 1, 1, seed=0, within_group=True)
    found = judge_strangers(embeddings, sampler, 30, prototype_head, REJECTION)
    assert (found.false_accept.mean, found.rejected_known.mean, found.auroc.mean) == (0.0, 0.0, 1.0)


def test_strangers_are_other_classes_where_no_group_is_left() -> None:
    data = replace(dataset(classes=4), groups=("",) * 4)
    embeddings = (10.0 * data.labels[:, None] * np.ones(3)).astype(np.float32)
    sampler = EpisodeSampler(data, 2, 1, 1, seed=0)
    assert judge_strangers(embeddings, sampler, 30, prototype_head, REJECTION).false_accept.mean == 0.0


def test_strangers_may_come_from_elsewhere() -> None:
    data = dataset()
    embeddings, sampler = embedded(data), EpisodeSampler(data, 4, 2, 3, seed=5)
    assert judge_strangers(embeddings, sampler, 9, prototype_head, REJECTION, None, embeddings + 99).auroc.mean == 1.0


def test_examples_of_none_keep_strangers_like_them_out() -> None:
    data = replace(dataset(classes=8), groups=("",) * 8)
    embeddings, sampler = embedded(data, seed=2), EpisodeSampler(data, 2, 3, 3, seed=0)
    lax = replace(REJECTION, thresholds=tuple(((50.0, 99.0), (50.0, 99.0)) for _ in range(2)))
    shown = [judge_strangers(embeddings, sampler, 60, prototype_head, lax, none=none) for none in (0, 8)]
    assert shown[0].false_accept.mean == 1.0
    assert 0.05 < shown[1].false_accept.mean < 0.5
    assert 0.0 < shown[1].rejected_known.mean < shown[0].false_accept.mean - shown[1].false_accept.mean


def test_without_other_classes_no_strangers_are_left() -> None:
    data = dataset(classes=4)
    with pytest.raises(DatasetError, match="no strangers are left"):
        judge_strangers(embedded(data), EpisodeSampler(data, 4, 2, 3), 2, prototype_head, REJECTION)


@pytest.fixture
def drawn(tmp_path: Path) -> str:
    np.savez(tmp_path / "drawn.npz", x=np.concatenate([takes(kind, 5) for kind in range(9)]), y=np.repeat(np.arange(9), 5))
    return f"npz:{tmp_path / 'drawn.npz'}"


EPISODES = ["--split", "all", "--way", 4, "--shot", 2, "--query", 3, "--episodes", 30]


def test_evaluate_prints_the_three_figures_of_strangers(drawn: str) -> None:
    options = ["--dataset", drawn, *EPISODES, "--strangers", drawn]
    done = said(cli("evaluate", "omniglot", *options, "--false-accept", 0.1, "--json"))
    assert (done["strangers"], done["false_accept_asked"]) == (drawn, 0.1)
    assert 0.8 < done["auroc"] <= 1.0
    assert 0 <= done["rejected_known"] < done["false_accept"] < 1, "drawings of one hand: strangers are not far"
    assert all(0 <= done[f"{key}_ci95"] < 0.2 for key in ("auroc", "false_accept", "rejected_known"))
    assert "open_set" not in done
    text = cli("evaluate", "omniglot", *options).stdout
    assert "5.0% to be accepted" in text
    assert "AUROC" in text


def test_a_bound_that_is_missed_is_exit_code_1_and_a_sentence(tmp_path: Path) -> None:
    np.savez(tmp_path / "hard.npz", x=np.concatenate([mixed(kind, 2) for kind in range(9)]), y=np.repeat(np.arange(9), 6))
    hard = f"npz:{tmp_path / 'hard.npz'}"
    options = ["evaluate", "omniglot", "--dataset", hard, *EPISODES, "--strangers", hard, "--false-accept", 0.005]
    done = said(cli(*options, "--json", "--min-accuracy", 0, "--max-rejected-known", 1))
    missed = cli(*options, "--json", "--min-accuracy", 1, "--max-rejected-known", 0, code=1)
    assert json.loads(missed.stdout) == done
    assert re.fullmatch(
        r"Error: The accuracy, .* %, is below 100\.00% and the share of known queries that is rejected, .* %, is above "
        r"0\.00%\. Find the change that made it worse, or ask for less\.\n",
        missed.stderr,
    )
    at = done["accuracy"]
    assert cli(*options, "--min-accuracy", at).stderr == ""
    assert "is below" in cli(*options, "--min-accuracy", at + 1e-6, code=1).stderr


@pytest.mark.parametrize(
    ("option", "word"),
    [(("--max-rejected-known", 0.1), "needs --strangers"), (("--min-accuracy", 90), "0.0<=x<=1.0")],
)
def test_a_bound_that_cannot_be_judged_is_wrong_usage(option: tuple[object, ...], word: str) -> None:
    assert word in cli("evaluate", "omniglot", "--dataset", "glyphs", *option, code=2).stderr


def test_a_stricter_rate_accepts_fewer_strangers(drawn: str) -> None:
    def judged(rate: float) -> dict[str, Any]:
        options = ["--dataset", drawn, *EPISODES, "--strangers", drawn, "--false-accept", rate, "--json"]
        return said(cli("evaluate", "omniglot", *options))

    strict, lax = judged(0.005), judged(0.5)
    assert strict["false_accept"] < lax["false_accept"]
    assert strict["rejected_known"] >= lax["rejected_known"]
    assert strict["accuracy"] == lax["accuracy"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--false-accept", "0.05"], "--strangers"),
        (["--strangers", "omniglot", "--false-accept", "0.9"], "0.005 to 0.5"),
        (["--strangers", "npz:nowhere.npz"], "nowhere.npz"),
    ],
)
def test_what_cannot_be_judged_is_explained(drawn: str, options: list[str], words: str) -> None:
    assert words in complaint(cli("evaluate", "omniglot", "--dataset", drawn, *EPISODES, *options, code=1))


def test_a_bundle_that_was_not_calibrated_says_so(tmp_path: Path, drawn: str) -> None:
    bundle = altered(tmp_path, lambda fields: fields.update(rejection=None))
    said = complaint(cli("evaluate", bundle, "--dataset", drawn, *EPISODES, "--strangers", drawn, code=1))
    assert "not calibrated for unknown" in said
