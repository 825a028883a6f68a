"""Pictures of sound: a spectrogram of a recording, and a stream with what was said and heard in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_meta.evaluation.heard_words import HeardWord
from edge_meta.inputs.png import write_png
from edge_meta.reports import svg
from edge_meta.reports.axes import LinearAxis
from edge_meta.reports.svg import COLOURS, QUIET
from edge_meta.runtime.results import Event

Samples = NDArray[np.int16]

PIECE, STEP = 512, 100  # samples: of a Fourier transform, and between two
ROWS, RANGE = 64, 60.0  # of a spectrogram, from 0 Hz to half the rate; dB from its loudest to white
TAUGHT, STRANGER, RIGHT, WRONG = COLOURS[0], COLOURS[5], COLOURS[2], COLOURS[4]


def spectrogram(samples: Samples) -> bytes:
    """Return a picture of a recording (n,), its frequencies from below upwards, loud ones dark, as a PNG file's content."""
    padded = np.pad(samples.astype(np.float64), (PIECE // 2, PIECE // 2))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, PIECE)[::STEP] * np.hanning(PIECE)
    power = np.abs(np.fft.rfft(pieces, axis=1))[:, : PIECE // 2] ** 2
    bands = power.reshape(len(power), ROWS, -1).mean(axis=2)
    loudness = 10 * np.log10(bands + 1e-9)
    shade = np.clip((loudness.max() - loudness) / RANGE, 0, 1)
    grey = np.rint(255 * shade.T[::-1]).astype(np.uint8)
    return write_png(np.ascontiguousarray(grey)[:, :, None])


def stream_chart(samples: Samples, rate: int, words: Sequence[HeardWord], hits: Sequence[Event]) -> str:
    """Draw a stream on an axis of seconds: what was said above, the sound in the middle, the hits below."""
    width, left, middle, half = 928.0, 64.0, 78.0, 36.0
    seconds = len(samples) / rate
    axis = LinearAxis([0.0, seconds], left, width - 8)
    edges = np.linspace(0, len(samples), 600).astype(int)
    highest = np.maximum.reduceat(np.abs(samples.astype(np.int64)), edges[:-1])
    scaled = highest / max(1, highest.max()) * half
    across = [axis(edge / rate) for edge in edges[:-1]]
    outline = [(x, middle - y) for x, y in zip(across, scaled, strict=True)]
    outline += [(x, middle + y) for x, y in zip(across[::-1], scaled[::-1], strict=True)]
    parts = [svg.text(0, 24, "said", ink=QUIET), svg.text(0, 82, "sound", ink=QUIET), svg.text(0, 148, "heard", ink=QUIET)]
    for word in words:
        colour, ending = (STRANGER, ", a stranger") if word.stranger else (TAUGHT, "")
        start, end = axis(word.start), axis(word.end)
        parts.append(svg.bar(start, 30, end - start, 6, colour, f"{word.word}{ending}, {word.start:.1f} s"))
        parts.append(svg.text((start + end) / 2, 24, word.word, "middle", colour))
    parts.append(svg.area(outline, COLOURS[0]))
    rights = {word.hit for word in words if word.right}
    for hit in hits:
        colour = RIGHT if hit in rights else WRONG
        parts += [svg.line(axis(hit.time), 42, axis(hit.time), 132, colour), svg.dot(axis(hit.time), 132, colour)]
        parts.append(svg.text(axis(hit.time), 148, hit.label, "middle", colour))
    parts += [svg.text(axis(tick), 172, f"{tick:.0f} s", "middle", QUIET) for tick in axis.ticks if 0 <= tick <= seconds]
    described = f"{len(words)} words in {seconds:.0f} s of sound, and {len(hits)} hits"
    return svg.drawing(described, 180, parts, width)
