"""The shipped bundles are as accurate on a GPU as on the CPU. The GPU is SwiftShader, a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.device import swiftshader

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ROOMS = [BENCHMARKS, *(BENCHMARKS / name for name in ("objects", "keywords", "gestures"))]


@pytest.mark.usefixtures("omniglot")
@pytest.mark.parametrize("name", ["omniglot", "objects", "keywords", "gestures"])
def test_a_gpu_is_as_accurate_as_the_cpu(name: str) -> None:
    """No more than 0.2 points apart on new classes, but for the interval of the difference."""
    script = [sys.executable, BENCHMARKS / "gpu_accuracy.py", name, "--classes", "10", "--each", "15", "--json"]
    where = {**os.environ, **swiftshader(), "PYTHONPATH": os.pathsep.join(map(str, ROOMS))}
    printed = subprocess.run(script, env=where, check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert {row["shot"] for row in rows} == {1, 5}
    for row in rows:
        assert abs(row["difference"]) <= 0.2 + row["difference_ci95"], row
        assert row["same_answers"] > 97, row
        assert row["cpu"] > 70, row
