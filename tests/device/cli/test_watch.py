"""edge-meta watch, as a user runs it: folders, tables, pipes, and mistakes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from support.calls import call, write_wav
from support.device import cli, complaint, draw, png, said
from support.motions import csv, motion, stream

from edge_meta.cli import main


@pytest.fixture
def letters(tmp_path: Path) -> list[object]:
    for kind, label in enumerate(("alef", "bet")):
        cli("enroll", "omniglot", label, *[png(tmp_path, f"{label}{take}.png", draw(kind, take)) for take in range(3)],
            "--store", tmp_path / "letters.db")  # fmt: skip
    return ["--store", tmp_path / "letters.db"]


@pytest.fixture
def gestures(tmp_path: Path) -> list[object]:
    for kind, label in ((0, "circle"), (2, "zigzag")):
        for take in range(3):
            np.save(tmp_path / f"{label}{take}.npy", motion(kind, take))
        cli("enroll", "gestures", label, *[tmp_path / f"{label}{take}.npy" for take in range(3)],
            "--store", tmp_path / "gestures.db")  # fmt: skip
    return ["--store", tmp_path / "gestures.db"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    times, values, _ = stream([(2, 1.4), (0, 1.6)])
    path = tmp_path / "waved.csv"
    path.write_text(csv(times, values), "utf-8")
    return path


def watched(monkeypatch: pytest.MonkeyPatch, arguments: Sequence[object], changes: Sequence[Any]) -> Result:
    """Run watch; a change is made at each look after the first, and then Ctrl-C is pressed."""
    waiting = iter(changes)

    def sleep(seconds: float) -> None:
        change = next(waiting, None)
        if change is None:
            raise KeyboardInterrupt
        change()

    monkeypatch.setattr("edge_meta.cli.watch.time.sleep", sleep)
    return cli("watch", *arguments)


def piped(text: str | bytes, *arguments: object) -> Result:
    return CliRunner().invoke(main, ["watch", *map(str, arguments)], input=text, catch_exceptions=False)


def test_a_folder_is_answered_and_then_what_comes(
    tmp_path: Path, letters: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new"
    png(folder, "1.png", draw(0, 7))
    changes = [lambda: png(folder, "2.png", draw(1, 7)), lambda: None]
    done = watched(monkeypatch, ["omniglot", folder, *letters], changes)
    assert [line.split(" ")[:2] for line in done.stdout.splitlines()] == [
        [f"{folder / '1.png'}:", "alef"], [f"{folder / '2.png'}:", "bet"],
    ]  # fmt: skip
    assert "Ctrl-C to stop" in done.stderr
    assert "Stopped." in done.stderr


def test_lines_of_a_folder_in_json_are_those_of_classify(
    tmp_path: Path, letters: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new"
    for kind in range(3):
        png(folder, f"{kind}.png", draw(kind, 7))
    done = watched(monkeypatch, ["omniglot", folder, *letters, "--json"], [])
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers == said(cli("classify", "omniglot", folder, *letters, "--json"))["results"]


def test_an_unreadable_file_is_a_note(tmp_path: Path, letters: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "new"
    png(folder, "b.png", draw(0, 7))
    (folder / "a.png").write_bytes(b"no picture")
    done = watched(monkeypatch, ["omniglot", folder, *letters], [])
    assert len(done.stdout.splitlines()) == 1
    assert "a.png is not a readable image" in done.stderr
    assert "Remove it from the list" not in done.stderr


def test_a_table_has_a_line_for_each_gesture(table: Path, gestures: list[object]) -> None:
    lines = cli("watch", "gestures", table, *gestures).stdout.splitlines()
    assert [line.split()[1:3] for line in lines] == [["s", "zigzag"], ["s", "circle"]]
    events = [json.loads(line) for line in cli("watch", "gestures", table, *gestures, "--json").stdout.splitlines()]
    assert [event["label"] for event in events] == ["zigzag", "circle"]
    assert {*events[0]} == {"time", "label", "score", "latency_ms"}


def test_notes_tell_missing_columns_and_the_motions(tmp_path: Path, table: Path, gestures: list[object]) -> None:
    assert cli("watch", "gestures", table, *gestures).stderr == "Motions between two moments of stillness: 2.\n"
    other = tmp_path / "other.csv"
    other.write_text(table.read_text("utf-8").replace("gx,gy", "GX,GY"), "utf-8")
    assert "other.csv has no column gx, gy, which counts as zero" in cli("watch", "gestures", other, *gestures).stderr


def test_a_pipe_says_the_same_as_the_table(table: Path, gestures: list[object]) -> None:
    assert piped(table.read_bytes(), "gestures", "-", *gestures).stdout == cli("watch", "gestures", table, *gestures).stdout


def test_a_motion_made_five_times_is_five_shots(tmp_path: Path) -> None:
    store = ["--store", tmp_path / "split.db"]
    times, values, spans = stream([(0, 1.5)] * 5)
    file = tmp_path / "five.csv"
    file.write_text(csv(times, values), "utf-8")
    done = said(cli("enroll", "gestures", "circle", "--split", file, *store, "--json"))
    assert (done["added"], done["shots"]) == (5, 5)
    for cut, (start, end) in zip(done["cuts"], spans, strict=True):
        assert cut["file"] == str(file)
        assert abs(cut["start"] - start) < 0.3
        assert abs(cut["end"] - end) < 0.3
    still = tmp_path / "still.csv"
    still.write_text(csv(times[:100], values[:100]), "utf-8")
    assert "No motion in" in complaint(cli("enroll", "gestures", "circle", "--split", still, *store, code=1))


def test_mistakes_of_a_source_are_sentences(tmp_path: Path, letters: list[object]) -> None:
    assert "Give a FOLDER, a VIDEO" in cli("watch", "omniglot", code=2).output
    assert "Give a FOLDER, a VIDEO" in cli("watch", "omniglot", tmp_path, "--camera", 0, code=2).output
    image = png(tmp_path, "x.png", draw(0))
    assert "is one picture, and no video. Use edge-meta classify" in complaint(cli("watch", "omniglot", image, code=1))
    assert "not read from stdin" in complaint(cli("watch", "omniglot", "-", code=1))
    sound = write_wav(tmp_path / "x.wav", call(0, 0))
    assert "This bundle takes images; " in complaint(cli("watch", "omniglot", sound, code=1))
    assert "keywords takes recordings; " in complaint(cli("watch", "keywords", sound, code=1))
    assert "Use edge-meta listen." in complaint(cli("watch", "keywords", sound, code=1))
    assert "Use edge-meta watch" in complaint(cli("listen", "gestures", sound, code=1))
    assert "a camera gives images" in complaint(cli("watch", "gestures", "--camera", 0, code=1))
    assert "does not exist" in complaint(cli("watch", "omniglot", tmp_path / "none", *letters, code=1))
    assert "is enrolled" in complaint(cli("watch", "omniglot", tmp_path, "--store", tmp_path / "new.db", code=1))


def test_mistakes_of_a_table_are_sentences(tmp_path: Path, table: Path, gestures: list[object]) -> None:
    assert "is an image" in complaint(cli("watch", "gestures", png(tmp_path, "x.png", draw(0)), code=1))
    np.save(tmp_path / "x.npy", np.zeros((5, 6)))
    assert "x.npy holds no times" in complaint(cli("watch", "gestures", tmp_path / "x.npy", code=1))
    lines = table.read_text("utf-8").splitlines()
    assert "The stream has no column of times" in complaint(piped("ax,ay\n1,2\n", "gestures", "-", *gestures))
    assert "No column of The stream" in complaint(piped("t,x\n", "gestures", "-", *gestures))
    late = [lines[0], *(f"{10 * row},0,0,0,0,0,0" for row in range(30))]  # in milliseconds
    assert "10 s apart" in complaint(piped("\n".join(late), "gestures", "-", *gestures))
    broken = "\n".join([*lines[:50], "1.0,one,2"])
    assert "has no number in column 'ax'" in complaint(piped(broken, "gestures", "-", *gestures))
    assert "not a readable table" in complaint(piped(lines[0].encode() + b"\n\xff\xfe\n", "gestures", "-", *gestures))
