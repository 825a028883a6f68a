"""Several devices: what they learn together is what one learns, and a run that loses a worker says so and goes on later.

TensorFlow's devices must be set up before it starts. Run as a program, this file is the process that has two of them: it
prints what the tests look at.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.device import cli
from support.workers import DEADLINE, outcomes, workers
from support.workstation import save_npz

from edge_meta.errors import TrainingError

STEPS = 3
TASKS = 2


# --- the process with two devices -------------------------------------------------------------------------------------


def print_facts(folder: Path) -> None:
    """Train each method on one device and on two, with the same tasks, and print what came of it as JSON."""
    import tensorflow as tf

    physical = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(physical, [tf.config.LogicalDeviceConfiguration()] * 2)
    tf.config.experimental.enable_op_determinism()

    from edge_meta.datasets import Dataset
    from edge_meta.datasets.episodes import EpisodeSampler
    from edge_meta.training import ANIL, MAML, NCA, ProtoNet, Reptile, Supervised

    rng = np.random.default_rng(0)
    patterns = 255.0 * rng.integers(0, 2, (12, 16, 16, 1))
    images = np.clip(np.repeat(patterns, 8, axis=0) + rng.normal(0, 90, (96, 16, 16, 1)), 0, 255).astype(np.uint8)
    labels = np.repeat(np.arange(12, dtype=np.int32), 8)
    data = Dataset("made", "train", images, labels, tuple(map(str, range(12))), ("",) * 12)
    sampler = EpisodeSampler(data, 4, 2, 3)

    class Apart(ProtoNet):
        joint_statistics = False

    methods = {
        "protonet": ProtoNet,
        "nca": NCA,
        "anil": lambda encoder: ANIL(encoder, way=4, steps=2),
        "maml": lambda encoder: MAML(encoder, way=4, steps=2, learning_rate=0.05),
        "supervised": lambda encoder: Supervised(encoder, classes=12),
        "reptile": lambda encoder: Reptile(encoder, way=4, steps=2, learning_rate=0.05),
        "protonet, each device with statistics of its own": Apart,
    }
    one, two = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    facts: dict[str, Any] = {"methods": {name: compared(sampler, make, one, two) for name, make in methods.items()}}
    facts["runs"] = [run_and_resume(sampler, folder / str(index), each) for index, each in enumerate((one, two))]
    facts["refusals"] = refusals(sampler, two, folder)
    print(json.dumps(facts))


def learner_on(strategy: Any, make: Callable[[Any], Any]) -> Any:
    """A compiled method, from the same weights each time."""
    import keras

    from edge_meta.training import conv4

    keras.utils.set_random_seed(3)
    with strategy.scope():
        method = make(conv4((16, 16, 1), filters=8))
        method.compile(keras.optimizers.SGD(0.01))
        method.optimizer.build(method.trainable_variables)
    return method


def compared(sampler: Any, make: Callable[[Any], Any], one: Any, two: Any) -> dict[str, Any]:
    """Losses and accuracies on one device and on two, and by how much the weights differ then."""
    from edge_meta.training.step import train_step

    losses, weights = [], []
    for strategy in (one, two):
        method = learner_on(strategy, make)
        start = [variable.numpy() for variable in method.variables]
        step = train_step(method, sampler, augment=False)
        losses.append([step([sampler.episode(TASKS * i + task) for task in range(TASKS)], TASKS * i) for i in range(STEPS)])
        weights.append([variable.numpy() for variable in method.variables])
    trained = {id(variable) for variable in method.trainable_variables}
    apart = [float(np.abs(a - b).max()) for a, b in zip(*weights, strict=True)]
    moved = [float(np.abs(a - b).max()) for a, b in zip(start, weights[1], strict=True)]
    learned = [id(variable) in trained for variable in method.variables]
    return {
        "losses": losses,
        "replicas": method.strategy.num_replicas_in_sync,
        "weights_apart": max(value for value, yes in zip(apart, learned, strict=True) if yes),
        "weights_moved": max(value for value, yes in zip(moved, learned, strict=True) if yes),
        "statistics_apart": max(value for value, yes in zip(apart, learned, strict=True) if not yes),
        "statistics_moved": max(value for value, yes in zip(moved, learned, strict=True) if not yes),
    }


def run_and_resume(sampler: Any, folder: Path, strategy: Any) -> dict[str, Any]:
    """A run of 8 episodes that is stopped at the 4th and resumed: its curve, and the encoder that it keeps."""
    import keras

    from edge_meta.training import ProtoNet
    from edge_meta.training.run import RunFolder

    run = RunFolder.create(folder, {}, {"input": {}})

    def stop(progress: Any) -> None:
        if progress.episode == 2:
            signal.raise_signal(signal.SIGINT)

    try:
        learner_on(strategy, ProtoNet).fit(sampler, 8, sampler, run, stop, tasks=TASKS)
    except TrainingError as error:
        stopped = str(error)
    learner = learner_on(strategy, ProtoNet)
    learner.encoder.set_weights([np.zeros(weight.shape) for weight in learner.encoder.get_weights()])
    curve = learner.fit(sampler, 8, sampler, run, tasks=TASKS)
    kept = keras.saving.load_model(run.encoder, compile=False)
    return {
        "stopped": stopped,
        "curve": [[row["episode"], row["loss"], row["val_accuracy"]] for row in curve],
        "synchronized": [getattr(layer, "synchronized", False) for layer in kept.layers],
        "embedding": kept(sampler.dataset.examples[:3] / np.float32(255), training=False).numpy().tolist(),
    }


def refusals(sampler: Any, strategy: Any, folder: Path) -> list[str]:
    """The messages where two devices cannot do what is asked."""
    from edge_meta.training import ProtoNet
    from edge_meta.training.config import TrainingConfig
    from edge_meta.training.pipeline import train

    def with_xla() -> None:
        train(TrainingConfig("glyphs", xla=True, tasks=2, episodes=4), folder / "refused", strategy=strategy)

    said = []
    for asked in (lambda: learner_on(strategy, ProtoNet).fit(sampler, 9, tasks=3), with_xla):
        try:
            asked()
            said.append("")
        except TrainingError as error:
            said.append(str(error))
    assert not (folder / "refused").exists()
    return said


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The output of `print_facts`, in a process of its own."""
    command = [sys.executable, __file__, str(tmp_path_factory.mktemp("mirrored"))]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


METHODS = ("protonet", "nca", "anil", "maml", "supervised", "reptile")
APART = "protonet, each device with statistics of its own"


@pytest.mark.parametrize("method", METHODS)
def test_two_devices_learn_what_one_learns(facts: dict[str, Any], method: str) -> None:
    found = facts["methods"][method]
    alone, together = np.array(found["losses"])
    assert found["replicas"] == 2
    assert alone.shape == (STEPS, 2)
    assert np.ptp(alone[:, 0]) > 1e-3, "losses that do not change tell nothing"
    np.testing.assert_allclose(together[:, 0], alone[:, 0], atol=1e-4)
    np.testing.assert_allclose(together[:, 1], alone[:, 1], atol=0.05)
    assert found["weights_apart"] < 1e-3 * found["weights_moved"]


@pytest.mark.parametrize("method", METHODS)
def test_statistics_are_those_of_all_devices_tasks_together(facts: dict[str, Any], method: str) -> None:
    found = facts["methods"][method]
    assert found["statistics_apart"] < 1e-4 * found["statistics_moved"]


def test_statistics_per_device_would_change_the_losses(facts: dict[str, Any]) -> None:
    alone, together = np.array(facts["methods"][APART]["losses"])
    assert np.abs(together - alone)[:, 0].max() > 1e-3
    assert facts["methods"][APART]["statistics_apart"] > 1e-3


def test_two_devices_stop_and_resume_as_one_does(facts: dict[str, Any]) -> None:
    one, two = facts["runs"]
    assert one["stopped"] == two["stopped"] == "Stopped at episode 4 of 8; a checkpoint is saved. Go on with --resume."
    assert [row[0] for row in one["curve"]] == [2, 4, 6, 8]
    np.testing.assert_allclose(two["curve"], one["curve"], atol=1e-3)
    assert not any(two["synchronized"])
    np.testing.assert_allclose(two["embedding"], one["embedding"], atol=1e-3)


def test_what_two_devices_cannot_share_is_refused(facts: dict[str, Any]) -> None:
    uneven, xla = facts["refusals"]
    assert uneven == "3 tasks a step cannot be shared out evenly among 2 devices. Use a multiple of 2 tasks."
    assert xla == "XLA compiles the step of a single device. Leave --xla out, or train on one device."


# --- several processes ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """The options of all workers, but for the episodes and the folder: hard tasks, so that losses stay away from 0."""
    data = save_npz(tmp_path_factory.mktemp("data") / "own.npz", 20, 8, noise=250.0)
    return ["train", "--dataset", data, "--image-size", 16, "--way", 5, "--query", 2, "--tasks", TASKS, "--json"]


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def column(run: Path, name: str) -> list[float]:
    return [row[name] for row in rows(run)]


def embeddings(run: Path) -> np.ndarray:
    import keras

    images = np.random.default_rng(0).integers(0, 2, (4, 16, 16, 1)).astype(np.float32)
    return keras.saving.load_model(run / "encoder.keras", compile=False)(images, training=False).numpy()


def test_two_workers_learn_what_one_process_learns(settings: list[object], tmp_path: Path) -> None:
    asked = [*settings, "--episodes", 8, "--learning-rate", 3e-4, "--output"]
    together, elsewhere, alone = (tmp_path / name for name in ("together", "elsewhere", "alone"))
    with workers([*asked, together], [*asked, elsewhere]) as processes:
        chief, worker = outcomes(processes)
    assert (chief[0], worker[0]) == (0, 0), chief[2] + worker[2]
    assert not elsewhere.exists(), "a worker that is not the chief has written"
    assert json.loads(chief[1])["encoder"] == str(together / "encoder.keras")
    assert json.loads((together / "run.json").read_text())["asked"]["tasks"] == TASKS

    cli(*asked, alone)
    assert column(together, "episode") == column(alone, "episode") == [2, 4, 6, 8]
    assert np.ptp(column(alone, "loss")) > 0.01
    np.testing.assert_allclose(column(together, "loss"), column(alone, "loss"), atol=1e-4)
    np.testing.assert_allclose(column(together, "val_accuracy"), column(alone, "val_accuracy"), atol=0.01)
    assert np.argmax(column(together, "val_accuracy")) == np.argmax(column(alone, "val_accuracy"))
    spread = np.ptp(embeddings(alone), axis=0).max()
    np.testing.assert_allclose(embeddings(together), embeddings(alone), atol=0.02 * spread)


EPISODES = 100


@pytest.fixture(scope="module")
def killed(settings: list[object], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str, str]:
    """A run of two workers, the second of which was killed midway; exit code, stdout and stderr of the first."""
    run = tmp_path_factory.mktemp("killed") / "run"
    command = [*settings, "--episodes", EPISODES, "--output", run]
    with workers(command, command) as (chief, worker):
        assert chief.stderr is not None
        for line in chief.stderr:
            if re.match(r"episode +1\d/100 ", line):
                break
        else:
            pytest.fail("the run ended before it was under way")
        worker.kill()
        ((code, stdout, stderr),) = outcomes([chief])
        assert worker.wait(DEADLINE) == -signal.SIGKILL
    return run, code, stdout, stderr


def test_a_chief_whose_worker_is_gone_says_so_and_ends(killed: tuple[Path, int, str, str]) -> None:
    run, code, stdout, stderr = killed
    assert (code, stdout) == (1, "")
    assert re.search(
        r"^Error: Another worker of this run is gone \(.+\); the last checkpoint is kept\. Start all workers again",
        stderr,
        re.M,
    )
    assert "Traceback" not in stderr
    assert 8 <= column(run, "episode")[-1] < EPISODES
    assert column(run, "episode")[-1] % 4 == 0


def test_workers_resume_as_one_process_does(killed: tuple[Path, int, str, str], tmp_path: Path) -> None:
    together, alone = (Path(shutil.copytree(killed[0], tmp_path / name)) for name in ("together", "alone"))
    before = rows(together)
    resume = ["train", "--resume", "--json", "--output"]
    with workers([*resume, together], [*resume, together]) as processes:
        chief, worker = outcomes(processes)
    assert (chief[0], worker[0]) == (0, 0), chief[2] + worker[2]
    cli(*resume, alone)
    for run in (together, alone):
        assert rows(run)[: len(before)] == before
        assert np.all(np.diff(column(run, "episode")) > 0)
        assert column(run, "episode")[-1] == EPISODES
        assert len(embeddings(run)) == 4
    np.testing.assert_allclose(rows(together)[len(before)]["loss"], rows(alone)[len(before)]["loss"], atol=1e-3)


# --- what a process has -----------------------------------------------------------------------------------------------

WORKERS = '"cluster": {"worker": ["localhost:23456", "localhost:23457"]}'


@pytest.mark.parametrize(
    "config",
    [
        "nonsense", "", "[]", '"x"', "{}", '{"cluster": 3}', f"{{{WORKERS}}}",
        f'{{{WORKERS}, "task": {{"type": "worker", "index": 2}}}}',
        f'{{{WORKERS}, "task": {{"type": "worker", "index": -1}}}}',
        f'{{{WORKERS}, "task": {{"type": "worker", "index": "one"}}}}',
        f'{{{WORKERS}, "task": {{"type": "chief", "index": 0}}}}',
        '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
    ],
)  # fmt: skip
def test_a_tf_config_that_does_not_name_a_worker_is_refused(monkeypatch: pytest.MonkeyPatch, config: str) -> None:
    from edge_meta.training import devices

    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(TrainingError, match="TF_CONFIG does not name this process among its workers") as error:
        devices.strategy()
    assert "unset it to train here alone" in error.value.remedy


def test_without_a_tf_config_one_device_is_its_own_chief(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_meta.training import devices

    monkeypatch.delenv("TF_CONFIG", raising=False)
    found = devices.strategy()
    assert found.num_replicas_in_sync == 1
    assert devices.is_chief(found)
    assert not devices.several_hosts(found)


@pytest.mark.parametrize(("task", "chief"), [((None, None), True), (("worker", 0), True), (("worker", 1), False)])
def test_the_first_worker_is_the_chief(task: tuple[str | None, int | None], chief: bool) -> None:
    from edge_meta.training import devices

    resolver = SimpleNamespace(task_type=task[0], task_id=task[1])
    assert devices.is_chief(SimpleNamespace(cluster_resolver=resolver)) == chief


def strategy_of(workers: int) -> Any:
    """As much of a strategy as tells how many hosts it has."""
    import tensorflow as tf

    cluster = tf.train.ClusterSpec({"worker": [f"host{index}:1" for index in range(workers)]})
    return SimpleNamespace(cluster_resolver=SimpleNamespace(cluster_spec=lambda: cluster))


def test_only_several_hosts_can_lose_a_worker() -> None:
    import tensorflow as tf

    from edge_meta.training import devices

    def fail(error: Exception, strategy: Any) -> None:
        with devices.lost_workers(strategy):
            raise error

    lost = tf.errors.UnavailableError(None, None, "Graph execution error:\nCollective ops is aborted by: it left\nmore")
    for alone in (tf.distribute.get_strategy(), strategy_of(1)):
        with pytest.raises(tf.errors.UnavailableError):
            fail(lost, alone)
    with pytest.raises(TrainingError, match=r"is gone \(Collective ops is aborted by: it left\); .* Start all"):
        fail(lost, strategy_of(2))
    for own in (KeyError(), tf.errors.ResourceExhaustedError(None, None, "out of memory")):
        with pytest.raises(type(own)):
            fail(own, strategy_of(2))


if __name__ == "__main__":
    print_facts(Path(sys.argv[1]))
