"""Time the nearest prototype of one embedding against exact search in faiss and usearch, on one thread.

    python benchmarks/peers/nearest.py --peers VENV [--json]

Print medians and ratios, by numbers of prototypes and dimensions. In turn, in one process of the peers' venv, all search
the same float32 prototypes for the nearest one and its distance: `ScoringHead.nearest`, with which `Classifier.classify`
scores; faiss's IndexFlatL2.search; usearch's search(exact=True). The query is near one prototype, and all must return the
same label and distance. A ratio is how many times as long a peer takes. `of_bandwidth`: the rate at which the prototypes are
read while they are ranked, over the best rate of a plain read of the same matrix in the same rounds (its sum, its largest
value, or its product with the query, whichever is fastest).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from side_by_side import Work, in_peers, microseconds, options, ratio, round_medians, show, versions

from edge_meta.heads.scoring import ScoringHead
from edge_meta.store.reader import Snapshot

SIZES, DIMS = (20, 100, 1_000, 10_000, 100_000), (64, 256, 1280)
ROUNDS, VALUES, MOST_CALLS, LEAST_CALLS = 7, 2**24, 300, 3


def measure(size: int, dim: int) -> dict[str, Any]:
    import faiss
    from usearch.index import MetricKind, search

    rng = np.random.default_rng((size, dim))
    vectors = rng.standard_normal((size, dim), np.float32)
    query = vectors[rng.integers(size)] + 0.3 * rng.standard_normal(dim, np.float32)
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatL2(dim)
    index.add(vectors)
    labels = tuple(str(label) for label in range(size))
    head, row = ScoringHead(Snapshot(labels, np.ones(size, np.int64), vectors, np.zeros(size))), query[None]
    searches: dict[str, Callable[[], Any]] = {
        "ours": lambda: head.nearest(query),
        "faiss": lambda: index.search(row, 1),
        "usearch": lambda: search(vectors, query, 1, MetricKind.L2sq, exact=True, threads=1),
    }
    reads: dict[str, Work] = {"sum": vectors.sum, "largest": vectors.max, "product": lambda: vectors.dot(query)}
    (((_, label, distance), *_), *_), (far, at), match = (search_() for search_ in searches.values())
    assert label == at[0, 0] == match.keys[0]
    np.testing.assert_allclose([distance, match.distances[0]], far[0, 0], rtol=1e-4)

    times = round_medians({**searches, **reads}, ROUNDS, min(MOST_CALLS, max(LEAST_CALLS, VALUES // vectors.size)))
    read = [min(each) for each in zip(*(times[name] for name in reads), strict=True)]
    return {
        "prototypes": size,
        "dim": dim,
        **microseconds({name: times[name] for name in searches}),
        "faiss": ratio(times["ours"], times["faiss"]),
        "usearch": ratio(times["ours"], times["usearch"]),
        "read_gb_per_s": round(vectors.nbytes / float(np.median(read)) / 1e9, 1),
        "of_bandwidth": ratio(times["ours"], read)["ratio"],
    }


def main() -> None:
    given = options(__doc__)
    if given.peers:
        show(in_peers(given.peers, __file__), given.json)
        return
    rows = [measure(size, dim) for size in SIZES for dim in DIMS]
    show({"versions": versions("numpy", "faiss-cpu", "usearch"), "rows": rows}, as_json=True)


if __name__ == "__main__":
    main()
