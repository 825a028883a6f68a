"""The demo, with fewer episodes than a person gets."""

import json
import re

import pytest
from click.testing import CliRunner

from edge_meta.cli import demo, main
from edge_meta.runtime.bundle import Bundle


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A demo's folder, made twice over: the second takes the place of the first."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"EPISODES": 4, "JUDGED_EPISODES": 30, "WAY": 20}.items():
            patch.setattr(demo, name, value)
        for _ in range(2):
            run = CliRunner().invoke(main, ["demo", "--output", str(folder)], catch_exceptions=False)
            assert run.exit_code == 0
    (folder / "stdout.txt").write_text(run.stdout)
    (folder / "stderr.txt").write_text(run.stderr)
    return folder


def test_result_has_the_keys_that_scripts_rely_on(folder):
    result = json.loads((folder / "result.json").read_text())
    assert result["dataset"] == "glyphs"
    assert result["seconds"] > 0
    for kind in ("float32", "int8"):
        assert set(result["accuracy"][kind]) == {"5w1s", "5w5s", "20w1s"}
        assert result["accuracy"][kind]["5w5s"] > 0.2, "no better than chance"
        assert abs(result["accuracy"][kind]["5w1s"] - result["accuracy"]["float32"]["5w1s"]) < 0.05


def test_account_is_on_stdout_and_progress_on_stderr(folder):
    account = (folder / "stdout.txt").read_text()
    assert "5-way 1-shot" in account
    assert "20 classes enrolled from 5 examples each" in account
    assert "report.html" in account
    assert "1/5" in (folder / "stderr.txt").read_text()


def test_report_has_its_pictures_and_needs_no_other_file(folder):
    page = (folder / "report.html").read_text()
    for title in ("Sample episodes", "Training curve", "Accuracy by shots", "An enrolled 20-way task", "Latency"):
        assert f"<h2>{title}</h2>" in page
    assert page.count("<svg") == 4
    assert page.count("data:image/png;base64,") > 60
    links = re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', page)
    assert links == []


def test_bundle_can_be_used(folder):
    assert Bundle.open(folder / "glyphs.bundle").manifest.quantization == "int8"


def test_only_an_earlier_demos_run_is_removed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    demo._clear_run(tmp_path / "run")
    assert (tmp_path / "run" / "thesis.txt").read_text() == "mine"
