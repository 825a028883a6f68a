"""Merge the stores of many devices as a tree: groups of them into one each, in parallel, and then groups of those.

    pip install dask
    python examples/scale/merge_stores.py BUNDLE FOLDER OUTPUT.db

FOLDER has the stores, *.db, which are only read. Merging is associative, so the tree gives what merging one store after the
other gives, to the bit. With Dask's distributed scheduler the groups are merged on several hosts, which all see FOLDER.
"""

import sys
import tempfile
from pathlib import Path

import dask

from edge_meta.runtime.bundle import Bundle

GROUP = 32  # stores in a merge


def merged(bundle: str, stores: list[Path], output: Path) -> Path:
    """Merge stores into a new one."""
    with Bundle.open(bundle).open_store(output) as store:
        store.merge(*stores)
    return output


if __name__ == "__main__":
    bundle, folder, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    level = sorted(folder.glob("*.db"))
    with tempfile.TemporaryDirectory(dir=output.absolute().parent) as scratch:
        while len(level) > GROUP:
            made = tempfile.mkdtemp(dir=scratch)
            groups = [level[at : at + GROUP] for at in range(0, len(level), GROUP)]
            tasks = [dask.delayed(merged)(bundle, group, Path(made, f"{at}.db")) for at, group in enumerate(groups)]
            level = list(dask.compute(*tasks, scheduler="processes"))
        merged(bundle, level, output)
