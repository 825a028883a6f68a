"""`edge-meta train`: results on stdout, progress on stderr, and a run that goes on with its own settings."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from support.device import cli
from support.workstation import save_npz

from edge_meta.cli.progress import TrainingProgress, duration
from edge_meta.errors import TrainingError
from edge_meta.training.config import TrainingConfig
from edge_meta.training.pipeline import train
from edge_meta.training.progress import Progress
from edge_meta.training.run import RunFolder

pytestmark = pytest.mark.usefixtures("quick_conv4")

SMALL = ("--image-size", "16", "--way", "3", "--query", "2", "--episodes", "4")


@pytest.fixture
def data(tmp_path: Path) -> str:
    return save_npz(tmp_path / "own.npz", 15, 8)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, quick_conv4: None) -> Path:
    """A run of 4 episodes that Ctrl-C ended at the second. Tests must not write to it."""
    folder = tmp_path_factory.mktemp("stopped")
    data = save_npz(folder / "own.npz", 15, 8)
    config = TrainingConfig(data, image_size=16, way=3, query=2, episodes=4, seed=3)

    def interrupt(progress: Progress) -> None:
        if progress.episode == 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingError, match="Stopped at episode 2 of 4"):
        train(config, folder / "run", on_progress=interrupt)
    return folder / "run"


@pytest.fixture
def interrupted(stopped: Path, tmp_path: Path) -> Path:
    """A copy of the stopped run."""
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def best(run: Path) -> float:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return max(row.get("val_accuracy", 0.0) for row in rows)


def test_json_is_on_stdout_and_progress_on_stderr(data: str, tmp_path: Path) -> None:
    result = cli("train", "--dataset", data, *SMALL, "--output", tmp_path / "run", "--json")
    found = json.loads(result.stdout)
    assert set(found) == {"run", "encoder", "episodes", "val_accuracy", "val_ci95"}
    assert (found["run"], found["encoder"]) == (str(tmp_path / "run"), str(tmp_path / "run" / "encoder.keras"))
    assert Path(found["encoder"]).is_file()
    assert found["episodes"] == 4
    assert found["val_accuracy"] == best(tmp_path / "run")
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("Data: ", "Plan: "))]
    assert len(lines) == 4
    for number, line in enumerate(lines, 1):
        pattern = rf"episode {number}/4  loss \d+\.\d{{3}}  [\d,]+ images/s  .* left  validation \d+\.\d\d ± \d+\.\d\d %"
        assert re.fullmatch(pattern, line)
    assert lines[-1].count("  0 s left") == 1


def test_the_text_names_the_encoder_and_the_next_step(data: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = cli("train", "--dataset", data, *SMALL, "--output", run)
    encoder, report, following = result.stdout.splitlines()
    assert (encoder, report) == (f"Encoder: {run}/encoder.keras", f"Report:  {run}/report.html")
    assert following == f"Next:    edge-meta export {run} --output NAME.bundle"


def test_settings_reach_the_run(data: str, tmp_path: Path) -> None:
    given = ("--shot", "2", "--seed", "7", "--learning-rate", "0.01", "--rotations", "--augment")
    given += ("--precision", "bfloat16", "--encoder", "resnet7")
    cli("train", "--dataset", data, *SMALL, *given, "--output", tmp_path / "run")
    expected = {
        "dataset": data, "method": "protonet", "encoder": "resnet7", "image_size": 16, "rgb": False, "way": 3, "shot": 2,
        "query": 2, "episodes": 4, "seed": 7, "learning_rate": 0.01, "rotations": True, "augment": True,
        "precision": "bfloat16", "xla": False,
    }  # fmt: skip
    assert expected.items() <= RunFolder(tmp_path / "run").facts()["asked"].items()


def test_settings_of_data_reach_the_run(data: str, tmp_path: Path) -> None:
    cli("train", "--dataset", data, *SMALL, "--reflections", "--whole-groups", "0.25", "--output", tmp_path / "run")
    facts = RunFolder(tmp_path / "run").facts()
    expected = TrainingConfig(data, image_size=16, way=3, shot=5, query=2, episodes=4, reflections=True, whole_groups=0.25)
    assert facts["asked"] == asdict(expected)
    assert facts["made"]["training_classes"] == 18


def test_own_images_get_a_plan_that_is_printed(data: str, tmp_path: Path) -> None:
    result = cli("train", "--dataset", data, "--image-size", "16", "--episodes", "1", "--output", tmp_path / "run")
    data_line, plan_line = result.stderr.splitlines()[:2]
    assert data_line == "Data: 15 classes of 8 to 8 images, in grey, about 16 pixels a side"
    assert plan_line == "Plan: --no-rgb --encoder conv4 --shot 4 --query 4 --way 9"
    facts = RunFolder(tmp_path / "run").facts()["asked"]
    assert (facts["shot"], facts["query"], facts["way"], facts["image_size"]) == (4, 4, 9, 16)


def test_a_named_dataset_keeps_its_defaults(tmp_path: Path) -> None:
    result = cli("train", "--dataset", "glyphs", "--way", "5000", "--output", tmp_path / "run", code=1)
    assert result.stderr.startswith("Error: Way 5000 needs 5000 classes")


def test_split_all_trains_a_few_classes(tmp_path: Path) -> None:
    data = save_npz(tmp_path / "few.npz", 4, 8)
    few = ("train", "--dataset", data, "--image-size", 16, "--episodes", 2, "--output", tmp_path / "run")
    assert "4 classes; 8 are needed" in cli(*few, code=1).stderr
    cli(*few, "--split", "all")
    made = RunFolder(tmp_path / "run").facts()["made"]["data"]
    assert [made[split]["classes"] for split in ("train", "val")] == [4, 4]
    assert [made[split]["examples"] for split in ("train", "val")] == [24, 8]


# --- resuming ---------------------------------------------------------------------------------------------------------


def test_resume_goes_on_with_the_settings_of_the_run(interrupted: Path) -> None:
    found = json.loads(cli("train", "--output", interrupted, "--resume", "--json").stdout)
    assert found["episodes"] == 4
    assert found["val_accuracy"] == best(interrupted)
    assert RunFolder(interrupted).facts()["asked"]["seed"] == 3


def test_resume_with_the_same_settings_again_is_fine(interrupted: Path) -> None:
    data = RunFolder(interrupted).facts()["asked"]["dataset"]
    result = cli("train", "--dataset", data, *SMALL, "--seed", 3, "--output", interrupted, "--resume")
    assert "Encoder: " in result.stdout


@pytest.mark.parametrize(
    ("given", "name"), [(["--seed", "4"], "seed"), (["--way", "2"], "way"), (["--no-rotations"], "rotations")]
)
def test_resume_names_a_setting_that_differs(interrupted: Path, given: list[str], name: str) -> None:
    result = cli("train", *given, "--output", interrupted, "--resume", code=1)
    assert f"was started with another {name}. " in result.stderr


def test_resume_names_settings_that_it_does_not_know(interrupted: Path) -> None:
    facts = json.loads((interrupted / "run.json").read_text())
    facts["asked"]["shards"] = 4
    (interrupted / "run.json").write_text(json.dumps(facts))
    result = cli("train", "--output", interrupted, "--resume", code=1)
    assert "settings that this version does not have: shards. Go on with the edge_meta that started it" in result.stderr


def test_a_run_older_than_precisions_resumes(interrupted: Path) -> None:
    facts = json.loads((interrupted / "run.json").read_text())
    for name in ("precision", "xla"):
        del facts["asked"][name]
    (interrupted / "run.json").write_text(json.dumps(facts))
    assert json.loads(cli("train", "--output", interrupted, "--resume", "--json").stdout)["episodes"] == 4


def test_resume_of_a_finished_run_reports_its_encoder(data: str, tmp_path: Path) -> None:
    first = cli("train", "--dataset", data, *SMALL, "--output", tmp_path / "run", "--json")
    again = cli("train", "--output", tmp_path / "run", "--resume", "--json")
    assert json.loads(again.stdout) == json.loads(first.stdout)


def test_resume_reports_the_best_encoder_of_all(interrupted: Path) -> None:
    with np.load(interrupted / "checkpoint.npz") as file:
        arrays = dict(file)
    history = json.loads(str(arrays.pop("history")))
    history[0]["val_accuracy"] = 1.0
    np.savez(interrupted / "checkpoint.npz", history=np.array(json.dumps(history)), **arrays)
    found = json.loads(cli("train", "--output", interrupted, "--resume", "--json").stdout)
    assert found["val_accuracy"] == 1.0


def test_resume_without_a_run_is_a_clear_error(tmp_path: Path) -> None:
    result = cli("train", "--output", tmp_path / "missing", "--resume", code=1)
    assert "holds no run (run.json is missing)" in result.stderr


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--dataset", "nonsense"], "There is no dataset 'nonsense'. Use omniglot"),
        (["--dataset", "npz:missing.npz"], "missing.npz does not exist"),
        (["--way", "100"], "Way 100 needs 100 classes"),
        (["--episodes", "0"], "must be above zero"),
        (["--learning-rate", "nan"], "must be above zero"),
        (["--image-size", "8"], "too small"),
        (["--seed", "-1"], "seed"),
        (["--whole-groups", "2"], "A share of 2.0 is not possible"),
    ],
)
def test_a_users_problem_is_exit_code_1_and_one_line(data: str, tmp_path: Path, given: list[str], message: str) -> None:
    result = cli("train", "--dataset", data, *SMALL, *given, "--output", tmp_path / "run", code=1)
    *notes, error = result.stderr.splitlines()
    assert error.startswith("Error: ")
    assert message in error
    assert all(line.startswith(("Data: ", "Plan: ")) for line in notes)
    assert result.stdout == ""


@pytest.mark.parametrize(
    "given",
    [
        ["--method", "nonsense"], ["--encoder", "nonsense"], ["--encoder", "conv4_fast"], ["--precision", "float16"],
        ["--way", "many"], ["--whole-groups", "all"], ["--nonsense"],
    ],
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(tmp_path: Path, given: list[str]) -> None:
    assert cli("train", *given, "--output", tmp_path / "run", code=2).stdout == ""


@pytest.mark.parametrize("config", ["nonsense", '{"cluster": {"worker": ["localhost:1", "localhost:2"]}}'])
def test_a_bad_tf_config_is_exit_code_1_and_one_line(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    monkeypatch.setenv("TF_CONFIG", config)
    result = cli("train", "--dataset", data, *SMALL, "--output", tmp_path / "run", code=1)
    assert result.stderr.splitlines()[-1].startswith("Error: TF_CONFIG does not name this process among its workers.")
    assert not (tmp_path / "run").exists()


def test_xla_compiles_a_conv4(data: str, tmp_path: Path) -> None:
    """In a process of its own: op determinism, which a run without XLA turns on, stays on."""
    arguments = ["train", "--dataset", data, *map(str, SMALL), "--xla", "--output", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, "-m", "edge_meta", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "encoder.keras").exists()
    assert RunFolder(tmp_path / "run").facts()["asked"]["xla"] is True


def test_minutes_end_a_run_judged_and_saved(data: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ("train", "--dataset", data, *SMALL, "--output", run, "--json")
    ended = cli(*arguments, "--minutes", 1e-6)
    result = json.loads(ended.stdout)
    assert (result["episodes"], result["val_accuracy"]) == (1, best(run))
    assert ended.stderr.endswith("Ended after 1e-06 min at episode 1 of 4; saved. Go on with --resume.\n")
    assert (run / "encoder.keras").exists()
    gone_on = cli("train", "--output", run, "--resume", "--minutes", 60, "--json")
    assert json.loads(gone_on.stdout)["episodes"] == 4
    assert "Ended" not in gone_on.stderr


def test_minutes_are_for_one_host(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "{}")
    said = cli("train", "--dataset", data, *SMALL, "--output", tmp_path / "run", "--minutes", 1, code=2).stderr
    assert "--minutes is for one host" in said


def test_the_time_that_all_takes_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    show = TrainingProgress()
    for steps in range(1, 9):
        show(Progress(steps, 9000, 1.0, 0.5, 100.0, eta=32_400.0, steps=steps))
    assert capsys.readouterr().err == "About 9 h 00 min left on this machine, and the validations\n"


def test_an_output_is_required() -> None:
    assert "--output" in cli("train", code=2).stderr


def test_a_folder_that_holds_a_run_is_not_run_over(interrupted: Path, data: str) -> None:
    before = (interrupted / "run.json").read_bytes()
    assert "already holds a run" in cli("train", "--dataset", data, *SMALL, "--output", interrupted, code=1).stderr
    assert (interrupted / "run.json").read_bytes() == before


def test_ctrl_c_saves_a_checkpoint_and_exits_with_1(data: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge_meta", "train", "--dataset", data, *SMALL, "--episodes", "5000", "--json"]
    with subprocess.Popen(
        [*command, "--output", str(tmp_path / "run")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            seen = next(line for line in process.stderr if line.startswith("episode"))
            assert "/5000" in seen
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, stdout) == (1, "")
    assert re.search(r"Error: Stopped at episode \d+ of 5000; a checkpoint is saved", stderr)
    assert "Traceback" not in stderr
    assert (tmp_path / "run" / "checkpoint.npz").is_file()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (44.6, "45 s"), (59.7, "1 min 00 s"), (725, "12 min 05 s"), (3599.6, "1 h 00 min"), (7290, "2 h 01 min")],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said
