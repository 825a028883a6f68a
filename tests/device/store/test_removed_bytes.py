"""Nothing of what random histories removed is in a store's files, not even in what SQLite leaves when it moves rows."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

RUN = runpy.run_path(str(Path(__file__).with_name("removal_histories.py")))["run"]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.usefixtures("hasty")
def test_a_history_leaves_no_byte_of_what_it_removed(tmp_path: Path, seed: int) -> None:
    assert RUN(tmp_path, seed) == 0
