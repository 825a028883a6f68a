"""Measure what the runtime adds: to an interpreter's invoke, to NumPy's import, and to a disk.

    python benchmarks/overhead.py [BUNDLE] [--json]

Print `classify_us`, the median of a whole Classifier.classify (array input, 20 classes of 5 shots); `invoke_us`, the median
of the interpreter's bare invoke(), timed in turn in one process; `classify_added_us`, their difference; `import_ratio`, the
time of `from edge_meta import Classifier` over that of `import numpy`, medians over fresh processes in turn;
`site_packages_mb`, the size of this venv without pip and setuptools; `model_bytes`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import sysconfig
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from edge_meta import Classifier
from edge_meta.benchmarking import timing
from edge_meta.runtime.bundle import Bundle

RUNS, IMPORTS = 2000, 15
TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


def classify_and_invoke(bundle: Bundle) -> tuple[float, float]:
    """Return the median seconds of Classifier.classify and of the bare invoke()."""
    rng = np.random.default_rng(0)
    shape = bundle.manifest.input_spec.shape
    with tempfile.TemporaryDirectory() as folder, Classifier.load(bundle, Path(folder) / "store.db") as classifier:
        for label in range(20):
            classifier.enroll(str(label), rng.integers(0, 256, (5, *shape), np.uint8))
        image = rng.integers(0, 256, shape, np.uint8)
        works = {"invoke": classifier.encoder.interpreter.invoke, "classify": partial(classifier.classify, image)}
        medians = timing.median_seconds(works, RUNS)
    return medians["classify"], medians["invoke"]


def import_seconds() -> tuple[float, float]:
    """Return the median seconds of importing Classifier and of importing NumPy, in fresh processes."""

    def sample(statement: str, times: int) -> list[float]:
        command = [sys.executable, "-c", TIMED.format(statement)]
        return [float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(times)]

    samplers = {statement: partial(sample, statement) for statement in ("from edge_meta import Classifier", "import numpy")}
    ours, numpy = timing.in_turn(samplers, IMPORTS, rounds=IMPORTS, uncounted=0).values()
    return float(np.median(ours)), float(np.median(numpy))


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", default="omniglot")
    parser.add_argument("--json", action="store_true", help="print one line")
    given = parser.parse_args()
    bundle = Bundle.open(given.bundle)
    whole, bare = classify_and_invoke(bundle)
    imported, numpy = import_seconds()
    packages = Path(sysconfig.get_paths()["purelib"])
    own = [path for path in packages.iterdir() if not path.name.startswith(("pip", "setuptools", "pkg_resources"))]
    result = {
        "classify_us": round(1e6 * whole, 1),
        "invoke_us": round(1e6 * bare, 1),
        "classify_added_us": round(1e6 * (whole - bare), 1),
        "import_ratio": round(imported / numpy, 2),
        "site_packages_mb": round(sum(_size(path) for path in own) / 1e6, 1),
        "model_bytes": len(bundle.model),
    }
    if given.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:<20}{value:>12,}")


if __name__ == "__main__":
    main()
