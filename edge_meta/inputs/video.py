"""Read the pictures of a video, or of a camera, with OpenCV and Pillow (`pip install "edge-meta[video]"`)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edge_meta.errors import BackendError, InputError

INTERVAL = 0.1  # seconds from one picture to the next
LEAST_READ = 0.9  # share of the frames that a file says it has, below which it is damaged

Picture = tuple[float, Any]
"""Seconds from the first frame, and an image of Pillow, which any encoder of images takes."""


def read_video(path: str | Path, on_damage: Callable[[str], object]) -> Iterator[Picture]:
    """Yield about ten pictures for each second of a video.

    Args:
        on_damage: called with a sentence at the end, if fewer frames could be read than the file says it has.

    Raises:
        InputError: the file is missing, or no frame of it can be read.
        BackendError: OpenCV is not installed.
    """
    if not os.path.exists(path):
        raise InputError(f"{path} does not exist.", "Check the path.")
    capture = _open(str(path))
    said = int(capture.get(_cv2().CAP_PROP_FRAME_COUNT))
    rate = capture.get(_cv2().CAP_PROP_FPS)
    read = 0
    try:
        for picture in _pictures(capture, lambda count: count / rate if rate > 0 else count * INTERVAL):
            read += 1
            if picture is not None:
                yield picture
    finally:
        capture.release()
    if read == 0:
        raise InputError(f"{path} has no readable frame.", "Check that it plays, or convert it to .mp4.")
    if read < LEAST_READ * said:
        on_damage(f"{path} says that it has {said} frames; the first {read} could be read.")


def read_camera(number: int) -> Iterator[Picture]:
    """Yield about ten pictures a second from a camera, without end.

    Args:
        number: of the camera, from 0.

    Raises:
        BackendError: OpenCV is not installed, or the camera cannot be opened, or gives no more frames.
    """
    capture = _open(number)
    start = time.monotonic()
    try:
        for picture in _pictures(capture, lambda _: time.monotonic() - start):
            if picture is not None:
                yield picture
    finally:
        capture.release()
    raise BackendError(f"Camera {number} gives no frames.", "Plug it in, close other programs that use it, or try another.")


def _pictures(capture: Any, clock: Callable[[int], float]) -> Iterator[Picture | None]:
    """Take frame by frame: a picture every `INTERVAL`, None for the others, which are not decoded to the end.

    Args:
        clock: gives the seconds of a frame by its number, from 0.
    """
    from PIL.Image import fromarray as image_of

    count, due = 0, 0.0
    while capture.grab():
        now, picture = clock(count), None
        if now >= due:
            decoded, pixels = capture.retrieve()
            if not decoded:
                return
            due = max(due + INTERVAL, now)
            picture = now, image_of(pixels[:, :, ::-1])  # from BGR
        count += 1
        yield picture


def _open(source: str | int) -> Any:
    return _cv2().VideoCapture(source)


def _cv2() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise BackendError(f"Videos cannot be read ({error}).", 'Install pip install "edge-meta[video]".') from None
    return cv2
