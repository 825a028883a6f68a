"""From a folder of recordings or of series to a bundle that takes them, by the command line alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.device import cli, said, wav

CLASSES, EXAMPLES = 12, 6
RATE = 16000


def recording(folder: Path, number: int, rng: np.random.Generator, kind: int) -> Path:
    """Write a tone that belongs to the class, somewhere in a second of noise."""
    time = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * 200 * 1.2**kind * time) * np.exp(-(((time - rng.uniform(0.4, 0.6)) / 0.1) ** 2))
    samples = (6000 * tone + rng.normal(0, 100, RATE)).astype(np.int16)
    return wav(folder, samples.tobytes()).rename(folder / f"{number}.wav")


def series(folder: Path, number: int, rng: np.random.Generator, kind: int) -> Path:
    """Write waves of the class in two channels, of any length."""
    time = np.linspace(0, 2 * np.pi, rng.integers(60, 140))
    waves = np.stack([np.sin(time * (1 + kind % 4)), np.cos(time * (1 + kind // 4))], axis=1)
    path = folder / f"{number}.csv"
    np.savetxt(path, waves + rng.normal(0, 0.1, waves.shape), delimiter=",", header="left,right", comments="")
    return path


SENSES = {
    "recordings": (recording, "dscnn", {"kind": "audio", "samples": 16000, "sample_rate": 16000}),
    "series": (series, "tcn", {"kind": "array", "shape": [128, 2], "channels": ["left", "right"]}),
}


@pytest.fixture(scope="module", params=SENSES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A bundle of a short run on a folder, and what was said on the way. Tests must not write to it."""
    folder, rng = tmp_path_factory.mktemp(request.param), np.random.default_rng(0)
    write, encoder, expected = SENSES[request.param]
    for kind in range(CLASSES):
        (folder / "own" / f"class {kind:02}").mkdir(parents=True)
        for number in range(EXAMPLES):
            write(folder / "own" / f"class {kind:02}", number, rng, kind)
    run, bundle = folder / "run", folder / "own.bundle"
    training = cli("train", "--dataset", f"folder:{folder / 'own'}", "--episodes", 12, "--output", run)
    cli("export", run, "--output", bundle, "--max-drop", 20)
    asked = json.loads((run / "run.json").read_text())["asked"]
    manifest = json.loads((bundle / "manifest.json").read_text())
    return {
        "folder": folder, "bundle": bundle, "plan": training.stderr, "asked": asked, "encoder": encoder,
        "input": manifest["input"], "expected": expected, "manifest": manifest,
    }  # fmt: skip


def test_the_plan_follows_from_the_files(trained: dict[str, Any]) -> None:
    assert f"--encoder {trained['encoder']}" in trained["plan"]
    assert (trained["asked"]["encoder"], trained["asked"]["augment"]) == (trained["encoder"], True)


def test_the_bundle_is_of_the_sense(trained: dict[str, Any]) -> None:
    assert trained["expected"].items() <= trained["input"].items()
    assert trained["manifest"]["quantization"] == "int8"
    assert set(trained["manifest"]["signatures"]) == {"embed", "enroll", "score", "train_step"}


def test_enroll_and_classify_take_the_files(trained: dict[str, Any], tmp_path: Path) -> None:
    store = ("--store", tmp_path / "own.db")
    for kind in ("class 00", "class 05", "class 10"):
        files = [trained["folder"] / "own" / kind / f"{number}{trained_suffix(trained)}" for number in range(3)]
        cli("enroll", trained["bundle"], kind, *files, *store)
    asked = trained["folder"] / "own" / "class 05" / f"5{trained_suffix(trained)}"
    (result,) = said(cli("classify", trained["bundle"], asked, *store, "--json"))["results"]
    assert result["top"][0]["label"] == "class 05"


def test_evaluate_takes_the_folder(trained: dict[str, Any]) -> None:
    of = ("--dataset", f"folder:{trained['folder'] / 'own'}", "--split", "test", "--way", 2, "--query", 3, "--episodes", 20)
    found = said(cli("evaluate", trained["bundle"], *of, "--json"))
    assert found["accuracy"] > 0.6


def test_compare_judges_the_run(trained: dict[str, Any]) -> None:
    of = ("--dataset", f"folder:{trained['folder'] / 'own'}", "--way", 2, "--episodes", 20)
    assert cli("compare", trained["folder"] / "run", trained["bundle"], *of, "--json").exit_code == 0


@pytest.mark.parametrize("option", ["--mirror", "--quantize-aware=5"])
def test_export_refuses_what_is_for_images(trained: dict[str, Any], tmp_path: Path, option: str) -> None:
    refused = cli("export", trained["folder"] / "run", "--output", tmp_path / "own.bundle", option, code=1)
    assert "no images" in refused.stderr


def trained_suffix(trained: dict[str, Any]) -> str:
    return ".wav" if trained["encoder"] == "dscnn" else ".csv"
