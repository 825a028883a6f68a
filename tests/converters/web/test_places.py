"""Where the page's encoder runs: the fastest place that gives the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.web import in_node, needs_node

pytestmark = needs_node
PLAIN = {"accelerator": "wasm", "threads": 1}
THREADS = {"accelerator": "wasm", "threads": 2}
GPU = {"accelerator": "webgpu", "threads": 1}


def measured(*found: tuple[dict[str, Any], float, float]) -> list[dict[str, Any]]:
    return [{"place": place, "milliseconds": time, "difference": difference} for place, time, difference in found]


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], PLAIN),
        ([(THREADS, 0.5, 0), (GPU, 0.6, 0.01)], THREADS),
        ([(THREADS, 0.5, 0), (GPU, 0.1, 0.01)], GPU),
        ([(THREADS, 0.95, 0)], PLAIN),
        ([(GPU, 0.1, 0.05)], PLAIN),
        ([(GPU, 0.1, None)], PLAIN),  # not a number
    ],
)
def test_the_fastest_place_that_agrees_is_taken(tmp_path: Path, others: list[Any], expected: dict[str, Any]) -> None:
    script = """
    import {fastest} from './places.js';
    console.log(JSON.stringify(fastest(asked.found.map((each) => ({...each, difference: each.difference ?? NaN})))));
    """
    assert in_node(tmp_path, script, found=measured((PLAIN, 1, 0), *others)) == expected


def test_a_place_that_fails_or_takes_no_whole_encoder_is_none(tmp_path: Path) -> None:
    script = """
    import {measured} from './places.js';
    const doubled = {size: 3, run: async (values) => values.map((value) => 2 * value), delete() {}};
    const opens = {
      plain: () => ({...doubled, run: async (values) => values}),
      partial: () => null,
      failing: () => ({...doubled, run: () => Promise.reject(new Error('lost'))}),
      closed: () => { throw new Error('closed'); },
      doubled: () => doubled,
    };
    console.log(JSON.stringify(await measured(async (place) => opens[place](), Object.keys(opens))));
    """
    found = in_node(tmp_path, script)
    assert [each["place"] for each in found] == ["plain", "doubled"]
    assert [each["difference"] for each in found] == [0, 1]
