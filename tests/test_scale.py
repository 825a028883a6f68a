"""The examples for clusters: their files are valid, and their command lines work, with processes in place of hosts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from support.device import cli, draw, png, said
from support.workers import DEADLINE, free_addresses, outcomes, started

from edge_meta.runtime.bundle import Bundle

SCALE = Path(__file__).parent.parent / "examples" / "scale"
SMALL = "--episodes 2 --image-size 16 --way 3 --shot 1 --query 2 --encoder conv4"


def run(*command: object, **environment: str) -> str:
    """Run a command that must succeed; returns what it prints."""
    done = subprocess.run(
        list(map(str, command)), env={**os.environ, **environment},
        capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def path_with_edge_meta(tmp_path: Path) -> str:
    """A PATH on which edge-meta is this Python's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "edge-meta"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m edge_meta "$@"\n')
    script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def kinds() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((SCALE / "train.yaml").read_text()))


def test_the_kubernetes_objects_fit_their_schemas() -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for kind in kinds():
        validate.validate(kind, "1.34", strict=True)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing_in_the_scripts() -> None:
    assert run("shellcheck", SCALE / "worker.sh", SCALE / "train.sbatch") == ""


def test_the_pods_of_the_job_train_together(tmp_path: Path, path_with_edge_meta: str) -> None:
    """The container's own command, with its folders and hosts replaced, and few episodes; run again, it resumes."""
    service, job = kinds()
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    hosts = {each["name"]: each["value"] for each in container["env"]}["HOSTS"].split()
    named = [f"{job['metadata']['name']}-{index}.{pod['subdomain']}:2222" for index in range(job["spec"]["completions"])]
    assert hosts == named
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    for kind in range(9):
        for take in range(4):
            png(tmp_path, f"photos/train/kind {kind}/{take}.png", draw(kind, take))
    (script,) = container["args"]
    script = script.replace("/photos/", f"{tmp_path}/photos/").replace("/worker/", f"{SCALE}/")
    script = script.replace("--tasks 2", f"--tasks 2 {SMALL}")
    command = [*container["command"], script]
    environment = {"PATH": path_with_edge_meta, "HOSTS": " ".join(free_addresses(2))}
    with ExitStack() as running:
        ranks = ({"JOB_COMPLETION_INDEX": str(index)} for index in range(2))
        pods = [running.enter_context(started(command, environment | rank)) for rank in ranks]
        done = outcomes(pods)
    assert [code for code, _, _ in done] == [0, 0], done
    rows = [json.loads(line) for line in (tmp_path / "photos" / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["episode"] == 2
    assert "--resume" in script


def test_slurm_gives_each_task_its_rank_and_all_hosts(tmp_path: Path) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    scripts = {
        "scontrol": "[ \"$*\" = 'show hostnames node[1-2]' ] && printf 'node1\\nnode2\\n'",
        "srun": 'for rank in 0 1; do SLURM_PROCID=$rank "$@"; done',
        "edge-meta": 'echo "$TF_CONFIG $*"',
    }
    for name, script in scripts.items():
        (commands / name).write_text(f"#!/bin/sh\n{script}\n")
        (commands / name).chmod(0o755)
    for name in ("worker.sh", "train.sbatch"):
        shutil.copy(SCALE / name, tmp_path)
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"

    def told() -> list[str]:
        script = f'cd "{tmp_path}" && bash train.sbatch'
        return run("bash", "-c", script, PATH=path, SLURM_JOB_NODELIST="node[1-2]").splitlines()

    for rank, line in enumerate(told()):
        cluster, end = json.JSONDecoder().raw_decode(line)
        assert cluster["cluster"] == {"worker": ["node1:2222", "node2:2222"]}
        assert cluster["task"] == {"type": "worker", "index": rank}
        assert line[end:].strip() == "train --dataset folder:photos --tasks 2 --output run"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.npz").touch()
    assert [line.endswith(" --output run --resume") for line in told()] == [True, True]


def test_parts_of_an_evaluation_join_to_the_whole(tmp_path: Path) -> None:
    for kind in range(6):
        for take in range(4):
            png(tmp_path, f"data/kind {kind}/{take}.png", draw(kind, take))
    options = ["--dataset", f"folder:{tmp_path / 'data'}", "--split", "all", "--way", 5, "--query", 2, "--episodes", 11]
    whole = said(cli("evaluate", "omniglot", *options, "--json"))
    parts = [tmp_path / f"{part}.json" for part in (1, 2, 3)]
    for part, path in enumerate(parts, start=1):
        path.write_text(cli("evaluate", "omniglot", *options, "--part", f"{part}/3", "--json").stdout)
    joined = json.loads(run(sys.executable, SCALE / "join_parts.py", *reversed(parts)))
    assert joined == whole
    for given in (parts[:2], [*parts, parts[0]]):
        done = subprocess.run([sys.executable, SCALE / "join_parts.py", *given], capture_output=True, text=True, check=False)
        assert (done.returncode, "Give each of the 3 parts once" in done.stderr) == (1, True)


def test_a_tree_of_merges_gives_what_one_by_one_gives(tmp_path: Path) -> None:
    pytest.importorskip("dask")
    bundle, rng = Bundle.open("omniglot"), np.random.default_rng(0)
    (tmp_path / "stores").mkdir()
    for number in range(40):  # so that there are two levels
        with bundle.open_store(tmp_path / "stores" / f"{number}.db") as store:
            for label in rng.choice(7, 2, replace=False):
                store.enroll(f"label {label}", rng.normal(size=(2, bundle.manifest.dim)).astype(np.float32))
    run(sys.executable, SCALE / "merge_stores.py", "omniglot", tmp_path / "stores", tmp_path / "tree.db")
    with bundle.open_store(tmp_path / "tree.db") as tree, bundle.open_store(tmp_path / "one.db") as one:
        for path in sorted((tmp_path / "stores").glob("*.db")):
            one.merge(path)
        found, expected = tree.snapshot(), one.snapshot()
    assert sorted(found.labels) == sorted(expected.labels)
    order = [found.labels.index(label) for label in expected.labels]
    np.testing.assert_array_equal(found.prototypes[order], expected.prototypes)
    np.testing.assert_array_equal(found.counts[order], expected.counts)
    assert expected.counts.sum() == 160
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.db", "stores", "tree.db"]
