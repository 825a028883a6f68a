"""Pictures of sound and of motions."""

from __future__ import annotations

import struct
import zlib
from xml.etree import ElementTree

import numpy as np

from edge_meta.evaluation.heard_words import judge_stream
from edge_meta.reports.motion_picture import motion_picture
from edge_meta.reports.sound_pictures import RIGHT, ROWS, WRONG, spectrogram, stream_chart
from edge_meta.runtime.results import Event

RATE = 16000


def pixels(png: bytes) -> np.ndarray:
    """The grey values (H, W) of a picture with one chunk of them, whose rows are not filtered."""
    width, height = struct.unpack(">II", png[16:24])
    size = struct.unpack(">I", png[33:37])[0]
    rows = np.frombuffer(zlib.decompress(png[41 : 41 + size]), np.uint8).reshape(height, width + 1)
    return rows[:, 1:]


def test_a_tone_is_a_dark_line_at_its_height_and_time() -> None:
    time = np.arange(RATE) / RATE
    tone = (8000 * np.sin(2 * np.pi * 2000 * time) * (time > 0.5)).astype(np.int16)
    drawn = pixels(spectrogram(tone))
    half = drawn.shape[1] // 2
    at = drawn[:, half + 10 :].mean(axis=1).argmin()
    assert abs(at - ROWS * 3 / 4) <= 1, "2 kHz of 8, from below"
    assert drawn[:, : half - 10].min() == 255, "silence is white"


def test_silence_can_be_drawn() -> None:
    assert pixels(spectrogram(np.zeros(RATE, np.int16))).shape[0] == ROWS


def test_a_stream_shows_its_words_and_hits() -> None:
    hits = [Event(1.4, "lamp", 0.9, 1.0), Event(3.4, "lamp", 0.8, 1.0)]
    heard = judge_stream([("lamp", 1.0, 1.3), ("<fork>", 3.0, 3.3)], hits, ["lamp"])
    chart = stream_chart(np.ones(5 * RATE, np.int16), RATE, heard.words, hits)
    drawing = ElementTree.fromstring(chart)
    assert [dot.get("fill") for dot in drawing.iter("{http://www.w3.org/2000/svg}circle")] == [RIGHT, WRONG]
    words = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert words.count("lamp") == 3
    assert "<fork>" in words


def test_a_motion_shows_its_path_and_six_channels() -> None:
    path = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0]])
    drawing = ElementTree.fromstring(motion_picture(path, np.random.default_rng(0).normal(size=(128, 6))))
    lines = list(drawing.iter("{http://www.w3.org/2000/svg}polyline"))
    assert len(lines) == 7
    points = np.array([pair.split(",") for pair in (lines[0].get("points") or "").split()], float)
    assert (np.diff(points[:, 0]) > 0).all(), "to the right"
    assert points[0, 1] > points[2, 1] > points[1, 1], "up is up"
    for line in lines:
        points = np.array([pair.split(",") for pair in (line.get("points") or "").split()], float)
        assert points.min() >= 0
        assert points.max() <= 96
