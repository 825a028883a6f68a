"""The demos on photos, words and gestures, with fewer examples than a person gets."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from support.device import cli, said

from edge_meta import Classifier
from edge_meta.cli import main
from edge_meta.cli.demo_senses import SENSES
from edge_meta.cli.demo_taught import TaughtConfig, account_of_taught, run_taught
from edge_meta.inputs.audio_files import read_audio

LITTLE = TaughtConfig(shot=2, query=2, strange=1)


@pytest.fixture(scope="module", params=SENSES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo's folder, in which an earlier demo has left a store."""
    folder = tmp_path_factory.mktemp("demo") / request.param
    folder.mkdir()
    sense = SENSES[request.param]
    with Classifier.load(sense.bundle, folder / "demo.db") as classifier:
        classifier.enroll("old", [sense.make(sense.taught[0], 0).example])
    run_taught(request.param, folder, LITTLE)
    return folder


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "heard"
    run_taught("words", folder, LITTLE)
    return folder


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def page_of(folder: Path) -> str:
    return (folder / "report.html").read_text("utf-8")


def test_results_of_all_senses_have_the_same_keys(folder: Path) -> None:
    result = result_of(folder)
    assert result["sense"] == folder.name
    keys = {"sense", "dataset", "bundle", "shot", "check", "mistake", "newcomer", "seconds"}
    assert result.keys() == keys | ({"stream"} if folder.name == "words" else set())


def test_the_check_verb_gives_the_same_counts(folder: Path) -> None:
    told, sense = result_of(folder)["check"], SENSES[folder.name]
    if folder.name == "photos":
        pytest.importorskip("PIL", reason="reading .png files needs Pillow")
    checked = said(cli("check", sense.bundle, folder / "new", "--store", folder / "demo.db", "--json"))
    assert told["examples"] == 2 * len(sense.taught)
    assert told["strangers"]["examples"] == len(sense.strangers)
    for key in ("right", "mistaken", "unknown", "labels", "strangers", "expected"):
        assert told[key] == checked[key]


def test_the_store_ends_with_what_was_taught(folder: Path) -> None:
    sense = SENSES[folder.name]
    classes = said(cli("inspect", sense.bundle, "--store", folder / "demo.db", "--json"))["classes"]
    assert {each["label"]: each["shots"] for each in classes} == dict.fromkeys(sense.taught, 2)


def test_the_newcomer_is_known_only_between(folder: Path) -> None:
    newcomer = result_of(folder)["newcomer"]
    assert newcomer["before"]["right"] == newcomer["forgotten"]["right"] == 0
    assert sum(newcomer["taught"].values()) == 1


def test_the_mistake_is_noticed_and_undone(folder: Path) -> None:
    mistake = result_of(folder)["mistake"]
    assert "nearer to" in mistake["cause"]
    assert (mistake["shots"], mistake["shots_after"]) == (3, 2)


def test_the_page_has_all_examples_and_needs_no_other_file(folder: Path) -> None:
    page = page_of(folder)
    for kind in ("shown", "new", "later", "mistake"):
        paths = list((folder / kind).rglob(f"*{SENSES[folder.name].suffix}"))
        assert paths
        for path in paths:
            assert f'"{path}' in page
    assert re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', page) == []


def test_the_account_counts_what_is_right(folder: Path) -> None:
    result = result_of(folder)
    text = "\n".join(account_of_taught(result, folder))
    assert f"right: {result['check']['right']} of 10" in text
    assert f"{result['check']['strangers']['accepted']} of 5" in text
    assert f"docs/{folder.name}.md" in text
    assert "are computed" in text


def test_the_bundle_can_be_used(folder: Path) -> None:
    if folder.name == "photos":
        pytest.importorskip("PIL", reason="reading .png files needs Pillow")
    bundle = folder / f"{SENSES[folder.name].bundle}.bundle"
    classified = cli("classify", bundle, folder / "new", "--store", folder / "demo.db", "--json")
    assert len(said(classified)["results"]) == 15


def test_the_page_plays_every_recording(words: Path, tmp_path: Path) -> None:
    page = page_of(words)
    players = re.findall(r'<audio controls src="data:audio/wav;base64,([^"]*)" aria-label="([^"]*)">', page)
    played = {told.split(":")[0] for _, told in players}
    assert {str(path) for path in words.rglob("*/*/*.wav")} <= played
    for content, told in players:
        (tmp_path / "played.wav").write_bytes(base64.b64decode(content, validate=True))
        samples, rate = read_audio(tmp_path / "played.wav")
        path = words / "stream.wav" if told == "the stream" else told.split(":")[0]
        expected, _ = read_audio(path)
        assert rate == 16000
        np.testing.assert_array_equal(samples, expected)


def test_the_listen_verb_gives_the_hits_of_the_page(words: Path) -> None:
    stream = result_of(words)["stream"]
    heard = cli("listen", "keywords", words / "stream.wav", "--store", words / "demo.db", "--json").stdout
    hits = [json.loads(line) for line in heard.splitlines()]
    assert [{key: hit[key] for key in ("time", "label", "score")} for hit in hits] == stream["hits"]
    assert (stream["seconds"], stream["words"], stream["strangers"]["words"]) == (30.0, 10, 4)
    chart = page_of(words).split("<h2>Live</h2>")[1]
    assert chart.count("<circle") == len(hits) > 0


@pytest.mark.parametrize("sense", SENSES)
def test_examples_are_no_dataset_to_choose(sense: str) -> None:
    run = CliRunner().invoke(main, ["demo", "--sense", sense, "--dataset", "glyphs"])
    assert run.exit_code == 2
    assert "--dataset" in run.output


def test_the_verb_prints_one_object(tmp_path: Path) -> None:
    run = cli("demo", "--sense", "gestures", "--output", tmp_path / "out", "--json")
    assert json.loads(run.stdout) == result_of(tmp_path / "out")
