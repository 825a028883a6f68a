"""Time training a last layer on 1,024 embeddings, against PyTorch and scikit-learn.

    python benchmarks/peers/last_layer.py --peers VENV [--json]

Print times and ratios, for 4 and 16 classes and embeddings of 256 and 1,024 values. These are the cases of Coral's
benchmark of its SoftmaxRegression; `minibatch` is that procedure: 500 steps of gradient descent on batches of 100, by
`linear.linear_step`, and in PyTorch by SGD on nn.Linear.

`to_loss`: the time until the mean cross-entropy over all 1,024 embeddings is at most `target`, with each side's fastest
method, where classes are apart (spread 3) and where they overlap (spread 6). Ours: `linear.linear_step` over all
embeddings, from the prototypes' head, as `adapt --solver gradient` does for each head that it compares. PyTorch: from its
own start, SGD or Adam on batches of 100, or L-BFGS on all, whichever is fastest. scikit-learn: LogisticRegression (L-BFGS)
from zero, with as many iterations as it needs. Learning rates are of one grid, the best one for each side; measuring the
loss is not timed. Each round runs PyTorch in its venv, then the others, all on one thread. A ratio is how many times as
long the peer takes, the median of rounds and their range.

Gradient steps can reach the targets; with a large enough rate, in one step. They cannot reach a much lower loss on classes
that overlap: at spread 6, with 4 classes of 256 values, no rate that was tried from 100 to 3000 came to 0.05 in 40 steps,
while LogisticRegression needs less than 20 iterations.

`adapt_ms` is the time of a whole adapt with those steps: eleven fits, ten of them to evaluate on held-out embeddings.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from side_by_side import ONE_THREAD, in_peers, options, ratio, show, versions

os.environ.update(ONE_THREAD)

import numpy as np

from edge_meta.benchmarking.timing import Work, median_seconds, seconds
from edge_meta.heads import linear
from edge_meta.heads.adaptation import AdaptationConfig
from edge_meta.types import Array, Integers

# How far embeddings lie from their class's center, in units of how far the centers lie from zero → the loss to reach.
TARGETS = {3: 0.05, 6: 0.4}
CASES = [(classes, dim, spread) for spread in TARGETS for classes in (4, 16) for dim in (256, 1024)]
SAMPLES, BATCH, STEPS, MOST_STEPS = 1024, 100, 500, 30
RATES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)  # of Adam, a hundredth
ROUNDS, REPEATS = 3, 3

Loss = Callable[[], float]
Start = Callable[[], tuple[Work, Loss]]  # makes a step and the loss


def task(classes: int, dim: int, spread: int) -> tuple[Array, Integers]:
    """Embeddings (M, D) of length 1 around their classes' centers, and labels (M,)."""
    rng = np.random.default_rng((classes, dim))
    labels = rng.permutation(np.arange(SAMPLES) % classes)
    around = rng.normal(size=(classes, dim))[labels] + spread * rng.normal(size=(SAMPLES, dim))
    return (around / np.linalg.norm(around, axis=1, keepdims=True)).astype(np.float32), labels


def batches(count: int) -> list[Integers]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, SAMPLES, BATCH) for _ in range(count)]


def until(start: Start, target: float) -> int | None:
    """Return how many steps training needs to the target, if fewer than `MOST_STEPS`."""
    step, loss = start()
    for taken in range(MOST_STEPS):
        if loss() <= target:
            return taken
        step()
    return None


def timed(start: Start, steps: int) -> float:
    """Return the median seconds of so many steps, including the start."""

    def run() -> None:
        step, _ = start()
        for _ in range(steps):
            step()

    return repeated(run)


def repeated(work: Work) -> float:
    """Return the median seconds of a few calls."""
    return median_seconds({"work": work}, REPEATS)["work"]


def fastest(starts: Iterator[tuple[str, Start]], target: float) -> dict[str, Any]:
    """Return the fastest of several methods to the target: its name, steps and seconds."""
    found = []
    for name, start in starts:
        steps = until(start, target)
        if steps is not None:
            found.append({"way": name, "steps": steps, "seconds": timed(start, steps)})
    return min(found, key=lambda each: each["seconds"])


def ours(embeddings: Array, labels: Integers, target: float) -> dict[str, Any]:
    classes = int(labels.max()) + 1
    truth = np.eye(classes, dtype=np.float32)[labels]

    def start(rate: float) -> tuple[Work, Loss]:
        weights, bias = linear.linear_from_prototypes(truth.T @ embeddings / truth.sum(axis=0)[:, None])

        def step() -> None:
            nonlocal weights, bias
            weights, bias, _ = linear.linear_step(embeddings, labels, weights, bias, rate)

        def loss() -> float:
            return float(linear.cross_entropy(embeddings @ weights + bias, labels)[0].mean())

        return step, loss

    def minibatch() -> None:
        weights, bias = np.zeros((embeddings.shape[1], classes), np.float32), np.zeros(classes, np.float32)
        for batch in drawn:
            weights, bias, _ = linear.linear_step(embeddings[batch], labels[batch], weights, bias, 0.1)

    drawn = batches(STEPS)
    best = fastest(((f"rate {rate}", partial(start, rate)) for rate in RATES), target)
    rate = float(best["way"].split()[1])
    config = AdaptationConfig("gradient", (rate,) * max(1, best["steps"]))
    prototypes = truth.T @ embeddings / truth.sum(axis=0)[:, None]
    return {
        "to_loss": best,
        "minibatch": repeated(minibatch),
        "adapt": seconds(lambda: config.fit(embeddings, labels, prototypes)),
    }


def torch_times(embeddings: Array, labels: Integers, target: float) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    x, y = torch.from_numpy(embeddings), torch.from_numpy(labels)
    classes = int(labels.max()) + 1
    cross_entropy = torch.nn.functional.cross_entropy
    drawn = [torch.from_numpy(batch) for batch in batches(max(STEPS, MOST_STEPS))]

    def start(make: Callable[[Any], Any], whole: bool = False) -> tuple[Work, Loss]:
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

    optim = torch.optim

    def starts() -> Iterator[tuple[str, Start]]:
        for rate in RATES:
            yield f"SGD, rate {rate}", partial(start, partial(optim.SGD, lr=rate))
            yield f"Adam, rate {rate / 100}", partial(start, partial(optim.Adam, lr=rate / 100))
        yield "L-BFGS", partial(start, partial(optim.LBFGS, max_iter=1, line_search_fn="strong_wolfe"), whole=True)

    return {
        "to_loss": fastest(starts(), target),
        "minibatch": timed(partial(start, partial(optim.SGD, lr=0.1)), STEPS),
    }


def scikit(embeddings: Array, labels: Integers, target: float) -> dict[str, Any]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    warnings.simplefilter("ignore", ConvergenceWarning)  # it is to stop at the target

    def fit(iterations: int) -> Any:
        # Without its penalty, which the others have not either; it stops at max_iter.
        return LogisticRegression(C=np.inf, tol=1e-12, max_iter=iterations).fit(embeddings, labels)

    def loss(fitted: Any) -> float:
        return float(linear.cross_entropy(fitted.decision_function(embeddings), labels)[0].mean())

    steps = next(steps for steps in range(1, MOST_STEPS) if loss(fit(steps)) <= target)
    return {"steps": steps, "seconds": repeated(partial(fit, steps))}


def main() -> None:
    given = options(__doc__)
    tasks = {"{} classes x {}, spread {}".format(*case): (*task(*case), TARGETS[case[-1]]) for case in CASES}
    if not given.peers:
        show({"versions": versions("torch"), "rows": {name: torch_times(*drawn) for name, drawn in tasks.items()}}, True)
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
