"""Load synthetic WebDataset shards, and print the time and the memory that it takes.

    python benchmarks/shards.py --images 1000000 --folder shards

The shards are written to the folder first, 10,000 drawings each, and are left there. Memory is what belongs to the
process alone (anonymous memory) before and after, without the pages of the mapped file, which the system takes back when it
needs them.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
from pathlib import Path

import click
import numpy as np

from edge_meta.datasets import load_dataset
from edge_meta.inputs.png import write_png

OF_A_SHARD, CLASSES, SIDE = 10_000, 1000, 28


def write_shards(folder: Path, images: int) -> None:
    """Write drawings of noise, the same hundred again and again."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    files = [write_png(rng.integers(0, 256, (SIDE, SIDE, 1), np.uint8)) for _ in range(100)]
    for first in range(0, images, OF_A_SHARD):
        with tarfile.open(folder / f"{first // OF_A_SHARD:06}.tar", "w") as tar:
            for number in range(first, min(images, first + OF_A_SHARD)):
                _add(tar, f"{number:09}.png", files[number % len(files)])
                _add(tar, f"{number:09}.cls", str(number % CLASSES).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def own_memory() -> int:
    """Bytes of anonymous memory of this process (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))


@click.command()
@click.option("--images", default=1_000_000, show_default=True)
@click.option("--folder", required=True)
def main(images: int, folder: str) -> None:
    """Write the shards unless they are there, load them, and print one JSON object."""
    path = Path(folder)
    if not path.is_dir():
        write_shards(path, images)
    before, began = own_memory(), time.perf_counter()
    data = load_dataset(f"shards:{path}", "all")
    result = {
        "images": len(data.examples),
        "classes": len(data.class_names),
        "mapped_bytes": data.examples.nbytes,
        "seconds": round(time.perf_counter() - began, 1),
        "own_memory_before": before,
        "own_memory_after": own_memory(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
