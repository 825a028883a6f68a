"""Warnings of what on a machine makes figures unreliable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_meta.benchmarking.noise_warnings import noise_warnings

QUIET = {"embed": 1.02, "total": None}


def system(folder: Path, governors: str = "", mounts: str = "/dev/sda1 / ext4 rw 0 0") -> dict[str, Any]:
    """A machine's files in a folder, as `noise_warnings` takes them; a governor for each CPU."""
    for cpu, governor in enumerate(governors.split()):
        file = folder / f"cpu{cpu}" / "cpufreq" / "scaling_governor"
        file.parent.mkdir(parents=True)
        file.write_text(f"{governor}\n")
    (folder / "mounts").write_text(mounts + "\n")
    return {"cores": 4, "cpufreq": folder, "mounts": folder / "mounts", "folder": Path("/tmp/timed")}


@pytest.mark.parametrize("governors", ["", "performance performance"])
def test_a_quiet_machine_gives_no_warning(tmp_path: Path, governors: str) -> None:
    assert noise_warnings(0.4, 1, QUIET, **system(tmp_path, governors)) == []
    assert noise_warnings(None, 1, QUIET, **system(tmp_path)) == []


def test_frequency_scaling_is_a_warning(tmp_path: Path) -> None:
    (warning,) = noise_warnings(0.4, 1, QUIET, **system(tmp_path, "performance powersave schedutil"))
    assert "powersave and schedutil" in warning


@pytest.mark.parametrize(("load", "threads", "warns"), [(3.4, 1, False), (3.6, 1, True), (1.0, 4, True), (0.4, 4, False)])
def test_load_is_a_warning_when_the_cores_do_not_suffice(tmp_path: Path, load: float, threads: int, warns: bool) -> None:
    assert len(noise_warnings(load, threads, QUIET, **system(tmp_path))) == warns


def test_a_speed_that_changes_is_a_warning(tmp_path: Path) -> None:
    (warning,) = noise_warnings(0.0, 1, {"embed": 1.9, "total": 1.1}, **system(tmp_path))
    assert "1.9" in warning
    assert "total" not in warning


def test_a_store_in_memory_is_a_warning(tmp_path: Path) -> None:
    (warning,) = noise_warnings(0.0, 1, QUIET, **system(tmp_path, mounts="/dev/sda1 / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0"))
    assert "TMPDIR" in warning
    mounts = "tmpfs / tmpfs rw 0 0\n/dev/sda1 /tmp ext4 rw 0 0\ntmpfs /tmp/timed2 tmpfs rw 0 0"
    assert noise_warnings(0.0, 1, QUIET, **system(tmp_path, mounts=mounts)) == []


def test_nothing_is_said_where_the_system_tells_nothing(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert noise_warnings(None, 1, QUIET, Path("/tmp"), cores=1, cpufreq=nowhere, mounts=nowhere) == []
