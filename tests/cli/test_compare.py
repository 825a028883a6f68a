"""`edge-meta compare`: encoders on the same episodes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.device import cli
from support.workstation import save_npz

pytestmark = pytest.mark.usefixtures("quick_conv4")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, quick_conv4: None) -> Path:
    """A folder with the runs one, same (its copy) and other. Tests must not write to it."""
    folder = tmp_path_factory.mktemp("runs")
    data = save_npz(folder / "own.npz", 20, 8, noise=150.0)
    for seed, name in enumerate(("one", "other")):
        cli(
            "train", "--dataset", data, "--image-size", 16, "--way", 3, "--episodes", 2 + 8 * seed, "--seed", seed,
            "--output", folder / name,
        )  # fmt: skip
    shutil.copytree(folder / "one", folder / "same")
    return folder


def test_equal_encoders_differ_by_nothing(runs: Path) -> None:
    names = [str(runs / name) for name in ("one", "same", "other")]
    found = json.loads(cli("compare", *names, "--episodes", 50, "--json").stdout)
    one, same, other = found["runs"]
    assert [row["run"] for row in found["runs"]] == names
    assert (same["difference"], same["difference_ci95"]) == (0.0, 0.0)
    assert same["accuracy"] == one["accuracy"]
    assert other["difference"] == pytest.approx(other["accuracy"] - one["accuracy"])
    assert other["difference_ci95"] > 0
    assert found["split"] == "val"


def test_the_text_gives_the_difference_in_points(runs: Path) -> None:
    first, second, third = cli("compare", runs / "one", runs / "same", "--way", 3, "--episodes", 20).stdout.splitlines()
    assert first.startswith("3-way 1-shot, 7 queries, 20 episodes, val classes of npz:")
    assert "points" not in second
    assert third.endswith("+0.00 ± 0.00 points")


def test_bundles_need_a_dataset(runs: Path) -> None:
    assert "omniglot is no run" in cli("compare", "omniglot", runs / "one", code=1).stderr
    data = f"npz:{runs / 'own.npz'}"
    found = json.loads(cli("compare", "omniglot", runs / "one", "--dataset", data, "--episodes", 9, "--json").stdout)
    assert found["runs"][0]["difference"] == 0.0


def test_one_run_is_wrong_usage(runs: Path) -> None:
    assert "two runs or more" in cli("compare", runs / "one", code=2).stderr


def test_a_run_of_all_classes_is_judged_on_held_back_examples(tmp_path: Path) -> None:
    data = save_npz(tmp_path / "few.npz", 4, 10)
    cli("train", "--dataset", data, "--split", "all", "--image-size", 16, "--episodes", 1, "--output", tmp_path / "run")
    found = json.loads(cli("compare", tmp_path / "run", tmp_path / "run", "--episodes", 5, "--json").stdout)
    assert (found["way"], found["query"]) == (4, 1)


def test_train_leaves_a_page_in_the_run(runs: Path) -> None:
    page = (runs / "one" / "report.html").read_text()
    for title in (
        "Learning curve",
        "Accuracy of each episode",
        "Classes",
        "Mistakes",
        "Map of embeddings",
        "How it was made",
    ):
        assert f"<h2>{title}</h2>" in page
    assert "edge-meta" in page
    assert "data:image/png;base64," in page
