"""The demo on photos, with fewer pictures than a person gets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.device import cli, said

from edge_meta import Classifier
from edge_meta.cli import main
from edge_meta.cli.demo_photos import STRANGERS, TAUGHT, PhotosConfig, account_of_photos, run_photos
from edge_meta.datasets.renderings import picture

LITTLE = PhotosConfig(shot=2, query=2, strange=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo's folder, in which an earlier demo has left a store."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    folder.mkdir()
    with Classifier.load("objects", folder / "demo.db") as classifier:
        classifier.enroll("old", [picture("mug", 0, size=32)])
    run_photos(folder, LITTLE)
    return folder


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def test_the_check_verb_gives_the_same_counts(folder: Path) -> None:
    told = result_of(folder)["check"]
    checked = said(cli("check", "objects", folder / "new", "--store", folder / "demo.db", "--json"))
    assert told["examples"] == 2 * len(TAUGHT)
    assert told["strangers"]["examples"] == len(STRANGERS)
    for key in ("right", "mistaken", "unknown", "labels", "strangers", "expected"):
        assert told[key] == checked[key]


def test_the_store_ends_with_what_was_taught(folder: Path) -> None:
    classes = said(cli("inspect", "objects", "--store", folder / "demo.db", "--json"))["classes"]
    assert {each["label"]: each["shots"] for each in classes} == dict.fromkeys(TAUGHT, 2)


def test_the_newcomer_is_known_only_between(folder: Path) -> None:
    newcomer = result_of(folder)["newcomer"]
    assert newcomer["before"]["right"] == newcomer["forgotten"]["right"] == 0
    assert sum(newcomer["taught"].values()) == 1


def test_the_mistake_is_undone(folder: Path) -> None:
    mistake = result_of(folder)["mistake"]
    assert (mistake["shots"], mistake["shots_after"]) == (3, 2)


def test_the_page_has_all_pictures_and_needs_no_other_file(folder: Path) -> None:
    page = (folder / "report.html").read_text("utf-8")
    for kind in ("shown", "new", "later", "mistake"):
        for path in (folder / kind).rglob("*.png"):
            assert f'"{path}' in page
    assert re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', page) == []


def test_the_account_counts_what_is_right(folder: Path) -> None:
    result = result_of(folder)
    text = "\n".join(account_of_photos(result, folder))
    assert f"right: {result['check']['right']} of 10" in text
    assert f"{result['check']['strangers']['accepted']} of 5" in text
    assert "not photos" in text


def test_the_bundle_can_be_used(folder: Path) -> None:
    classified = cli("classify", folder / "objects.bundle", folder / "new", "--store", folder / "demo.db", "--json")
    assert len(said(classified)["results"]) == 15


def test_pictures_are_no_dataset_to_choose() -> None:
    run = CliRunner().invoke(main, ["demo", "--sense", "photos", "--dataset", "glyphs"])
    assert run.exit_code == 2
    assert "--dataset" in run.output
