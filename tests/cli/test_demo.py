"""The demo on drawings, with fewer episodes than a person gets."""

import contextlib
import io
import json
import re
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from edge_meta.benchmarking.runner import BenchmarkConfig
from edge_meta.cli import main
from edge_meta.cli.demo_drawings import DemoConfig, account, run_demo
from edge_meta.cli.demo_folder import remove_run
from edge_meta.runtime.bundle import Bundle

LITTLE = DemoConfig(
    way=20, episodes=4, evaluated_episodes=30,
    benchmark=BenchmarkConfig(20, 2, sweep=False, shots=2, class_counts=(5, 40), adaptations=2, starts=1),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A demo's folder, made twice over: the second takes the place of the first."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    for _ in range(2):
        with contextlib.redirect_stderr(io.StringIO()) as progress:
            run_demo("glyphs", folder, LITTLE)
    (folder / "stderr.txt").write_text(progress.getvalue())
    return folder


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


def test_result_has_the_keys_that_scripts_rely_on(folder):
    result = result_of(folder)
    assert result["dataset"] == "glyphs"
    assert result["seconds"] > 0
    for kind in ("float32", "int8"):
        assert set(result["accuracy"][kind]) == {"5w1s", "5w5s", "20w1s"}
        assert result["accuracy"][kind]["5w5s"] > 0.2, "no better than chance"
        assert abs(result["accuracy"][kind]["5w1s"] - result["accuracy"]["float32"]["5w1s"]) < 0.05
    assert {"backend", "stages", "cold_start_ms", "host"} <= result["benchmark"].keys()


def test_account_sums_up_the_result(folder):
    text = "\n".join(account(result_of(folder), folder))
    assert "5-way 1-shot" in text
    assert "20 classes enrolled from 5 examples each" in text
    assert "report.html" in text


def test_progress_is_on_stderr(folder):
    progress = (folder / "stderr.txt").read_text()
    assert all(f"{step}/5" in progress for step in range(1, 6))


def test_report_has_its_pictures_and_needs_no_other_file(folder):
    page = (folder / "report.html").read_text()
    for title in ("Sample episodes", "Training curve", "Accuracy by shots", "An enrolled 20-way task", "Latency"):
        assert f"<h2>{title}</h2>" in page
    drawings = re.findall("<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 5
    for drawing in drawings:
        ElementTree.fromstring(drawing)  # or it is not well-formed
    assert page.count("data:image/png;base64,") > 60
    links = re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', page)
    assert links == []


def test_bundle_can_be_used(folder):
    assert Bundle.open(folder / "glyphs.bundle").manifest.quantization == "int8"


def test_only_an_earlier_demos_run_is_removed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    remove_run(tmp_path / "run")
    assert (tmp_path / "run" / "thesis.txt").read_text() == "mine"


def test_verb_prints_one_object(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "edge_meta.cli.demo_drawings.run_demo", lambda dataset, folder: {"dataset": dataset, "folder": str(folder)}
    )
    monkeypatch.setattr("edge_meta.cli.demo_drawings.account", lambda result, folder: [])
    run = CliRunner().invoke(main, ["demo", "--output", str(tmp_path), "--json"], catch_exceptions=False)
    assert json.loads(run.stdout) == {"dataset": "glyphs", "folder": str(tmp_path)}
