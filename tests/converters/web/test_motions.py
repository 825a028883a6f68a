"""The page cuts streams of motions as the runtime does, and fits them to the encoder as it does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.motions import stream
from support.web import in_node, needs_node

from edge_meta.inputs.motions import MotionCutter
from edge_meta.inputs.series import fit_series

pytestmark = needs_node
CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")


@pytest.mark.parametrize("seed", range(3))
def test_a_stream_is_cut_where_the_runtime_cuts_it(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = [(int(rng.integers(3)), float(rng.uniform(0.3, 2.5))) for _ in range(12)]
    times, values, _ = stream(made, rest=float(rng.uniform(0.8, 1.5)), first_take=20 * seed)
    times = times + 2.0 * (np.arange(len(times)) > len(times) // 2)  # some rows are missing there
    found = MotionCutter().feed(times, values)
    assert 4 <= len(found) < len(made)
    script = """
    import {MotionCutter, fitSeries} from './motions.js';
    const cutter = new MotionCutter();
    const found = asked.times.map((time, index) => cutter.take(time, asked.values[index])).filter((motion) => motion);
    const told = ({start, end, rows}) => ({start, end, rows: rows.length, fitted: [...fitSeries(rows, 128)]});
    console.log(JSON.stringify(found.map(told)));
    """
    on_page = in_node(tmp_path / "page", script, times=times.tolist(), values=values.tolist())
    assert [(each["start"], each["end"], each["rows"]) for each in on_page] == [
        (motion.start, motion.end, len(motion.values)) for motion in found
    ]
    for each, motion in zip(on_page, found, strict=True):
        fitted = fit_series(motion.values, 128, CHANNELS, "motion")
        np.testing.assert_allclose(np.reshape(each["fitted"], fitted.shape), fitted, atol=1e-5)
