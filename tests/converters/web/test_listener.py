"""The page hears the same hits in a stream of sound as the runtime."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.web import in_node, needs_node, packed

from edge_meta.inputs import AudioInput
from edge_meta.runtime.listener import Listener

RATE = 8000
SPEC = AudioInput(RATE, RATE)
pytestmark = needs_node


def stream(seed: int) -> np.ndarray:
    """Twelve seconds of noise, which becomes louder, with bursts of sound in it, int16."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(size=12 * RATE) * np.repeat([20.0, 150.0], 6 * RATE)
    for start in rng.integers(0, 11 * RATE, 16):
        samples[start : start + RATE // 2] += rng.choice([400, 3000]) * np.sin(np.arange(RATE // 2) / rng.uniform(1, 9))
    return samples.clip(-32768, 32767).astype(np.int16)


def answer(window: np.ndarray) -> Any:
    """A label by where in the window the sound is; none for weak sound."""
    halves = np.abs(window.astype(np.float64)).reshape(2, -1).sum(axis=1)
    label = None if halves.sum() < 2e6 else "first" if halves[0] > halves[1] else "second"
    return SimpleNamespace(label=label, score=1.0)


@pytest.mark.parametrize("seed", range(3))
def test_a_stream_gives_the_hits_that_the_runtime_gives(tmp_path: Path, seed: int) -> None:
    samples = stream(seed)
    windows: list[int] = []
    listener = Listener(SPEC, lambda window: windows.append(int(window.sum())) or answer(window))
    expected = [[event.label, round(event.time * RATE)] for event in listener.feed(samples)]
    script = """
    import {Listener} from './listener.js';
    const samples = new Int16Array(unpacked(asked.samples).buffer);
    const total = (values) => values.reduce((sum, value) => sum + Math.abs(value), 0);
    const [hits, windows] = [[], []];
    let fed = 0;
    const classify = async (window) => {
      windows.push(window.reduce((sum, value) => sum + value, 0));
      const [one, other] = [total(window.subarray(0, window.length / 2)), total(window.subarray(window.length / 2))];
      return {label: one + other < 2e6 ? null : one > other ? 'first' : 'second'};
    };
    const listener = new Listener(asked.input, classify, ({label}) => hits.push([label, fed]));
    for (let at = 0; at < samples.length; at = fed) {
      fed = Math.min(samples.length, at + 160); // a hop is 800 samples
      await listener.feed(samples.subarray(at, fed));
    }
    console.log(JSON.stringify({hits, windows}));
    """
    found = in_node(tmp_path, script, samples=packed(samples), input=SPEC.to_manifest())
    assert len(expected) > 2
    assert found == {"hits": expected, "windows": windows}


def test_sound_that_fails_the_encoder_ends_in_an_error(tmp_path: Path) -> None:
    script = """
    import {Listener} from './listener.js';
    const listener = new Listener(asked.input, () => Promise.reject(new Error('lost')), () => {});
    const loud = Int16Array.from({length: 8000}, (_, index) => 9000 * Math.sin(index));
    console.log(JSON.stringify(await listener.feed(loud).catch((error) => error.message)));
    """
    assert in_node(tmp_path, script, input=SPEC.to_manifest()) == "lost"
