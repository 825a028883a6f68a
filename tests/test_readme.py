"""The README's code runs as written: its `bash` and `python` blocks, in order, in one folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_meta.datasets import load_dataset

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with photos/lamed, photos/bet and photos/what.png, which is a lamed."""
    letters = load_dataset("glyphs", "all")
    folder = tmp_path_factory.mktemp("readme")
    for name, symbol in (("lamed", "ל"), ("bet", "ב")):
        index = next(i for i, class_name in enumerate(letters.class_names) if class_name.endswith(symbol))
        images = letters.examples[np.flatnonzero(letters.labels == index)][:, :, :, 0]
        (folder / "photos" / name).mkdir(parents=True)
        for number in (1, 2, 3):
            Image.fromarray(images[number]).save(folder / "photos" / name / f"{number}.png")
        if name == "lamed":
            Image.fromarray(images[4]).save(folder / "photos" / "what.png")
    return folder


def test_has_code_of_both_kinds():
    assert {kind for kind, _ in BLOCKS} == {"bash", "python"}


@pytest.mark.parametrize(("kind", "code"), BLOCKS, ids=[code.splitlines()[0][:40] for _, code in BLOCKS])
def test_block_runs(kind, code, folder):
    command = ["bash", "-euo", "pipefail", "-c", code] if kind == "bash" else [sys.executable, "-W", "error", "-c", code]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "XDG_DATA_HOME": str(folder / "data"),
    }
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    if "result.best" in code:
        assert "Prediction(label=" in run.stdout
        assert "['lamed', 'blot']" in run.stdout
