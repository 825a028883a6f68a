"""Train by one process, and by two that share the tasks as two hosts would, on the same cores: images a second.

    python benchmarks/hosts.py [--rounds 3] [--episodes 200]

The processes talk over the loopback, and the kinds of run are taken in turn. The ratio says what is lost by waiting for each
other and by passing gradients; hosts with cores of their own would be nearly twice that, less their network.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np

TRAIN = ["train", "--dataset", "glyphs", "--way", "20", "--shot", "1", "--query", "5", "--tasks", "2", "--image-size", "28"]


def rate(workers: int, episodes: int) -> float:
    """Images a second, over all workers, compiling left out."""
    ports = [socket.create_server(("localhost", 0)) for _ in range(workers)]
    addresses = [f"localhost:{each.getsockname()[1]}" for each in ports]
    for each in ports:
        each.close()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "edge_meta", *TRAIN, "--episodes", str(episodes), "--output", f"{folder}/run"]
        processes = []
        for index in range(workers):
            cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            own = {"TF_CONFIG": json.dumps(cluster)} if workers > 1 else {}
            processes.append(subprocess.Popen(command, env={**os.environ, **own}, stderr=subprocess.DEVNULL))
        codes = [process.wait() for process in processes]
        if any(codes):
            raise click.ClickException("Training failed.")
        rows = [json.loads(line) for line in Path(folder, "run", "metrics.jsonl").read_text().splitlines()]
    return float(rows[-1]["images_per_second"])


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--episodes", default=200, show_default=True)
def main(rounds: int, episodes: int) -> None:
    """Compare them."""
    found = [(rate(1, episodes), rate(2, episodes)) for _ in range(rounds)]
    ratios = [two / one for one, two in found]
    one, two = np.median(found, axis=0)
    print(
        f"one process {one:,.0f} images/s, two {two:,.0f}: {np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )


if __name__ == "__main__":
    main()
