"""Join the parts of an evaluation that several hosts have judged: the same figures as of one that judged all.

edge-meta evaluate omniglot --dataset omniglot --part 1/2 --json > 1.json    # on one host
edge-meta evaluate omniglot --dataset omniglot --part 2/2 --json > 2.json    # on another
python examples/scale/join_parts.py 1.json 2.json
"""

import json
import sys
from pathlib import Path

import numpy as np

from edge_meta.evaluation.interval import Interval

OF_ONE_PART = ("part", "accuracy", "ci95", "accuracies")

found = [json.loads(Path(name).read_text("utf-8")) for name in sys.argv[1:]]
parts = {tuple(map(int, each["part"].split("/"))): each for each in found}
protocols = {json.dumps({key: value for key, value in each.items() if key not in OF_ONE_PART}) for each in found}
if len(protocols) != 1:
    sys.exit("These are no parts of one evaluation: bundle, data, options or back end differ.")
count = next(iter(parts))[1]
if len(found) != count or sorted(parts) != [(number, count) for number in range(1, count + 1)]:
    sys.exit(f"Give each of the {count} parts once; these are {', '.join(each['part'] for each in found)}.")
accuracies = np.concatenate([parts[part]["accuracies"] for part in sorted(parts)])
interval = Interval.of(accuracies)
print(json.dumps(json.loads(protocols.pop()) | {"accuracy": interval.mean, "ci95": interval.ci95}))
