"""NumPy's BLAS uses no more threads than the interpreter while a call runs, and as many as before after it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
from support.blas import USUAL, WatchedImage, numpy_threads, set_numpy_threads, usual_threads
from support.device import draw, mixed

from edge_meta import Classifier
from edge_meta.blas import Limited, SharedLimit
from edge_meta.errors import LabelError
from edge_meta.evaluation.evaluator import evaluate
from edge_meta.evaluation.protocol import EpisodeProtocol
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import open_encoder
from edge_meta.store.head_change import HeadChange
from edge_meta.store.store import Store


class WatchedStore(Store):
    """A store that notes the number of NumPy's threads when a call looks at it."""

    seen: set[int]

    def version(self) -> Any:
        self._note()
        return super().version()

    @contextmanager
    def adapting(self) -> Iterator[HeadChange]:
        with super().adapting() as change:
            self._note()
            yield change

    def _note(self) -> None:
        self.__dict__.setdefault("seen", set()).add(numpy_threads())


class Pool:
    """A pool of threads in name only."""

    def __init__(self, size: int) -> None:
        self.now, self.set = size, 0

    def size(self) -> int:
        return self.now

    def resize(self, size: int) -> None:
        self.now, self.set = size, self.set + 1


@pytest.fixture
def usual() -> Iterator[None]:
    with usual_threads():
        yield


@contextmanager
def watched(tmp_path: Path, threads: int = 1) -> Iterator[Classifier]:
    """A classifier with three labels, between which adapting pays."""
    bundle = Bundle.open("omniglot")
    store = WatchedStore(tmp_path / "store.db", bundle.manifest.encoder_id, bundle.manifest.dim)
    with Classifier(bundle, open_encoder(bundle, RuntimeOptions(threads=threads)), store) as classifier:
        for label in range(3):
            classifier.enroll(f"label {label}", mixed(label, 2))
        store.seen.clear()
        yield classifier


@pytest.mark.parametrize("solver", ["lda", "ridge", "gradient"])
def test_a_solver_has_one_thread_and_then_all(tmp_path: Path, usual: None, solver: str) -> None:
    with watched(tmp_path) as classifier:
        classifier.adapt(solver=solver)
        assert classifier.store.seen == {1}
        assert numpy_threads() == USUAL


@pytest.mark.parametrize("verb", ["classify", "enroll", "forget", "undo"])
def test_each_verb_has_one_thread_and_then_all(tmp_path: Path, usual: None, verb: str) -> None:
    with watched(tmp_path) as classifier:
        arguments: dict[str, list[Any]] = {"classify": [draw(0)], "enroll": ["new", [draw(5)]], "forget": ["label 1"]}
        getattr(classifier, verb)(*arguments.get(verb, []))
        assert classifier.store.seen == {1}
        assert numpy_threads() == USUAL


def test_an_image_is_resized_on_one_thread(tmp_path: Path, usual: None) -> None:
    with watched(tmp_path) as classifier:
        image = WatchedImage()
        classifier.classify(image)
        classifier.enroll("new", [image])
        assert image.seen == {1}


def test_the_interpreters_threads_are_the_limit(tmp_path: Path, usual: None) -> None:
    for threads, allowed in ((2, 2), (USUAL + 1, USUAL)):
        with watched(tmp_path / str(threads), threads) as classifier:
            classifier.classify(draw(0))
            assert classifier.store.seen == {allowed}


def test_an_error_leaves_the_threads_as_they_were(tmp_path: Path, usual: None) -> None:
    with watched(tmp_path) as classifier:
        with pytest.raises(LabelError, match="nosuch"):
            classifier.forget("nosuch")
        assert numpy_threads() == USUAL


def test_evaluation_has_one_thread_and_then_all(tmp_path: Path, usual: None) -> None:
    images = np.concatenate([mixed(label, 2) for label in range(3)])
    np.savez(tmp_path / "drawn.npz", x=images, y=np.repeat(["a", "b", "c"], 6))
    seen = set()
    protocol = EpisodeProtocol("all", 3, 2, 1, 2)
    found = evaluate(
        Bundle.open("omniglot"), f"npz:{tmp_path / 'drawn.npz'}", protocol, "linear",
        on_progress=lambda done, of: seen.add(numpy_threads()),
    )  # fmt: skip
    assert found.protocol == protocol
    assert seen == {1}
    assert numpy_threads() == USUAL


def test_overlapping_calls_of_threads_restore_the_number(usual: None) -> None:
    """Each thread leaves while another is still inside, and in the end none is."""
    limited, both = Limited(1), Barrier(2, timeout=60)

    def first() -> None:
        with limited:
            both.wait()  # the other is inside, too
        both.wait()

    other = Thread(target=first)
    other.start()
    with limited:
        both.wait()
        both.wait()  # the other, which came first or second, is gone
        assert numpy_threads() == 1
    other.join()
    assert numpy_threads() == USUAL


def test_many_calls_at_once_restore_the_number(usual: None) -> None:
    def calls(threads: int) -> None:
        for _ in range(300):
            with Limited(threads), Limited(2):
                pass

    with ThreadPoolExecutor(4) as executor:
        list(executor.map(calls, [1, 2, 1, USUAL]))
    assert numpy_threads() == USUAL


def test_the_least_of_overlapping_limits_holds() -> None:
    pool = Pool(8)
    limit, sizes = SharedLimit(pool), []
    for change, size in ((limit.add, 4), (limit.add, 1), (limit.add, 2), (limit.remove, 1), (limit.remove, 4)):
        change(size)
        sizes.append(pool.now)
    assert sizes == [4, 1, 1, 2, 2]
    limit.remove(2)
    assert pool.now == 8


def test_a_limit_never_raises_the_number() -> None:
    pool = Pool(1)
    limit = SharedLimit(pool)
    limit.add(4)
    limit.remove(4)
    assert (pool.now, pool.set) == (1, 0)


def test_a_number_that_the_application_sets_stays() -> None:
    pool = Pool(8)
    limit = SharedLimit(pool)
    pool.now = 4  # between calls
    limit.add(1)
    assert pool.now == 1
    limit.remove(1)
    assert pool.now == 4
    limit.add(1)
    pool.now = 6  # during a call
    limit.remove(1)
    assert pool.now == 6


def test_the_applications_number_between_calls_is_seen(usual: None) -> None:
    with ExitStack() as calls:
        calls.enter_context(Limited(1))
    set_numpy_threads(2)
    with Limited(1):
        assert numpy_threads() == 1
    assert numpy_threads() == 2
