"""edge-meta watch on videos, and on a camera that is played by one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.device import cli, complaint, draw, png

from edge_meta.inputs.video import read_video

RATE = 25  # frames a second


@pytest.fixture
def store(tmp_path: Path) -> list[object]:
    for kind, label in enumerate(("alef", "bet")):
        cli("enroll", "omniglot", label, *[png(tmp_path, f"{label}{take}.png", draw(kind, take)) for take in range(3)],
            "--store", tmp_path / "store.db")  # fmt: skip
    return ["--store", tmp_path / "store.db"]


def video(path: Path, scenes: Sequence[tuple[int, float]]) -> Path:
    """Write a video that shows a drawing of each kind for so many seconds."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), RATE, (112, 112), True)
    for kind, seconds in scenes:
        frame = np.kron(draw(kind, 7), np.ones((4, 4), np.uint8))
        for _ in range(round(seconds * RATE)):
            writer.write(np.repeat(frame[:, :, None], 3, axis=2))
    writer.release()
    return path


def test_a_line_says_when_another_label_is_shown(tmp_path: Path, store: list[object]) -> None:
    file = video(tmp_path / "two.avi", [(0, 2.0), (1, 2.0), (0, 2.0)])
    done = cli("watch", "omniglot", file, *store, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["label"] for event in events] == ["alef", "bet", "alef"]
    for event, start in zip(events, (0, 2, 4), strict=True):
        assert start < event["time"] < start + 0.4
    assert done.stderr == ""


def test_ten_pictures_a_second_are_looked_at_in_their_colours(tmp_path: Path) -> None:
    path = tmp_path / "red.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), RATE, (64, 64), True)
    for _ in range(2 * RATE):
        writer.write(np.full((64, 64, 3), (0, 0, 200), np.uint8))  # BGR
    writer.release()
    pictures = list(read_video(path, pytest.fail))
    assert len(pictures) == pytest.approx(20, abs=3)
    for seconds, picture in pictures:
        assert 0 <= seconds < 2
        red, _, blue = np.asarray(picture).mean(axis=(0, 1))
        assert red > 180 > 20 > blue


def test_a_video_that_breaks_off_is_noted(tmp_path: Path, store: list[object]) -> None:
    file = video(tmp_path / "cut.avi", [(0, 4.0)])
    content = file.read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) // 3] + bytes(len(content) - len(content) // 3))
    done = cli("watch", "omniglot", file, *store)
    assert "alef" in done.stdout
    assert "says that it has 100 frames; the first" in done.stderr


def test_what_is_no_video_is_refused(tmp_path: Path, store: list[object]) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no video at all")
    assert "no.mp4 has no readable frame" in complaint(cli("watch", "omniglot", tmp_path / "no.mp4", *store, code=1))


def test_a_camera_is_watched_until_it_gives_no_more(
    tmp_path: Path, store: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, opened, capture = video(tmp_path / "camera.avi", [(1, 2.0)]), [], cv2.VideoCapture

    def camera(number: int) -> Any:
        opened.append(number)
        return capture(str(file))

    monkeypatch.setattr(cv2, "VideoCapture", camera)
    ticks = iter(np.arange(0, 100, 0.04).tolist())
    monkeypatch.setattr("edge_meta.inputs.video.time.monotonic", ticks.__next__)
    done = cli("watch", "omniglot", "--camera", 2, *store, code=1)
    assert opened == [2]
    assert done.stdout.split()[2] == "bet"
    assert "Camera 2 gives no frames" in done.stderr
