"""The whole life of a fresh process up to its first answer, which it tells with the moments on the way. Run as a program.

Nothing is imported before the first moment but the clock and what the interpreter has imported for itself.
"""

import time

moments = [time.monotonic()]

import json  # noqa: E402
import sys  # noqa: E402

import numpy as np  # noqa: E402

from edge_meta import Classifier  # noqa: E402
from edge_meta.runtime.backends import backend_module  # noqa: E402

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
    steady = peak = None
    try:
        # Not getrusage: there Linux counts what the parent held before it became this process.
        with open("/proc/self/status", encoding="utf-8") as file:
            status = file.read()
        peak, steady = (int(status.split(f"{name}:")[1].split()[0]) * 1024 / 1e6 for name in ("VmHWM", "VmRSS"))
    except OSError:
        try:
            import resource

            # In units of 1,024 bytes, but in bytes on macOS.
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
        except ImportError:
            pass
print(json.dumps({"moments": moments, "peak_rss_mb": peak, "steady_rss_mb": steady}))
