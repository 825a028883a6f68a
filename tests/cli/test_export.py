"""`edge-meta export` and `edge-meta data`: results on stdout, notes on stderr, exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.device import cli

from edge_meta.runtime.bundle import Bundle

SIZES = ("--max-classes", "8", "--max-shots", "16", "--max-drop", "5")


# --- export -----------------------------------------------------------------------------------------------------------


def test_a_process_prints_json_to_stdout_and_notes_to_stderr(finished_run: Path, tmp_path: Path) -> None:
    """The converter is C++ and prints past Python's sys.stdout, so this needs a process of its own."""
    output = tmp_path / "letters.bundle"
    command = [sys.executable, "-m", "edge_meta", "export", finished_run, "--output", output, *SIZES, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    bundle = Bundle.open(output)
    assert json.loads(done.stdout) == {
        "bundle": str(output),
        "encoder_id": bundle.manifest.encoder_id,
        "quantization": "int8",
        "runtimes": ["ai-edge-litert", "tflite-runtime 2.14", "TensorFlow"],
        "dim": 8,
        "model_bytes": len(bundle.model),
        "parity": bundle.manifest.parity,
        "upgrades": [],
    }
    assert "converting to int8\n" in done.stderr
    assert "calibrating and comparing on 120 validation images\n" in done.stderr


def test_text_tells_of_accuracy_noise_and_the_next_step(finished_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "letters.zip"
    result = cli("export", finished_run / "encoder.keras", "--output", output, "--explain", *SIZES)
    lines, bundle = result.stdout.splitlines(), Bundle.open(output)
    assert lines[0] == f"{output}: int8, {len(bundle.model):,} bytes, 8 dimensions"
    one, five = bundle.manifest.parity["episodes"]
    assert f"6-way 1-shot on validation classes: float32 {100 * one['float32']['mean']:.2f} ± " in lines[1]
    assert f"6-way 5-shot on validation classes: float32 {100 * five['float32']['mean']:.2f} ± " in lines[2]
    layers = bundle.manifest.parity["layers"]
    worst = f"{layers[0]['layer']} ({layers[0]['operator']}): {layers[0]['own_db']:.1f} dB"
    assert lines[3].startswith(f"Quantization hurts most at {worst}")
    assert [line.split()[0] for line in lines[5:-1]] == [f"{layer['own_db']:.1f}" for layer in layers]
    assert lines[-1] == f"Next: edge-meta enroll {output} LABEL FILE..."


def test_too_great_a_drop_is_exit_code_1_with_a_remedy(finished_run: Path, tmp_path: Path) -> None:
    arguments = ("export", finished_run, "--output", tmp_path / "new.bundle", "--json")
    result = cli(*arguments, "--max-drop", "-99", *SIZES[:4], code=1)
    assert result.stdout == ""
    assert "points of accuracy at 6-way" in result.stderr
    assert "--quantize-aware 300" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_only_overwrite_replaces_a_bundle(finished_run: Path, int8_bundle: Bundle, tmp_path: Path) -> None:
    output = shutil.copytree(int8_bundle.path, tmp_path / "new.bundle")
    arguments = ("export", finished_run, "--output", output, "--quantize", "float32", *SIZES)
    refused = cli(*arguments, code=1)
    assert refused.stdout == ""
    assert refused.stderr.startswith(f"Error: {output} exists. Use --overwrite to replace it")
    assert "No layer's quantization adds noise" in cli(*arguments, "--overwrite", "--explain").stdout
    assert Bundle.open(output).manifest.quantization == "float32"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--max-classes", "1"], "sizes are out of range"),
        (["--max-shots", "0"], "sizes are out of range"),
        (["--calibration", "nonsense"], "There is no dataset 'nonsense'"),
    ],
)
def test_a_users_problem_is_exit_code_1_and_one_line(
    finished_run: Path, tmp_path: Path, given: list[str], message: str
) -> None:
    result = cli("export", finished_run, "--output", tmp_path / "new.bundle", *given, code=1)
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    result = cli("export", tmp_path, "--output", tmp_path / "new.bundle", code=1)
    assert f"{tmp_path} holds no run (run.json is missing). Name the --output of an edge-meta train." in result.stderr


@pytest.mark.parametrize("given", [[], ["RUN"], ["RUN", "--output", "new.bundle", "--quantize", "int4"]])
def test_wrong_usage_is_exit_code_2(given: list[str]) -> None:
    assert cli("export", *given, code=2).stdout == ""


# --- data -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data with nothing in it, and no network."""

    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("offline")

    monkeypatch.setenv("EDGE_META_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    return tmp_path / "data"


def test_data_list_names_every_dataset_and_the_folder(empty: Path) -> None:
    found = json.loads(cli("data", "list", "--json").stdout)
    assert found["folder"] == str(empty)
    assert set(found["datasets"]) == {
        "omniglot",
        "lake",
        "glyphs",
        "folder:PATH",
        "npz:PATH",
        "csv:PATH",
        "huggingface:PATH",
        "shards:PATH",
    }
    text = cli("data", "list").stdout
    assert all(f"{name} " in text for name in found["datasets"])
    assert text.endswith(f"Downloads: {empty}\n")
    assert not empty.exists()


def test_data_fetch_without_a_network_names_a_remedy(empty: Path) -> None:
    result = cli("data", "fetch", "omniglot", code=1)
    assert f"omniglot is not at {empty}/omniglot/images_background.zip" in result.stderr
    assert "Connect to the network, or set EDGE_META_DATA" in result.stderr
    assert result.stdout == ""


def test_data_fetch_checks_archives_that_are_there(omniglot: Path) -> None:
    found = json.loads(cli("data", "fetch", "omniglot", "--json").stdout)
    assert found["dataset"] == "omniglot"
    assert [os.path.basename(path) for path in found["files"]] == ["images_background.zip", "images_evaluation.zip"]
    assert all(Path(path).is_file() for path in found["files"])


def test_data_fetch_names_a_damaged_archive(empty: Path) -> None:
    (empty / "omniglot").mkdir(parents=True)
    (empty / "omniglot" / "images_background.zip").write_bytes(b"<html>")
    result = cli("data", "fetch", "omniglot", code=1)
    assert f"{empty}/omniglot/images_background.zip does not hold Omniglot's images_background" in result.stderr


def test_data_fetch_of_something_else_is_exit_code_2() -> None:
    assert "glyphs" in cli("data", "fetch", "glyphs", code=2).stderr
