"""Run all quick benchmarks on this machine, keep what they print, and write RESULTS.md from it.

    python benchmarks/peers/report.py --peers VENV        (or: make bench PEERS=VENV)

Each one's output goes to benchmarks/results/KIND/NAME.json; KIND is the machine's (intel-xeon-2: brand, series, cores).
RESULTS.md has every ratio to a peer, and a reason for each below 1. A row below 1 without a reason ends the run with an
error. Print the path of RESULTS.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
from side_by_side import ROOT, peers_python

from edge_meta.runtime.machine import host

HERE = Path(__file__).resolve().parents[1]

# Name → script and arguments; PEERS is the peers' venv.
BENCHMARKS = {
    "nearest": ("peers/nearest.py", "--peers", "PEERS", "--json"),
    "heads": ("peers/heads.py", "--peers", "PEERS", "--json"),
    "last_layer": ("peers/last_layer.py", "--peers", "PEERS", "--json"),
    "imprinting": ("peers/imprinting.py", "--json"),
    "training": ("training.py", "--peers", "PEERS", "--json", "--rounds", "3", "--seconds", "3"),
    "overhead": ("overhead.py", "--json"),
    "embed": ("embed.py", "--json"),
    "durability": ("durability.py",),
    "store": ("store.py", "--json"),
}

ONE_BATCH = (
    "So many values tell the classes apart that one or two steps on batches of 100 do; ours takes its first step on all "
    "1,024 embeddings, as `adapt` does with a user's shots, and makes their prototypes first."
)
EVEN = (
    "Even but for a few hundredths, which go one way or the other from run to run. Both read the same memory; ours calls "
    "NumPy seven times, and computes the distance once more, from the difference."
)
# Why a row loses, if it does.
REASONS = {
    **{f"nearest: {size}": EVEN for size in ("20 × 256", "100 × 256", "1,000 × 256", "1,000 × 1280", "10,000 × 64")},
    "last_layer: 4 classes x 1024, spread 3, to a loss of 0.05": ONE_BATCH,
    "last_layer: 16 classes x 1024, spread 3, to a loss of 0.05": ONE_BATCH,
    "last_layer: 4 classes x 1024, spread 6, to a loss of 0.4": ONE_BATCH,
    "imprinting: saved_each": "Each class is a transaction that keeps every shot, its id and what undo needs, on the disk "
    "before it is acknowledged; the peers keep sums or arrays, cannot take back a shot, and write one file.",
    "imprinting: saved_each_new": "This also makes the store, an SQLite database with its schema: once in its life.",
    "imprinting: saved_once": "The peers save once, after the last class, and a process that is stopped before has lost all "
    "of them. `Classifier.enroll` is on the disk when it returns, and so waits for the disk ten times.",
    "imprinting: classify": "Ours is a whole `Classifier.classify`: it checks the image, sees what other processes have "
    "enrolled, ranks three labels with scores and distances, and tells the unknown. The peers' is an embedding, a product "
    "and an arg max.",
}

TITLES = {
    "nearest": "The nearest prototype of one embedding, one thread",
    "heads": "Few-shot heads on Omniglot's evaluation alphabets, 20 ways, 15 queries, one thread",
    "last_layer": "Training a last layer on 1,024 embeddings, one thread",
    "imprinting": "Enrolling 10 classes of 20 images, and classifying",
    "training": "Training throughput, all cores",
}


class Row(NamedTuple):
    """One comparison: how many times as fast ours is, and the least and most over rounds."""

    what: str
    peer: str
    ratio: float
    least: float
    most: float
    note: str = ""


def row(what: str, peer: str, cell: dict[str, Any], note: str = "") -> Row:
    least, most = cell["range"]
    return Row(what, peer, cell["ratio"], least, most, note)


def of_nearest(result: dict[str, Any]) -> Iterator[Row]:
    for each in result["rows"]:
        what = f"{each['prototypes']:,} × {each['dim']}"
        note = f"{each['ours_us']:,} µs, {each['of_bandwidth']:.0%} of {each['read_gb_per_s']} GB/s"
        for peer in ("faiss", "usearch"):
            yield row(what, peer, each[peer], note)


def of_heads(result: dict[str, Any]) -> Iterator[Row]:
    for name, each in result["rows"].items():
        same = f"the same accuracy in {each['same_episodes']} of {result['episodes']} episodes"
        method, _, shots = name.partition(", ")
        note = f"{each['accuracy']} % against {each['peer_accuracy']} %: {each['gain']:+} ± {each['ci95']}; {same}"
        yield row(shots, f"easyfsl's {method}", each, note)


def of_last_layer(result: dict[str, Any]) -> Iterator[Row]:
    for case, each in result["rows"].items():
        for peer, cell in each["to_loss"].items():
            steps = f"{each['ours']['steps']} steps ({each['ours']['way']}) against {each[peer]['steps']}"
            way = f" ({each[peer]['way']})" if "way" in each[peer] else ""
            yield row(f"{case}, to a loss of {each['target']}", peer, cell, steps + way)
        yield row(f"{case}, 500 steps of 100", "torch", each["minibatch"]["torch"])


def of_imprinting(result: dict[str, Any]) -> Iterator[Row]:
    for what in ("saved_each", "saved_each_new", "saved_once", "classify"):
        for peer, cell in result[what].items():
            ours, theirs = result["accuracy"]["ours"], result["accuracy"][peer]
            accuracy = f"{ours} % against {theirs['accuracy']} %: {theirs['gain']:+} ± {theirs['ci95']}"
            yield row(what, peer, cell, accuracy if what == "classify" else "")


def of_training(result: dict[str, Any]) -> Iterator[Row]:
    for name, each in result.items():
        peer = "PyTorch" if name.startswith("protonet") else "learn2learn"
        yield row(name, peer, each, f"{each['ours']:,} {each['unit']}")


ROWS = {
    "nearest": of_nearest,
    "heads": of_heads,
    "last_layer": of_last_layer,
    "imprinting": of_imprinting,
    "training": of_training,
}


def kind() -> str:
    """Return this machine's kind, from its processor's name and number of cores."""
    brand, series = host()["cpu"].replace("(R)", "").lower().split()[:2]
    return f"{brand}-{series}-{host()['cores']}"


def run(name: str, peers: Path) -> dict[str, Any]:
    """Run a benchmark, and return what it prints."""
    script, *arguments = BENCHMARKS[name]
    command = [sys.executable, str(HERE / script), *(str(peers) if each == "PEERS" else each for each in arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, stdout=subprocess.PIPE, env=environment, text=True)
    if ran.returncode:
        sys.exit(f"benchmarks/{script} failed; its output is above.")
    printed: dict[str, Any] = json.loads(ran.stdout)
    return printed


def peers_versions(peers: Path, results: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return the versions in the results, and learn2learn's, which may be installed without metadata."""
    found = {package: version for each in results.values() for package, version in each.get("versions", {}).items()}
    for file in peers.glob("lib/python*/site-packages/learn2learn/_version.py"):
        found["learn2learn"] = file.read_text().split("=")[1].strip().strip("'\"")
    return dict(sorted(found.items()))


def table(name: str, result: dict[str, Any]) -> Iterator[str]:
    yield from (f"## {TITLES[name]}", "", "| | peer | ratio | rounds | |", "| --- | --- | --- | --- | --- |")
    for each in ROWS[name](result):
        yield f"| {each.what} | {each.peer} | {each.ratio} | {each.least} – {each.most} | {each.note} |"
    yield ""


def report(results: dict[str, dict[str, Any]], versions: dict[str, str]) -> tuple[str, list[str]]:
    """Return RESULTS.md, and the rows below 1 that have no reason."""
    machine = host()
    compared = [name for name in ROWS if name in results]
    losing = [(name, each) for name in compared for each in ROWS[name](results[name]) if each.ratio < 1]
    unexplained = [
        f"{name}: {each.what} against {each.peer}" for name, each in losing if f"{name}: {each.what}" not in REASONS
    ]
    lines = [
        "# Results",
        "",
        "Written by `make bench PEERS=VENV`; do not edit. A ratio above 1 says how many times as fast as the peer ours is:",
        "the median of rounds in which both were measured in turn, and the least and most of them. What each benchmark does",
        "stands at its top; what it printed is in `results`.",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['os']}, Python {machine['python']}; "
        + ", ".join(f"{package} {version}" for package, version in versions.items())
        + ".",
        "",
    ]
    for name in compared:
        lines += table(name, results[name])
    lines += ["## Where a peer is faster", ""]
    for name, each in losing:
        why = REASONS.get(f"{name}: {each.what}", "No reason is known.")
        lines.append(f"* {name}, {each.what}, {each.peer}, {each.ratio}: {why}")
    return "\n".join([*lines, "", *added(results)]), unexplained


def added(results: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Write the section of what the runtime adds, from the benchmarks without peers."""
    yield from ("## What the runtime adds", "")
    if overhead := results.get("overhead"):
        added_us, invoke_us, imported = (overhead[key] for key in ("classify_added_us", "invoke_us", "import_ratio"))
        yield f"* A whole `Classifier.classify` takes {added_us} µs more than the bare `invoke()` ({invoke_us} µs)."
        yield f"* Importing it takes {imported} times as long as importing NumPy."
    if embed := results.get("embed"):
        ratio, conv4_us = embed["ratio"], embed["conv4_us"]
        yield f"* The shipped encoder takes {ratio} times as long as a plain int8 Conv4-64 ({conv4_us} µs)."
    if durability := results.get("durability"):
        changes = ", ".join(f"{change} {times}" for change, times in durability["ratios"]["wal_full"].items())
        yield f"* Changes of the store, times as long as an append of the same shot that is as durable: {changes}."
    if store := results.get("store"):
        ratio, append = store["classify"]["ratio_to_product"], store["enroll"]["ratio_to_append"]
        yield f"* A store of 10,000 labels with 5 shots each opens in {store['open_ms']} ms."
        yield f"* Ranking three of its labels takes {ratio} times as long as NumPy's product with their prototypes."
        yield f"* Enrolling into it, without embedding, takes {append} times as long as an append with fdatasync."
    yield ""


@click.command()
@click.option("--peers", required=True, type=click.Path(path_type=Path), help="The peers' venv.")
@click.option(
    "--only", multiple=True, type=click.Choice(list(BENCHMARKS)), help="Run these alone; the others' results stay."
)
def main(peers: Path, only: tuple[str, ...]) -> None:
    """Run the benchmarks, and write results/KIND/*.json and RESULTS.md."""
    peers_python(peers)
    folder = HERE / "results" / kind()
    folder.mkdir(parents=True, exist_ok=True)
    for name in only or BENCHMARKS:
        began = time.perf_counter()
        printed = run(name, peers)
        (folder / f"{name}.json").write_text(json.dumps(printed, indent=1) + "\n")
        click.echo(f"{name}: {time.perf_counter() - began:.0f} s", err=True)
    kept = {name: folder / f"{name}.json" for name in BENCHMARKS}
    results = {name: json.loads(file.read_text()) for name, file in kept.items() if file.exists()}
    text, unexplained = report(results, peers_versions(peers, results))
    (HERE / "RESULTS.md").write_text(text)
    click.echo(f"{HERE / 'RESULTS.md'}")
    if unexplained:
        sys.exit("These lose to a peer, and REASONS does not say why:\n  " + "\n  ".join(unexplained))


if __name__ == "__main__":
    main()
