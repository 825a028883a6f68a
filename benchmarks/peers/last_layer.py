"""Training a last layer of 4 and 16 classes on 1,024 embeddings of 256 and 1,024 values, against PyTorch and scikit-learn.

    python benchmarks/peers/last_layer.py --peers VENV [--json]

These are the cases of Coral's benchmark of its SoftmaxRegression; `minibatch` is that procedure: 500 steps of gradient
descent on batches of 100, by `heads.linear_step`, and in PyTorch by SGD on nn.Linear.

`to_loss`: until the mean cross-entropy over all 1,024 embeddings is at most `target`, each in its own best way, where
classes are apart (spread 3) and where they overlap (spread 6). Ours:
`heads.linear_step` over all embeddings from the prototypes' head, which is what `adapt --solver gradient` does for each
head that it compares. PyTorch: from its own start, SGD or Adam on batches of 100, or L-BFGS on all, whichever is fastest.
scikit-learn: LogisticRegression (L-BFGS) from zero with as many iterations as it takes. Learning rates are of one grid, for
each side the best; measuring the loss is not timed. Each round runs PyTorch in its venv, then the others, all on one thread;
a ratio says how many times as long the peer takes, the median of rounds and their range.

The targets were chosen so that gradient steps can reach them, and with a long enough rate one step does. A much lower loss
on classes that overlap is out of their reach: at spread 6, with 4 classes of 256 values, no rate that was tried from 100 to
3000 came to 0.05 in 40 steps, where LogisticRegression needs less than 20 iterations.

`adapt_ms` is the whole of adapt with those steps: eleven fits, ten of them to judge by held-out embeddings.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from side_by_side import ONE_THREAD, in_peers, options, ratio, seconds, show, versions

os.environ.update(ONE_THREAD)

import numpy as np

from edge_meta.heads import linear
from edge_meta.heads.adaptation import AdaptationConfig

# How far embeddings lie from their class's center, in units of how far the centers lie from zero → the loss to reach.
TARGETS = {3: 0.05, 6: 0.4}
CASES = [(classes, dim, spread) for spread in TARGETS for classes in (4, 16) for dim in (256, 1024)]
SAMPLES, BATCH, STEPS, MOST_STEPS = 1024, 100, 500, 30
RATES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)  # of Adam, a hundredth
ROUNDS, REPEATS = 3, 3

Array = np.ndarray[Any, np.dtype[np.float32]]
Labels = np.ndarray[Any, np.dtype[np.int64]]


def task(classes: int, dim: int, spread: int) -> tuple[Array, Labels]:
    """Embeddings (M, D) of length 1 around their classes' centers, and labels (M,)."""
    rng = np.random.default_rng((classes, dim))
    labels = rng.permutation(np.arange(SAMPLES) % classes)
    around = rng.normal(size=(classes, dim))[labels] + spread * rng.normal(size=(SAMPLES, dim))
    return (around / np.linalg.norm(around, axis=1, keepdims=True)).astype(np.float32), labels


def batches(count: int) -> list[Labels]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, SAMPLES, BATCH) for _ in range(count)]


def until(start: Callable[[], tuple[Callable[[], Any], Callable[[], float]]], target: float) -> int | None:
    """How many steps training needs to the target, if fewer than `MOST_STEPS`. `start` gives a step and the loss."""
    step, loss = start()
    for taken in range(MOST_STEPS):
        if loss() <= target:
            return taken
        step()
    return None


def timed(start: Callable[[], tuple[Callable[[], Any], Any]], steps: int) -> float:
    """Median seconds of so many steps, the making of the start included."""

    def run() -> None:
        step, _ = start()
        for _ in range(steps):
            step()

    return float(np.median([seconds(run) for _ in range(REPEATS)]))


def fastest(starts: Iterator[tuple[str, Callable[[], Any]]], target: float) -> dict[str, Any]:
    """The best of several ways to the target: its name, steps and seconds."""
    found = []
    for name, start in starts:
        steps = until(start, target)
        if steps is not None:
            found.append({"way": name, "steps": steps, "seconds": timed(start, steps)})
    return min(found, key=lambda each: each["seconds"])


def ours(embeddings: Array, labels: Labels, target: float) -> dict[str, Any]:
    classes = int(labels.max()) + 1
    truth = np.eye(classes, dtype=np.float32)[labels]

    def start(rate: float) -> tuple[Callable[[], Any], Callable[[], float]]:
        head = list(linear.linear_from_prototypes(truth.T @ embeddings / truth.sum(axis=0)[:, None]))

        def step() -> None:
            head[:] = linear.linear_step(embeddings, labels, *head, rate)[:2]

        def loss() -> float:
            return float(linear.cross_entropy(embeddings @ head[0] + head[1], labels)[0].mean())

        return step, loss

    def minibatch() -> None:
        weights, bias = np.zeros((embeddings.shape[1], classes), np.float32), np.zeros(classes, np.float32)
        for batch in drawn:
            weights, bias, _ = linear.linear_step(embeddings[batch], labels[batch], weights, bias, 0.1)

    drawn = batches(STEPS)
    best = fastest(((f"rate {rate}", lambda rate=rate: start(rate)) for rate in RATES), target)
    rate = float(best["way"].split()[1])
    config = AdaptationConfig("gradient", (rate,) * max(1, best["steps"]))
    prototypes = truth.T @ embeddings / truth.sum(axis=0)[:, None]
    return {
        "to_loss": best,
        "minibatch": float(np.median([seconds(minibatch) for _ in range(REPEATS)])),
        "adapt": seconds(lambda: config.fit(embeddings, labels, prototypes)),
    }


def torch_ways(embeddings: Array, labels: Labels, target: float) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    x, y = torch.from_numpy(embeddings), torch.from_numpy(labels)
    classes = int(labels.max()) + 1
    cross_entropy = torch.nn.functional.cross_entropy
    drawn = [torch.from_numpy(batch) for batch in batches(max(STEPS, MOST_STEPS))]

    def start(make: Callable[[Any], Any], whole: bool) -> tuple[Callable[[], Any], Callable[[], float]]:
        torch.manual_seed(0)
        layer = torch.nn.Linear(embeddings.shape[1], classes)
        optimizer, at = make(layer.parameters()), iter(drawn)

        def step() -> None:
            batch = slice(None) if whole else next(at)

            def closure() -> Any:
                optimizer.zero_grad()
                loss = cross_entropy(layer(x[batch]), y[batch])
                loss.backward()
                return loss

            optimizer.step(closure)

        def loss() -> float:
            with torch.no_grad():
                return float(cross_entropy(layer(x), y))

        return step, loss

    def ways() -> Iterator[tuple[str, Callable[[], Any]]]:
        for rate in RATES:
            yield f"SGD, rate {rate}", lambda rate=rate: start(lambda of: torch.optim.SGD(of, rate), False)
            yield f"Adam, rate {rate / 100}", lambda rate=rate: start(lambda of: torch.optim.Adam(of, rate / 100), False)
        lbfgs = torch.optim.LBFGS
        yield "L-BFGS", lambda: start(lambda of: lbfgs(of, max_iter=1, line_search_fn="strong_wolfe"), True)

    return {
        "to_loss": fastest(ways(), target),
        "minibatch": timed(lambda: start(lambda of: torch.optim.SGD(of, 0.1), False), STEPS),
    }


def scikit(embeddings: Array, labels: Labels, target: float) -> dict[str, Any]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    warnings.simplefilter("ignore", ConvergenceWarning)  # it is to stop at the target

    def fit(iterations: int) -> Any:
        # Without its penalty, which the others have not either; it stops at max_iter.
        return LogisticRegression(C=np.inf, tol=1e-12, max_iter=iterations).fit(embeddings, labels)

    def loss(fitted: Any) -> float:
        return float(linear.cross_entropy(fitted.decision_function(embeddings), labels)[0].mean())

    steps = next(steps for steps in range(1, MOST_STEPS) if loss(fit(steps)) <= target)
    return {"steps": steps, "seconds": float(np.median([seconds(lambda: fit(steps)) for _ in range(REPEATS)]))}


def main() -> None:
    given = options(__doc__)
    tasks = {"{} classes x {}, spread {}".format(*case): (*task(*case), TARGETS[case[-1]]) for case in CASES}
    if not given.peers:
        show({"versions": versions("torch"), "rows": {name: torch_ways(*drawn) for name, drawn in tasks.items()}}, True)
        return
    rounds = []
    for _ in range(ROUNDS):
        printed = in_peers(given.peers, __file__)
        rounds.append([(ours(*drawn), printed["rows"][name], scikit(*drawn)) for name, drawn in tasks.items()])
    rows = {}
    for (name, (_, _, target)), each_round in zip(tasks.items(), zip(*rounds, strict=True), strict=True):
        mine, torch, sklearn = zip(*each_round, strict=True)
        to_loss = [each["to_loss"]["seconds"] for each in mine]
        rows[name] = {
            "target": target,
            "ours": {**mine[0]["to_loss"], "seconds": float(np.median(to_loss))},
            "torch": torch[0]["to_loss"],
            "sklearn": sklearn[0],
            "to_loss": {
                "torch": ratio(to_loss, [each["to_loss"]["seconds"] for each in torch]),
                "sklearn": ratio(to_loss, [each["seconds"] for each in sklearn]),
            },
            "minibatch": {"torch": ratio([each["minibatch"] for each in mine], [each["minibatch"] for each in torch])},
            "adapt_ms": round(1e3 * float(np.median([each["adapt"] for each in mine])), 1),
        }
    show({"versions": printed["versions"] | versions("numpy", "scikit-learn"), "rows": rows}, given.json)


if __name__ == "__main__":
    main()
