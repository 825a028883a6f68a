"""One classifier under the load of many threads: every answer is one that some serial order of the calls allows."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.device import draw, takes

from edge_meta import Classifier
from edge_meta.errors import LabelError
from edge_meta.heads import linear
from edge_meta.heads.adaptation import AdaptationConfig
from edge_meta.runtime.bundle import Bundle

THREADS, CALLS, ROUNDS = 4, 4, 25
RATES = [0.01, 0.01]
REFUSED = "refused"  # a LabelError

Shots = tuple[int, ...]  # takes of one drawing
Labels = tuple[tuple[str, Shots], ...]  # in the order of their first enrollment


@dataclass(frozen=True)
class Call:
    """A call as a thread saw it: what was asked, what came back, and when."""

    verb: str
    label: str = ""
    shots: Shots = ()
    answer: Any = None
    begin: float = 0.0
    end: float = 0.0


@dataclass(frozen=True)
class Model:
    """The content of a store, as tuples: its labels with their shots, the adapted columns, and what undo would take back.

    A column is (label, the labels at the time of the adaptation). A log entry is (verb, label, shots, columns replaced).
    """

    labels: Labels = ()
    columns: frozenset[tuple[str, Labels]] = field(default_factory=frozenset)
    log: tuple[tuple[str, str, Shots, frozenset[tuple[str, Labels]]], ...] = ()

    def after(self, call: Call) -> tuple[Model, Any]:
        """The content after a change, and its answer."""
        shots = dict(self.labels)
        mine = frozenset(column for column in self.columns if column[0] == call.label)
        if call.verb == "enroll":
            shots[call.label] = (*shots.get(call.label, ()), *call.shots)
            log = (*self.log, ("enroll", call.label, call.shots, mine))
            done = (len(shots[call.label]), len(shots))
            return Model(tuple(shots.items()), self.columns - mine, log), done
        if call.verb == "forget" and call.label in shots:
            removed = len(shots.pop(call.label))
            # All heads go: a shot could be solved out of one that was fitted to it.
            log = tuple(
                (verb, label, taken, frozenset())
                for verb, label, taken, _ in self.log
                if verb == "enroll" and label != call.label
            )
            return Model(tuple(shots.items()), frozenset(), log), (removed, bool(self.columns))
        if call.verb == "adapt" and len(shots) >= 2:
            changed = call.answer != REFUSED and call.answer[1]  # held-out shots decide that, in any order of calls
            columns = frozenset((label, self.labels) for label in shots) if changed else frozenset()
            # Right after another, one that leaves the head as it is is no step.
            is_step = columns != self.columns or not self.log or self.log[-1][0] != "adapt"
            log = (*self.log, ("adapt", "", (), self.columns)) if is_step else self.log
            return Model(self.labels, columns, log), (len(shots), changed)
        if call.verb == "undo" and self.log:
            *log, (verb, label, taken, columns) = self.log
            if verb == "adapt":
                return replace(self, columns=columns, log=tuple(log)), ("adapt", None, 0)
            shots[label] = tuple(shot for shot in shots[label] if shot not in taken)
            kept = tuple(item for item in shots.items() if item[1])
            others = frozenset(column for column in self.columns if column[0] != label)
            return Model(kept, others | columns, tuple(log)), ("enroll", label, len(taken))
        return self, REFUSED


class Reference:
    """The answers of a classifier with a model's content, from float64 means."""

    def __init__(self, embed: Callable[[int], NDArray[np.float32]]) -> None:
        self.embed = cache(embed)
        self._columns = cache(self._adapted)

    def agrees(self, model: Model, call: Call) -> bool:
        """True if the classification's labels, distances and scores are those of the model."""
        if not model.labels or call.answer == REFUSED:
            return not model.labels and call.answer == REFUSED
        query = self.embed(call.shots[0]).astype(np.float64)
        means = np.stack([self._embeddings(shots).astype(np.float64).mean(axis=0) for _, shots in model.labels])
        names = [label for label, _ in model.labels]
        columns = {}
        for label, at in model.columns:
            weights, bias = self._columns(at)
            place = [name for name, _ in at].index(label)
            columns[names.index(label)] = weights[:, place], float(bias[place])
        weights, bias = linear.linear_from_columns(means.astype(np.float32), columns)
        logits = query @ weights + bias
        scores = np.exp(logits - np.logaddexp.reduce(logits))
        wanted = {name: (((query - mean) ** 2).sum(), score) for name, mean, score in zip(names, means, scores, strict=True)}
        return {near.label for near in call.answer} == set(wanted) and all(
            np.allclose((near.distance, near.score), wanted[near.label], rtol=1e-3, atol=1e-5) for near in call.answer
        )

    def _embeddings(self, shots: Shots) -> NDArray[np.float32]:
        return np.stack([self.embed(shot) for shot in shots])

    def _adapted(self, labels: Labels) -> tuple[Any, Any]:
        embeddings = np.concatenate([self._embeddings(shots) for _, shots in labels])
        owners = np.repeat(np.arange(len(labels)), [len(shots) for _, shots in labels])
        prototypes = np.stack([self._embeddings(shots).mean(axis=0) for _, shots in labels])
        return AdaptationConfig("gradient", tuple(RATES)).fit(embeddings, owners, prototypes).head


def serial_ends(reference: Reference, start: Iterable[Model], threads: list[list[Call]]) -> set[Model]:
    """All contents that the calls can leave behind, one after the other in some order that explains every answer.

    A call that returned before another began comes before it (Wing and Gong 1993). Empty if there is no such order.
    """
    ends: set[Model] = set()
    seen: set[tuple[Model, tuple[int, ...]]] = set()

    def search(model: Model, done: tuple[int, ...]) -> None:
        if (model, done) in seen:
            return
        seen.add((model, done))
        waiting = [(k, calls[done[k]]) for k, calls in enumerate(threads) if done[k] < len(calls)]
        if not waiting:
            ends.add(model)
        for k, call in waiting:
            if any(other.end < call.begin for _, other in waiting):
                continue
            then, answer = model.after(call)
            if reference.agrees(model, call) if call.verb == "classify" else answer == call.answer:
                search(then, (*done[:k], done[k] + 1, *done[k + 1 :]))

    for model in start:
        search(model, (0,) * len(threads))
    return ends


@pytest.fixture
def reference(classifier: Classifier) -> Reference:
    return Reference(lambda shot: classifier.embed(draw(shot % 3, shot)))


def called(classifier: Classifier, call: Call) -> Call:
    """The call with its answer and its times."""
    images = [draw(shot % 3, shot) for shot in call.shots]  # any label gets drawings of all kinds: a loss to lower
    verbs: dict[str, Callable[[], Any]] = {
        "classify": lambda: classifier.classify(images[0], top_k=99).top,
        "enroll": lambda: tuple(classifier.enroll(call.label, images))[2:],
        "forget": lambda: classifier.forget(call.label)[:2],
        "adapt": lambda: attrgetter("classes", "changed")(classifier.adapt(len(RATES), RATES[0])),
        "undo": lambda: (lambda undone: (undone.action, undone.label, undone.shots))(classifier.undo()),
    }
    begin = time.perf_counter()
    try:
        answer = verbs[call.verb]()
    except LabelError:
        answer = REFUSED
    return replace(call, answer=answer, begin=begin, end=time.perf_counter())


def test_a_serial_order_explains_every_answer_under_load(classifier: Classifier, reference: Reference) -> None:
    rng = np.random.default_rng(0)
    together = threading.Barrier(THREADS)
    shots = iter(range(10_000))
    possible, verbs = {Model()}, ["classify", "enroll", "forget", "adapt", "undo"]
    overlapping = 0

    def work(calls: list[Call]) -> list[Call]:
        together.wait(timeout=30)
        return [called(classifier, call) for call in calls]

    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(ROUNDS):
            plan = [
                [
                    Call(str(verb), f"label {rng.integers(4)}", tuple(next(shots) for _ in range(rng.integers(1, 4))))
                    for verb in rng.choice(verbs, CALLS, p=[0.4, 0.3, 0.1, 0.1, 0.1])
                ]
                for _ in range(THREADS)
            ]
            history = list(pool.map(work, plan))
            possible = serial_ends(reference, possible, history)
            assert possible, history
            # Now that nobody is at it, what the store holds is one of them.
            now = classifier.store.snapshot()
            counts = tuple(zip(now.labels, now.counts.tolist(), strict=True))
            possible = {model for model in possible if tuple((name, len(taken)) for name, taken in model.labels) == counts}
            assert possible
            flat = sorted((call.begin, call.end) for calls in history for call in calls)
            overlapping += sum(later[0] < earlier[1] for earlier, later in pairwise(flat))
    assert overlapping > ROUNDS * THREADS  # it was a load


def test_an_answer_from_before_a_finished_change_is_detected(classifier: Classifier, reference: Reference) -> None:
    enrolled = [called(classifier, Call("enroll", label, (shot,))) for shot, label in enumerate("ab")]
    before = called(classifier, Call("classify", shots=(5,)))
    changed = called(classifier, Call("enroll", "a", (4,)))
    after = called(classifier, Call("classify", shots=(5,)))
    assert serial_ends(reference, [Model()], [[*enrolled, before, changed, after]])
    late = replace(before, begin=after.begin, end=after.end)
    assert not serial_ends(reference, [Model()], [[*enrolled, changed], [late]])
    early = replace(before, begin=changed.begin, end=changed.end)
    assert serial_ends(reference, [Model()], [[*enrolled, changed], [early]])


# Two processes

OTHER = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from edge_meta import Classifier
with Classifier.load("omniglot", sys.argv[1]) as classifier, ThreadPoolExecutor(3) as pool:
    print("ready", flush=True)
    drawings = np.load(sys.stdin.readline().strip())
    def work(thread):
        for image in drawings[thread]:
            classifier.enroll(f"label {thread}", image[None])
            assert f"label {thread}" in {near.label for near in classifier.classify(image, 9).top}
    list(pool.map(work, range(3)))
"""


def test_two_processes_with_threads_may_share_a_store(classifier: Classifier, bundle: Bundle, tmp_path: Path) -> None:
    np.save(tmp_path / "theirs.npy", np.stack([takes(kind, 6) for kind in range(3)]))
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(classifier.store.path)],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other, ThreadPoolExecutor(3) as pool:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "ready\n"
        print(tmp_path / "theirs.npy", file=other.stdin, flush=True)

        def work(kind: int) -> None:
            for take in range(6, 12):
                classifier.enroll(f"label {kind}", draw(kind, take)[None])
                assert f"label {kind}" in {near.label for near in classifier.classify(draw(kind, take), 9).top}

        list(pool.map(work, range(3)))
    assert other.returncode == 0
    assert {label: classifier.shots(label) for label in classifier.labels} == {f"label {kind}": 12 for kind in range(3)}
    # The same shots in any order are the same bits.
    with Classifier.load(bundle, tmp_path / "alone.db") as alone:
        for label in classifier.labels:
            alone.enroll(label, takes(int(label[-1]), 12))
        assert classifier.classify(draw(0, 50)) == alone.classify(draw(0, 50))


def test_a_label_that_another_process_forgets_was_enrolled(
    classifier: Classifier, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    enroll_many = classifier.store.enroll_many

    def enroll_and_lose(shots: Mapping[str, NDArray[np.float32]]) -> None:
        enroll_many(shots)
        with bundle.open_store(classifier.store.path) as other:
            other.forget("alef")

    monkeypatch.setattr(classifier.store, "enroll_many", enroll_and_lose)
    assert tuple(classifier.enroll("alef", takes(0, 2))) == ("alef", 2, 0, 0)
    assert classifier.labels == []
