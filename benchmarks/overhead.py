"""What the runtime adds: to an interpreter's invoke, to NumPy's import, and to a disk.

    python benchmarks/overhead.py [BUNDLE] [--json]

`classify_added_us` is the median of a whole Classifier.classify (array input, 20 classes of 5 shots) minus the median of the
interpreter's bare invoke(), timed in turn in one process. `import_ratio` compares fresh processes, in turn: the time of
`from edge_meta import Classifier` over that of `import numpy`, medians. `site_packages_mb`: this venv besides pip
and setuptools.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import numpy as np

from edge_meta import Classifier
from edge_meta.runtime.bundle import Bundle

RUNS, IMPORTS = 2000, 15
TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


def classify_and_invoke(bundle: Bundle) -> tuple[float, float]:
    """Median seconds of Classifier.classify and of the bare invoke()."""
    rng = np.random.default_rng(0)
    shape = bundle.manifest.input_spec.shape
    whole, bare = [], []
    with tempfile.TemporaryDirectory() as folder, Classifier.load(bundle, Path(folder) / "store.db") as classifier:
        for label in range(20):
            classifier.enroll(str(label), rng.integers(0, 256, (5, *shape), np.uint8))
        image = rng.integers(0, 256, shape, np.uint8)
        for _ in range(RUNS):
            start = time.perf_counter()
            classifier.encoder.interpreter.invoke()
            between = time.perf_counter()
            classifier.classify(image)
            whole.append(time.perf_counter() - between)
            bare.append(between - start)
    return statistics.median(whole), statistics.median(bare)


def import_seconds() -> tuple[float, float]:
    """Median seconds of importing Classifier and of importing NumPy."""
    times: dict[str, list[float]] = {"from edge_meta import Classifier": [], "import numpy": []}
    for _ in range(IMPORTS):
        for statement, seconds in times.items():
            run = subprocess.run([sys.executable, "-c", TIMED.format(statement)], capture_output=True, check=True)
            seconds.append(float(run.stdout))
    return tuple(map(statistics.median, times.values()))


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if argument != "--json"]
    bundle = Bundle.open(arguments[0] if arguments else "omniglot")
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
    if "--json" in sys.argv:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:<20}{value:>12,}")


if __name__ == "__main__":
    main()
