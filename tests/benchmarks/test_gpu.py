"""benchmarks/gpu.py on a CPU: what it measures, and a paper's row at a tiny share of its budget."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
TINY = ("--dataset", "glyphs", "--tasks", "2", "--share", "0.000003", "--judge", "10")


@pytest.fixture(scope="module")
def gpu():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")  # so that importing it changes nothing for the tests after this one
        spec = importlib.util.spec_from_file_location("gpu", SCRIPT)
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "gpu", module)
        spec.loader.exec_module(module)
        yield module


def run(gpu, *arguments):
    return CliRunner().invoke(gpu.main, [str(argument) for argument in arguments], catch_exceptions=False)


def test_all_variants_are_measured_beside_the_cpu(gpu, tmp_path):
    output = tmp_path / "gpu.json"
    done = run(gpu, "measure", "--device", "CPU:0", "--row", "protonet-5w1s", "--seconds", "0.1", "--output", output)
    assert done.exit_code == 0, done.output
    found = json.loads(output.read_text())
    rows = found["rows"]["protonet-5w1s"]
    assert [row["variant"] for row in rows] == ["float32", "float32", "bfloat16", "xla"]
    assert rows[1]["loss_difference"] == 0  # the same device, seeds and arithmetic
    assert 0 < rows[2]["loss_difference"] < 0.1
    assert all(row["tasks_per_s"] > 0 and row["hours_of_budget"] > 0 for row in rows)
    assert done.output.count("| protonet-5w1s |") == 4


def test_a_device_that_is_not_there_is_wrong_usage(gpu):
    done = run(gpu, "measure", "--device", "GPU:9")
    assert done.exit_code == 2
    assert "TensorFlow sees no GPU:9 here" in done.output


@pytest.mark.parametrize(
    ("row", "tasks", "steps"), [("maml-5w1s", 32, 60_000), ("maml-20w5s", 16, 60_000), ("protonet-20w1s", 1, 20_000)]
)
def test_budgets_are_those_of_the_papers(gpu, row, tasks, steps):
    assert (gpu.ROWS[row].tasks, gpu.ROWS[row].steps) == (tasks, steps)
    smaller = gpu.with_tasks(gpu.ROWS[row], 1)
    assert (smaller.tasks, smaller.steps) == (1, tasks * steps)


def test_a_papers_row_trains_resumes_and_is_judged(gpu, tmp_path):
    arguments = ("paper", "maml-5w1s", "--output", tmp_path / "run", *TINY)
    first = run(gpu, *arguments)
    assert first.exit_code == 0, first.output
    assert "the paper 98.7" in first.output
    asked = json.loads((tmp_path / "run" / "run.json").read_text())["asked"]
    assert (asked["steps"], asked["inner_steps"], asked["judged_steps"]) == (3, 1, 3)
    again = run(gpu, *arguments, "--resume")  # all steps are done
    assert again.output.splitlines()[-1] == first.output.splitlines()[-1]
    other = run(gpu, *arguments, "--resume", "--tasks", "1")
    assert (other.exit_code, "was started with other options" in other.output) == (2, True)


def test_maml_is_judged_with_more_inner_steps(gpu):
    row = gpu.ROWS["maml-5w1s"]
    method = row.method()
    judged = gpu.judged(row, method)
    assert (method.steps, judged.steps) == (1, 3)
    for mine, theirs in zip(judged.encoder.get_weights(), method.encoder.get_weights(), strict=True):
        assert (mine == theirs).all()
