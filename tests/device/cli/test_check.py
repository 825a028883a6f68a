"""edge-meta check: a labelled folder, enrolled shots left out, and the page; and what enroll warns of."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.device import altered, cli, complaint, draw, png, said

from edge_meta import Classifier

KINDS = {"alef": 0, "bet": 1, "gimel": 2}


@pytest.fixture
def store(tmp_path: Path) -> list[object]:
    """A store with four shots of each of three labels, one of bet being an alef."""
    store: list[object] = ["--store", tmp_path / "store.db"]
    for label, kind in KINDS.items():
        for take in range(4):
            png(tmp_path / "shots", f"{label}/{take}.png", draw(0 if (label, take) == ("bet", 3) else kind, take))
    cli("enroll", "omniglot", tmp_path / "shots", *store)
    return store


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder to check with: three of each label, one alef among the bets, and two kinds of strangers."""
    folder = tmp_path / "photos"
    for label, kind in {**KINDS, "<b>star": 7, "moon": 8}.items():
        for take in range(3):
            png(folder, f"{label}/{take}.png", draw(0 if (label, take) == ("bet", 2) else kind, 10 + take))
    return folder


class Tags(HTMLParser):
    """Names of a page's tags, and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.started: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.started.append(tag)
        self.images += [dict(attrs)] * (tag == "img")
        self.open += [tag] * (tag in ("table", "div", "figure", "ul", "h2", "span", "p", "html"))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("table", "div", "figure", "ul", "h2", "span", "p", "html"):
            assert self.open.pop() == tag


def checked(*arguments: object) -> tuple[dict[str, Any], str]:
    done = cli("check", "omniglot", *arguments, "--json")
    return json.loads(done.stdout), done.stderr


# A folder


def test_a_folder_is_counted_as_classify_answers(photos: Path, store: list[object]) -> None:
    result, _ = checked(photos, *store)
    answers = said(cli("classify", "omniglot", photos, *store, "--json"))["results"]
    label_of = {entry["file"]: Path(entry["file"]).parent.name for entry in answers}
    known = [entry for entry in answers if label_of[entry["file"]] in KINDS]
    right = [entry for entry in known if entry["label"] == label_of[entry["file"]]]
    unknown = [entry for entry in known if entry["label"] is None]
    counts = (9, len(right), 9 - len(right) - len(unknown), len(unknown))
    assert tuple(result[key] for key in ("examples", "right", "mistaken", "unknown")) == counts
    assert result["accuracy"] == len(right) / 9
    assert result["ci95"][0] < result["accuracy"] < result["ci95"][1]
    assert [entry["label"] for entry in result["labels"]] == list(KINDS)
    assert sum(entry["right"] for entry in result["labels"]) == len(right)
    accepted = [entry for entry in answers if entry not in known and entry["known"]]
    assert (result["strangers"]["examples"], result["strangers"]["accepted"]) == (6, len(accepted))
    assert {entry["label"] for entry in result["strangers"]["labels"]} == {"<b>star", "moon"}
    wrong = {entry["file"] for entry in [*known, *accepted] if entry not in right}
    assert {entry["file"] for entry in result["mistakes"]} == wrong


def test_a_mistake_names_the_pair_that_looks_alike(photos: Path, store: list[object]) -> None:
    result, _ = checked(photos, *store)
    mistake = next(entry for entry in result["mistakes"] if entry["file"] == str(photos / "bet" / "2.png"))
    assert (mistake["label"], mistake["taken_for"], mistake["nearest"]) == ("bet", "alef", "alef")
    assert 0 < mistake["of_limit"] <= 1
    assert {**result["pairs"][0], "nearer": 0} == {"a": "alef", "b": "bet", "mistaken": 1, "nearer": 0}
    text = cli("check", "omniglot", photos, *store).stdout
    assert "alef and bet are hard to tell apart (1 taken for the other, 1 of the enrolled shots nearer" in text
    assert f"{photos / 'bet' / '2.png'} is bet, taken for alef" in text
    stranger = next(entry for entry in result["mistakes"] if entry["stranger"])
    assert stranger["label"] in {"moon", "<b>star"}
    assert f"{stranger['file']} is {stranger['label']}, a stranger, taken for {stranger['taken_for']}" in text


def test_a_checked_folder_is_read_as_enroll_reads_it(photos: Path, store: list[object]) -> None:
    (photos / "alef" / "bad.png").write_text("no image")
    result, notes = checked(photos, *store)
    assert [entry["path"] for entry in result["unreadable"]] == [str(photos / "alef" / "bad.png")]
    assert "1 file is left out" in notes
    assert "holds images and no subfolders" in complaint(cli("check", "omniglot", photos / "alef", *store, code=1))


def test_checking_changes_nothing(photos: Path, store: list[object], tmp_path: Path) -> None:
    before = (tmp_path / "store.db").read_bytes()
    checked(photos, *store)
    checked(*store)
    assert (tmp_path / "store.db").read_bytes() == before


# Without a folder


def test_left_out_shots_are_answered_as_by_a_store_without_them(store: list[object], tmp_path: Path) -> None:
    result, notes = checked(*store)
    assert notes == ""
    assert (result["folder"], result["strangers"], result["examples"]) == (None, None, 12)
    with Classifier.load("omniglot", tmp_path / "store.db") as classifier:
        limits = dict(zip(classifier.labels, classifier.limits(), strict=True))
    right = accepted = lost = 0
    for label in KINDS:
        for take in range(4):
            left_out = tmp_path / "shots" / label / f"{take}.png"
            with Classifier.load("omniglot", tmp_path / f"{label}{take}.db") as classifier:
                for other in KINDS:
                    rest = [path for path in sorted((tmp_path / "shots" / other).iterdir()) if path != left_out]
                    classifier.enroll(other, rest)
                best = classifier.classify(left_out).top[0]
                known = best.distance <= limits[str(best.label)]
                right += known and best.label == label
                lost += not known
                classifier.forget(label)
                stranger = classifier.classify(left_out).top[0]
                accepted += stranger.distance <= limits[str(stranger.label)]
    assert (result["right"], result["unknown"], result["mistaken"]) == (right, lost, 12 - right - lost)
    assert result["expected"]["rejected_known"] == lost / 12
    assert result["expected"]["false_accept"] == accepted / 12


def test_a_shot_that_is_mistaken_is_named_by_its_id(store: list[object]) -> None:
    result, _ = checked(*store)
    shot = next(entry["shot"] for entry in result["mistakes"] if (entry["label"], entry["nearest"]) == ("bet", "alef"))
    cli("forget", "omniglot", "bet", "--shot", shot, *store)
    assert [pair for pair in checked(*store)[0]["pairs"] if {pair["a"], pair["b"]} == {"alef", "bet"}] == []


def test_a_label_with_one_shot_is_named_and_not_judged(store: list[object], tmp_path: Path) -> None:
    cli("enroll", "omniglot", "dalet", png(tmp_path, "d.png", draw(3)), *store)
    result, _ = checked(*store)
    assert (result["single_shots"], result["examples"]) == (["dalet"], 12)
    assert "dalet has one shot" in cli("check", "omniglot", *store).stdout


def test_text_tells_both_shares_to_expect(store: list[object]) -> None:
    result, _ = checked(*store)
    text = cli("check", "omniglot", *store).stdout
    assert text.startswith("12 enrolled shots, each left out\n")
    assert f"strangers accepted {round(12 * result['expected']['false_accept'])} of 12" in text
    assert f"called unknown {round(12 * result['expected']['rejected_known'])} of 12" in text


def test_an_adapted_head_judges_the_folder_alone(store: list[object], photos: Path) -> None:
    before, _ = checked(*store)
    cli("adapt", "omniglot", "--solver", "ridge", *store)
    after, _ = checked(*store)
    assert {**after, "adapted": False} == before
    assert after["adapted"]
    assert "not by the adapted last layer" in cli("check", "omniglot", photos, *store).stdout


def test_a_store_without_shots_needs_a_folder(photos: Path, tmp_path: Path) -> None:
    store = ["--store", tmp_path / "sums.db"]
    cli("enroll", "omniglot", photos, "--no-shots", *store)
    message = complaint(cli("check", "omniglot", *store, code=1))
    assert "keeps no single shots" in message
    assert "Give a folder" in message
    result, _ = checked(photos, *store)
    assert (result["examples"], result["expected"], result["single_shots"]) == (15, None, None)


@pytest.mark.parametrize("folder", [[], ["photos"]])
def test_an_empty_store_is_an_error(folder: list[str], photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    assert "Nothing is enrolled" in complaint(cli("check", "omniglot", *folder, "--store", "none.db", code=1))


def test_a_bundle_that_never_says_unknown_is_told(tmp_path: Path, store: list[object]) -> None:
    bundle = altered(tmp_path, lambda fields: fields.update(rejection=None))
    result = said(cli("check", bundle, *store, "--json"))
    assert (result["says_unknown"], result["unknown"], result["expected"]["false_accept"]) == (False, 0, 1.0)
    assert {mistake["of_limit"] for mistake in result["mistakes"]} == {None}
    assert "not calibrated for unknown" in cli("check", bundle, *store).stdout
    assert said(cli("inspect", bundle, *store, "--json"))["says_unknown"] is False
    assert said(cli("inspect", "omniglot", *store, "--json"))["says_unknown"] is True


# The page


def test_the_page_shows_the_examples_and_escapes_labels(photos: Path, store: list[object], tmp_path: Path) -> None:
    _, notes = checked(photos, *store, "--report", tmp_path / "page.html")
    assert f"{tmp_path / 'page.html'} written" in notes
    page = (tmp_path / "page.html").read_text("utf-8")
    tags = Tags(page)
    assert tags.open == []
    assert "b" not in tags.started
    assert "&lt;b&gt;star" in page
    assert len(tags.images) >= 15
    for image in tags.images:
        kind, content = str(image["src"]).split(",")
        assert kind == "data:image/jpeg;base64"
        assert max(Image.open(io.BytesIO(base64.b64decode(content))).size) <= 96
    assert re.findall(r"(?:href|url)\s*[=(]|<script|@import", page) == []
    for title in ("Results", "Confusion matrix", "Things that look alike", "Mistakes", "Examples", "Strangers"):
        assert f"<h2>{title}</h2>" in page


def test_a_page_without_a_folder_has_no_pictures(store: list[object], tmp_path: Path) -> None:
    checked(*store, "--report", tmp_path / "page.html")
    tags = Tags((tmp_path / "page.html").read_text("utf-8"))
    assert (tags.open, tags.images) == ([], [])


def test_a_page_of_arrays_has_no_pictures(tmp_path: Path) -> None:
    taken = {"kind": "array", "dtype": "float32", "shape": [28, 28, 1]}
    bundle = altered(tmp_path, lambda fields: fields.update(input=taken))
    for kind, label in enumerate(["still", "shaken"]):
        (tmp_path / "moves" / label).mkdir(parents=True)
        for take in range(2):
            np.save(tmp_path / "moves" / label / f"{take}.npy", np.full((28, 28, 1), kind + take / 10, np.float32))
    store = ["--store", tmp_path / "moves.db"]
    cli("enroll", bundle, tmp_path / "moves", *store)
    cli("check", bundle, tmp_path / "moves", *store, "--report", tmp_path / "page.html")
    assert Tags((tmp_path / "page.html").read_text("utf-8")).images == []


def test_a_page_needs_a_folder_that_exists(store: list[object], tmp_path: Path) -> None:
    report = tmp_path / "nosuch" / "page.html"
    assert "does not exist" in complaint(cli("check", "omniglot", *store, "--report", report, code=1))


# What enroll warns of


def test_enroll_warns_of_a_shot_nearer_to_another_label(store: list[object], tmp_path: Path) -> None:
    wrong, fine = png(tmp_path, "wrong.png", draw(0, 20)), png(tmp_path, "fine.png", draw(2, 20))
    done = cli("enroll", "omniglot", "gimel", wrong, fine, *store, "--json")
    (warning,) = json.loads(done.stdout)["warnings"]
    cause = f"{wrong} is nearer to alef than to the other shots of gimel."
    assert warning == {
        "path": str(wrong), "label": "gimel", "kind": "nearer_to_another", "other": "alef", "cause": cause,
    }  # fmt: skip
    assert done.stderr == f"Note: {cause}\n"


def test_enroll_warns_of_the_same_photo_twice(store: list[object], tmp_path: Path) -> None:
    there, new = tmp_path / "shots" / "alef" / "0.png", png(tmp_path, "new.png", draw(0, 21))
    done = cli("enroll", "omniglot", "alef", there, new, new, *store, "--json")
    twice = [(entry["path"], entry["kind"], entry["other"]) for entry in json.loads(done.stdout)["warnings"]]
    assert twice == [(str(there), "there_already", "alef"), (str(new), "there_already", "alef")]
    done = cli("enroll", "omniglot", "bet", there, *store)
    assert f"Note: {there} is the same as a shot of alef that is there already." in done.stderr


def test_a_folder_enrolled_twice_gives_few_notes(store: list[object], tmp_path: Path) -> None:
    png(tmp_path / "shots", "bet/4.png", draw(0, 23))
    done = cli("enroll", "omniglot", tmp_path / "shots", *store, "--json")
    kinds = [entry["kind"] for entry in json.loads(done.stdout)["warnings"]]
    assert kinds.count("there_already") == 12
    lines = done.stderr.splitlines()
    assert ["is there already" in line for line in lines[:4]] == [True, True, True, False]
    assert lines[3] == "Note: … and 9 more like it; --json lists all."
    assert len(lines) == 4 + min(4, kinds.count("nearer_to_another"))


def test_a_first_shot_is_never_nearer_to_another_label(store: list[object], tmp_path: Path) -> None:
    done = cli("enroll", "omniglot", "dalet", png(tmp_path, "d.png", draw(0, 22)), *store, "--json")
    assert said(done)["warnings"] == []


def test_enroll_without_shots_warns_of_nearer_labels(photos: Path, tmp_path: Path) -> None:
    done = cli("enroll", "omniglot", photos, "--no-shots", "--store", tmp_path / "sums.db", "--json")
    doubts = [(entry["path"], entry["other"]) for entry in json.loads(done.stdout)["warnings"]]
    assert (str(photos / "bet" / "2.png"), "alef") in doubts


def test_check_judges_by_examples_of_none(tmp_path: Path, store: list[object], photos: Path) -> None:
    before = said(cli("check", "omniglot", photos, *store, "--json"))
    for take in range(3):
        png(tmp_path, f"others/{take}.png", draw(7, take))
    cli("enroll", "omniglot", "--none", tmp_path / "others", *store)
    result = said(cli("check", "omniglot", photos, *store, "--json"))
    assert (before["none_shots"], before["expected"]["none_accepted"]) == (0, None)
    assert (result["none_shots"], result["expected"]["none_accepted"]) == (3, 0.0)
    (star,) = (kind for kind in result["strangers"]["labels"] if "star" in kind["label"])
    assert star["accepted"] == 0
    assert "Examples of none, each left out, accepted 0 of 3" in cli("check", "omniglot", *store).stdout


def test_few_labels_promise_nothing_yet(tmp_path: Path, store: list[object]) -> None:
    """Of a bundle whose limits the store corrects; omniglot's were measured on many alphabets."""
    bundle = altered(tmp_path, lambda fields: fields["rejection"].update(prior_labels=0.5))
    for verb in ("check", "inspect"):
        assert "With 3 labels, no share of strangers can be promised yet" in cli(verb, bundle, *store).stdout
        assert said(cli(verb, bundle, *store, "--json"))["can_promise"] is False
        assert "can be promised" not in cli(verb, "omniglot", *store).stdout
