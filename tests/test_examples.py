"""The examples run as their docstrings say, and are short."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.device import draw, png

EXAMPLES = Path(__file__).parent.parent / "examples"
MOST_LINES = 40


def run(name: str, *arguments: object) -> str:
    """Run an example; returns what it prints to stdout."""
    command = [sys.executable, EXAMPLES / name, *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short_and_says_how_to_run(path: Path) -> None:
    source = path.read_text("utf-8")
    assert len(source.splitlines()) <= MOST_LINES
    assert f"python examples/{path.name}" in (ast.get_docstring(ast.parse(source)) or "")


def test_enroll_knows_its_classes_and_no_stranger() -> None:
    said = run("enroll.py")
    assert "cross: Prediction(label='cross'" in said
    assert "corner: Prediction(label='corner'" in said
    assert "bars: Prediction(label=None" in said
    assert said.endswith("left: ['cross']\n")


def test_enroll_takes_a_folder_of_images(tmp_path: Path) -> None:
    for kind, name in enumerate(("lamed", "bet", "stranger")):
        for take in range(3):
            png(tmp_path, f"{name}/{take}.png", draw(kind, take))
    assert run("enroll.py", tmp_path).endswith("left: ['bet']\n")


def test_scikit_learn_does_better_than_chance() -> None:
    shares = [float(share) for share in re.findall(r": ([\d.]+) % right", run("scikit_learn.py"))]
    assert len(shares) == 3
    assert min(shares) > 60


def test_train_and_export_makes_a_bundle_that_classifies(tmp_path: Path) -> None:
    said = run("train_and_export.py", tmp_path)
    assert (tmp_path / "letters.bundle" / "encoder.tflite").exists()
    accuracy = re.search(r"letters.bundle: ([\d.]+) ± ", said)
    assert accuracy
    assert float(accuracy[1]) > 30  # 5 is chance
