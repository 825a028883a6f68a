"""Classify one image in a fresh process, and print the moments on the way as JSON. A program: `python -c` runs its text.

Before the first moment nothing is imported but the clock, and what Python imports for itself.
"""

import time

moments = [time.monotonic()]

import json  # noqa: E402
import sys  # noqa: E402

import numpy as np  # noqa: E402

from edge_meta import Classifier  # noqa: E402
from edge_meta.runtime.backends import backend_module  # noqa: E402


def memory_mb() -> tuple[float | None, float | None]:
    """Peak and current memory of this process; None where the system does not tell."""
    try:
        # Not getrusage: on Linux it counts the memory that the parent held before it became this process.
        with open("/proc/self/status", encoding="utf-8") as file:
            status = file.read()
        peak, current = (int(status.split(f"{name}:")[1].split()[0]) * 1024 / 1e6 for name in ("VmHWM", "VmRSS"))
        return peak, current
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None, None
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, None


bundle, store, options, image_file, runs = json.loads(sys.argv[1])
backend_module(options["backend"])
image = np.load(image_file)
moments.append(time.monotonic())
with Classifier.load(bundle, store, **options) as classifier:
    moments.append(time.monotonic())
    embedding = classifier.embed(image)
    moments.append(time.monotonic())
    classifier.classify_embedding(embedding)
    moments.append(time.monotonic())

    for _ in range(runs):
        classifier.classify(image)
    peak_rss_mb, steady_rss_mb = memory_mb()
print(json.dumps({"moments": moments, "peak_rss_mb": peak_rss_mb, "steady_rss_mb": steady_rss_mb}))
