"""edge-meta evaluate --dataset lake: all runs as they are, and nothing that would change or choose them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.device import cli, complaint

from edge_meta.errors import InputError
from edge_meta.evaluation.evaluator import evaluate
from edge_meta.evaluation.protocol import EpisodeProtocol
from edge_meta.runtime.bundle import Bundle


@pytest.fixture(autouse=True)
def no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder whose copy of the runs is damaged, so that a test that reads it finds out."""
    monkeypatch.setenv("EDGE_META_DATA", str(tmp_path))
    (tmp_path / "omniglot").mkdir()
    path = tmp_path / "omniglot" / "all_runs.zip"
    path.write_bytes(b"<html>")
    return path


@pytest.mark.parametrize(
    "option",
    [
        ["--split", "test"], ["--way", 20], ["--shot", 1], ["--query", 1], ["--episodes", 20], ["--seed", 0],
        ["--within-alphabet"], ["--within-group"], ["--strangers", "omniglot"], ["--strangers", "lake"],
    ],
    ids=str,
)  # fmt: skip
def test_options_that_the_runs_fix_are_refused(option: list[object]) -> None:
    message = complaint(cli("evaluate", "omniglot", "--dataset", "lake", *option, code=1))
    assert "lake is a fixed protocol: 20 runs, 20-way, one shot and one query" in message
    assert "Leave out --split, --way, --shot, --query, --episodes, --seed, --within-alphabet and --strang" in message


def test_lake_gives_no_strangers_to_other_datasets() -> None:
    arguments = ["evaluate", "omniglot", "--dataset", "omniglot", "--strangers", "lake"]
    assert "lake is a fixed protocol" in complaint(cli(*arguments, code=1))


@pytest.mark.parametrize("given", [EpisodeProtocol(), EpisodeProtocol(episodes=20, query=1)])
def test_in_python_a_protocol_for_lake_is_refused(bundle: Bundle, given: EpisodeProtocol) -> None:
    with pytest.raises(InputError, match="lake is a fixed protocol"):
        evaluate(bundle, "lake", given)
    with pytest.raises(InputError, match="lake is a fixed protocol"):
        evaluate(bundle, "lake", strangers="omniglot")


def test_heads_and_interpreters_may_be_chosen(no_archive: Path) -> None:
    """They lead as far as the archive."""
    for options in ([], ["--head", "linear", "--solver", "gradient", "--steps", 3, "--threads", 1]):
        message = complaint(cli("evaluate", "omniglot", "--dataset", "lake", *options, code=1))
        assert f"{no_archive} does not hold Lake's 20 runs, or is damaged. Delete it" in message
