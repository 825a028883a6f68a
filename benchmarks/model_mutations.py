"""Mutate models at random, and run those that the graph check lets through: does one crash the interpreter?

    python benchmarks/model_mutations.py [COUNT] [--seed N] [--save FOLDER]

Take the shipped encoder and the models of tests/device/runtime/formats in turn. Change 1 to 4 bytes or aligned numbers of 32
bits of the tables. A mutant that `read_graph` accepts is loaded, and embeds one example of zeros, in a forked child process.
Print JSON: how many the check refused, how many ran or raised an error, and which ended the child, by signal.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import struct
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from edge_meta.errors import EdgeMetaError
from edge_meta.runtime.bundle import SHIPPED
from edge_meta.runtime.graph_check import read_graph
from edge_meta.runtime.interpreter import Encoder

FORMATS = Path(__file__).parent.parent / "tests" / "device" / "runtime" / "formats"
MODELS = [SHIPPED / "omniglot.bundle" / "encoder.tflite", *sorted(FORMATS.glob("*.tflite"))]
EXTREMES = (0, 1, 2, 255, 256, 65535, 1 << 20, 1 << 30, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
SECONDS = 20


def mutant(model: bytes, rng: np.random.Generator) -> bytes:
    """The model with a few changes in its tables, most of which lie behind the constants."""
    changed = bytearray(model)
    first = int(0.85 * len(model)) if len(model) > 100_000 else 0
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(first, len(model) - 4))
        if rng.random() < 0.5:
            changed[at] = int(rng.integers(256))
        else:
            struct.pack_into("<I", changed, at & ~3, int(rng.choice(EXTREMES)))
    return bytes(changed)


def run(model: bytes) -> str:
    """Load a model and embed zeros in a forked child; return `ran`, `error`, or the child's end."""
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            encoder = Encoder(model)
            encoder.embed(np.zeros(encoder.input_shape, encoder.input_dtype))
            os._exit(0)
        except EdgeMetaError:
            os._exit(1)
        except BaseException:
            os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {0: "ran", 1: "error", 2: "other exception"}.get(code) or signal.Signals(-code).name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="write the mutants that end the child here")
    given = parser.parse_args()
    rng, ends = np.random.default_rng(given.seed), Counter[str]()
    contents = [path.read_bytes() for path in MODELS]
    assert run(contents[0]) == "ran"
    for index in range(given.count):
        which = index % len(MODELS)
        model = mutant(contents[which], rng)
        try:
            read_graph(model)
        except EdgeMetaError:
            ends["refused"] += 1
            continue
        end = run(model)
        ends[end] += 1
        if given.save and end not in ("ran", "error"):
            given.save.mkdir(parents=True, exist_ok=True)
            (given.save / f"{index}-{MODELS[which].stem}-{end}.tflite").write_bytes(model)
    passed = given.count - ends["refused"]
    crashed = passed - ends["ran"] - ends["error"]
    json.dump({"mutants": given.count, **ends, "crashed_of_accepted": round(crashed / passed, 4)}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
