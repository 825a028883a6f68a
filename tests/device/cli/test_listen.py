"""edge-meta listen, as a user runs it: files, pipes, and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.calls import RATE, call, write_wav
from support.device import cli, complaint, draw, png, said

from edge_meta.cli import main


@pytest.fixture
def store(tmp_path: Path) -> list[object]:
    for kind, label in enumerate(("up", "down")):
        files = [write_wav(tmp_path / f"{label}{take}.wav", call(kind, take, at=0.3)) for take in range(4)]
        cli("enroll", "keywords", label, *files, "--store", tmp_path / "store.db")
    return ["--store", tmp_path / "store.db"]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    quiet = np.random.default_rng(0).normal(0, 12, 2 * RATE).astype(np.int16)
    return write_wav(tmp_path / "sound.wav", np.concatenate([quiet, call(1, 9, at=0.3), quiet, call(0, 9, at=0.3), quiet]))


def test_a_hit_is_a_line(sound: Path, store: list[object]) -> None:
    lines = cli("listen", "keywords", sound, *store).stdout.splitlines()
    assert [line.split()[2] for line in lines] == ["down", "up"]
    assert all(line.split()[1] == "s" and line.endswith("%") for line in lines)


def test_json_has_a_line_for_each_hit(sound: Path, store: list[object]) -> None:
    hits = [json.loads(line) for line in cli("listen", "keywords", sound, *store, "--json").stdout.splitlines()]
    assert [hit["label"] for hit in hits] == ["down", "up"]
    assert {*hits[0]} == {"time", "label", "score", "latency_ms"}


def test_a_pipe_says_the_same_as_the_file(sound: Path, store: list[object]) -> None:
    arguments = ["listen", "keywords", "-", *map(str, store)]
    piped = CliRunner().invoke(main, arguments, input=sound.read_bytes(), catch_exceptions=False)
    assert piped.stdout == cli("listen", "keywords", sound, *store).stdout


def test_mistakes_are_sentences(tmp_path: Path, sound: Path, store: list[object]) -> None:
    assert "Give a FILE.wav, - or --microphone" in cli("listen", "keywords", code=2).output
    assert "does not exist" in complaint(cli("listen", "keywords", tmp_path / "none.wav", *store, code=1))
    slow = write_wav(tmp_path / "slow.wav", call(0, 0), rate=8000)
    piped = CliRunner().invoke(main, ["listen", "keywords", "-", *map(str, store)], input=slow.read_bytes())
    assert "The stream has 8000 Hz; the bundle takes 16000 Hz." in complaint(piped)
    piped = CliRunner().invoke(main, ["listen", "keywords", "-", *map(str, store)], input=b"no sound at all")
    assert "does not start like a .wav file" in complaint(piped)
    cli("enroll", "omniglot", "a", png(tmp_path, "a.png", draw(0)), "--store", tmp_path / "letters.db")
    refused = cli("listen", "omniglot", sound, "--store", tmp_path / "letters.db", code=1)
    assert "takes images; a listener takes recordings" in complaint(refused)


def test_a_word_said_three_times_is_three_shots(tmp_path: Path) -> None:
    store = ["--store", tmp_path / "split.db"]
    rest = np.zeros(RATE // 2, np.int16)
    takes = [part for take in range(3) for part in (call(0, take, at=0.3), rest)]
    file = write_wav(tmp_path / "up.wav", np.concatenate(takes))
    done = said(cli("enroll", "keywords", "up", "--split", file, *store, "--json"))
    assert (done["added"], done["shots"], done["warnings"]) == (3, 3, [])
    for take, sound in enumerate(done["cuts"]):
        assert sound["file"] == str(file)
        assert 1.5 * take + 0.2 < sound["start"] < 1.5 * take + 0.4 < sound["end"] < 1.5 * take + 0.9
    printed = cli("enroll", "keywords", "--none", "--split", file, *store).stdout
    assert printed.count(f"Cut out: {file} at ") == 3


def test_a_split_without_sounds_or_recordings_is_refused(tmp_path: Path) -> None:
    quiet = write_wav(tmp_path / "quiet.wav", np.zeros(RATE, np.int16))
    store = ["--store", tmp_path / "split.db"]
    assert "stands out from its noise" in complaint(cli("enroll", "keywords", "up", "--split", quiet, *store, code=1))
    image = png(tmp_path, "mug.png", draw(0))
    assert "omniglot takes images" in complaint(cli("enroll", "omniglot", "mug", "--split", image, *store, code=1))
