"""The page of a run or an evaluation."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from support.device import cli
from support.workstation import embedded, save_npz, synthetic

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.judged_episodes import JudgedEpisodes, judge_episodes
from edge_meta.reports.episodes_page import render

DATA = synthetic(6, 8)


def judged(spread: float = 3.0) -> JudgedEpisodes:
    return judge_episodes(embedded(DATA, spread=spread), DATA, EpisodeSampler(DATA, 4, 2, 3), 40)


def test_answers_are_those_that_accuracy_counts() -> None:
    found, sampler = judged(), EpisodeSampler(DATA, 4, 2, 3)
    assert np.array_equal(found.accuracies, accuracies(found.embeddings, sampler, 40))
    wrong = sum(share.out_of - share.count for share in found.queries.values())
    assert wrong == sum(mistake.times for mistake in found.mistakes) == round((1 - found.accuracies.mean()) * 480)
    assert all(DATA.labels[mistake.example] != mistake.taken_for for mistake in found.mistakes)
    times = [mistake.times for mistake in found.mistakes]
    assert times == sorted(times, reverse=True)


def test_the_page_has_its_charts_and_needs_no_other_file() -> None:
    history = [{"episode": 1, "loss": 1.0, "val_accuracy": 0.5, "val_ci95": 0.1}, {"episode": 2, "loss": 0.5}]
    page = render("<a run>", "4-way", judged(), {"command": "edge-meta train"}, history)
    assert "<h1>&lt;a run&gt;</h1>" in page
    drawings = re.findall("<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 4
    for drawing in drawings:
        ElementTree.fromstring(drawing)  # or it is not well-formed
    assert re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', page) == []
    assert page.count("data:image/png;base64,") >= 10


def test_nothing_wrong_leaves_mistakes_out() -> None:
    page = render("run", "4-way", judged(spread=0.0), {})
    assert "<h2>Mistakes</h2>" not in page
    assert "<h2>Learning curve</h2>" not in page


def test_examples_that_are_no_images_have_numbers() -> None:
    found = judged()
    recordings = replace(DATA, examples=np.zeros((len(DATA.labels), 100), np.float32))
    page = render("run", "4-way", replace(found, data=recordings), {})
    assert "<td>number " in page
    assert "data:image" not in page


def test_evaluate_writes_a_page_with_float_beside_int8(tmp_path: Path) -> None:
    data = ("--dataset", save_npz(tmp_path / "own.npz", 20, 8), "--split", "all", "--query", 3, "--episodes", 4)
    cli("evaluate", "omniglot", *data, "--report", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<h2>Quantized against float</h2>" in page
    missing = cli("evaluate", "omniglot", *data, "--report", tmp_path / "no" / "page.html", code=1)
    assert "does not exist" in missing.stderr
