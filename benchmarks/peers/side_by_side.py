"""Shared by the side-by-side benchmarks: medians by round, ratios with their range, running a script in the peers' venv."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

PEERS = ("torch", "faiss", "usearch", "easyfsl", "learn2learn")
INSIDE = "EDGE_META_IN_PEERS"  # set where a script runs itself again, with the peers' interpreter

Work = Callable[[], Any]


def round_medians(works: Mapping[str, Work], rounds: int, calls: int = 1) -> dict[str, list[float]]:
    """Time works in turn, and return the median seconds of a call in each round.

    Each call of a work comes directly after the others' calls, so that a change of the machine's speed, or of what is
    cached, meets all alike.
    """
    # Not at the top: it imports NumPy, and scripts first set `ONE_THREAD`, which NumPy reads when it is imported.
    from edge_meta.benchmarking import timing

    samplers = {name: timing.sampler(work) for name, work in works.items()}
    runs = rounds * calls
    times = timing.in_turn(samplers, runs, rounds=runs, uncounted=0)
    return {
        name: [statistics.median(call for (call,) in each[first : first + calls]) for first in range(0, runs, calls)]
        for name, each in times.items()
    }


def ratio(ours: Sequence[float], peer: Sequence[float]) -> dict[str, Any]:
    """Return how many times as long the peer takes, median and range over rounds: above 1, ours is faster."""
    each = sorted(theirs / mine for mine, theirs in zip(ours, peer, strict=True))
    return {"ratio": round(statistics.median(each), 2), "range": [round(each[0], 2), round(each[-1], 2)]}


def microseconds(times: Mapping[str, list[float]]) -> dict[str, float]:
    """Return the median over rounds in µs, named NAME_us."""
    return {f"{name}_us": round(1e6 * statistics.median(each), 1) for name, each in times.items()}


def versions(*packages: str) -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in packages}


def peers_python(venv: Path) -> Path:
    """Return the peers' interpreter; end the script with a message when it or a peer is not there."""
    python = venv / "bin" / "python"
    find = f"import importlib.util; print(*[name for name in {PEERS} if not importlib.util.find_spec(name)])"
    missing = "Python"
    if python.exists():
        missing = subprocess.run([python, "-c", find], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    if missing:
        sys.exit(
            f"There is no {missing.replace(' ', ', ')} in {venv}.\n\nMake a venv with torch, faiss-cpu, usearch, easyfsl "
            "and learn2learn, and name it: --peers VENV, or make bench PEERS=VENV."
        )
    return python


def in_peers(venv: Path, script: str, *arguments: str) -> dict[str, Any]:
    """Run a script with the peers' interpreter and this edge_meta, on one thread; return what it prints in JSON."""
    environment = {**os.environ, **ONE_THREAD, INSIDE: "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run([peers_python(venv), script, *arguments], stdout=subprocess.PIPE, env=environment, text=True)
    if run.returncode:
        sys.exit(f"{Path(script).name} failed in {venv}; its output is above.")
    printed: dict[str, Any] = json.loads(run.stdout)
    return printed


def options(doc: str | None, peers: bool = True, extra: str | None = None) -> argparse.Namespace:
    """Parse `--peers` and `--json`, and an extra argument for a script that runs itself in the peers' venv.

    Without click, which the peers' venv need not have.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if peers:
        parser.add_argument("--peers", type=Path, required=INSIDE not in os.environ, metavar="VENV", help="the peers' venv")
    if extra:
        parser.add_argument(extra, nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one line")
    return parser.parse_args()


def show(result: dict[str, Any], as_json: bool) -> None:
    """Print a result as JSON, on one line or indented."""
    print(json.dumps(result, indent=None if as_json else 1))
