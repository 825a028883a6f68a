"""Reading writes nothing: stores on read-only media, and the sources of a merge or a migration."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.device import cli, draw, embeddings, opened, png, python, state

from edge_meta.errors import StoreError
from edge_meta.runtime.bundle import Bundle

Edge = Callable[..., "subprocess.CompletedProcess[str]"]

KILLED = """
import os, signal, sys
import numpy as np
from edge_meta.store.store import Store
with Store(sys.argv[1], sys.argv[2], int(sys.argv[3])) as store:
    store.enroll("alef", np.ones((3, store.dim), "f4"))
    store.enroll("bet", np.zeros((1, store.dim), "f4"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def files_in(folder: Path) -> dict[str, tuple[bytes, int]]:
    """The content and the time of the last change of each file."""
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}


@pytest.fixture(params=["closed", "killed", "killed, no -shm"])
def media(request: pytest.FixtureRequest, tmp_path: Path, bundle: Bundle) -> Path:
    """A folder with the store kept.db: alef has 3 shots, bet 1."""
    path = tmp_path / "media" / "kept.db"
    path.parent.mkdir()
    encoder_id, dim = bundle.manifest.encoder_id, bundle.manifest.dim
    assert python(tmp_path, "-c", KILLED, path, encoder_id, str(dim)).returncode == -signal.SIGKILL
    if request.param == "closed":
        with bundle.open_store(path) as store:
            assert len(store.shots()) == 4
    elif request.param != "killed":
        Path(f"{path}-shm").unlink()
    return path.parent


@pytest.fixture
def read_only(tmp_path: Path) -> Edge:
    """read_only(*arguments): run edge-meta where the folder `media` is mounted read-only."""
    mount = "mount --bind media media && mount -o remount,bind,ro media"
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed")

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        if subprocess.run(["unshare", "-rm", "sh", "-c", mount], cwd=tmp_path, capture_output=True, check=False).returncode:
            pytest.skip("mounting is not allowed here")
        return subprocess.run(
            ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh", sys.executable, "-m", "edge_meta",
             *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


def test_every_verb_that_reads_works_on_read_only_media(media: Path, tmp_path: Path, read_only: Edge) -> None:
    before, path = files_in(media), media / "kept.db"
    image = png(tmp_path, "a.png", draw(0))
    for verb in (
        ("inspect", "omniglot", "--shots", "--store", path),
        ("classify", "omniglot", image, "--store", path),
        ("export-store", "omniglot", tmp_path / "out.npz", "--store", path),
        ("merge", "omniglot", path, "--store", tmp_path / "mine.db"),
    ):
        done = read_only(*verb, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)
    assert files_in(media) == before
    cli("import-store", "omniglot", tmp_path / "out.npz", "--store", tmp_path / "copy.db")
    for path in (tmp_path / "mine.db", tmp_path / "copy.db"):
        found = json.loads(cli("inspect", "omniglot", "--json", "--store", path).stdout)["classes"]
        assert [(each["label"], each["shots"]) for each in found] == [("alef", 3), ("bet", 1)]


def test_a_change_on_read_only_media_says_so(media: Path, tmp_path: Path, read_only: Edge) -> None:
    before = files_in(media)
    done = read_only("forget", "omniglot", "alef", "--store", media / "kept.db")
    assert done.returncode == 1
    assert "kept.db: attempt to write a readonly database. Nothing was changed." in done.stderr
    assert files_in(media) == before


def test_merging_leaves_its_sources_as_they_are(media: Path, tmp_path: Path, bundle: Bundle) -> None:
    before = files_in(media)
    with bundle.open_store(tmp_path / "mine.db") as mine:
        merged = mine.merge(media / "kept.db")
        assert (merged.shots, merged.classes) == (4, 2)
    assert files_in(media) == before


def test_merging_leaves_a_source_in_use_as_it_is(path: Path, tmp_path: Path) -> None:
    with opened(path) as theirs, opened(tmp_path / "mine.db") as mine:
        for seed in range(60):
            theirs.enroll("alef", embeddings(seed, 8))
            theirs.enroll("bet", embeddings(seed, 8))
        before = files_in(path.parent)
        mine.merge(path)
        assert files_in(path.parent) == before
        assert state(mine) == state(theirs)
        theirs.enroll("gimel", embeddings(0, 1))
        mine.merge(path)
        assert state(mine) == state(theirs)


@pytest.mark.parametrize("media", ["killed", "killed, no -shm"], indirect=True)
def test_a_source_overwritten_beside_its_log_is_refused(media: Path, tmp_path: Path, bundle: Bundle) -> None:
    with bundle.open_store(tmp_path / "other.db") as other:
        for seed in range(3):
            other.enroll("gimel", embeddings(seed, 2, bundle.manifest.dim))
    (media / "kept.db").write_bytes((tmp_path / "other.db").read_bytes())
    with bundle.open_store(tmp_path / "mine.db") as mine, pytest.raises(StoreError, match="was overwritten"):
        mine.merge(media / "kept.db")
    assert not (tmp_path / "mine.db").exists()


READER = """
import os, sys
from edge_meta.store.store import Store
with Store(sys.argv[1], "0123456789abcdef" * 2, 16) as store:
    for _ in sys.stdin:
        print(store.version(), *store.snapshot().labels, flush=True)
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is not installed")
def test_a_read_only_mount_shows_what_others_change(path: Path, tmp_path: Path) -> None:
    with opened(path) as writer:
        writer.enroll("alef", embeddings(0, 1))
        mount = "mount --bind folder folder && mount -o remount,bind,ro folder"
        reader = subprocess.Popen(
            ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh", sys.executable, "-c", READER, str(path)],
            cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ),
        )  # fmt: skip
        assert reader.stdin is not None
        assert reader.stdout is not None
        said = []
        for label in ("bet", "gimel"):
            print(file=reader.stdin, flush=True)
            said.append(reader.stdout.readline().split())
            if not said[-1]:
                reader.communicate()
                pytest.skip("mounting is not allowed here")
            writer.enroll(label, embeddings(1, 1))
        print(file=reader.stdin, flush=True)
        said.append(reader.stdout.readline().split())
        reader.communicate()
    assert [labels for _, *labels in said] == [["alef"], ["alef", "bet"], ["alef", "bet", "gimel"]]
    assert len({version for version, *_ in said}) == 3
