"""Fresh processes: the parts of a cold start, and memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_meta import Classifier
from edge_meta.benchmarking.cold_start import PARTS, measure
from edge_meta.errors import BackendError
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder


def test_a_cold_start_is_made_up_of_its_parts(bundle: Bundle, classifier: Classifier, tmp_path: Path) -> None:
    image = np.zeros((28, 28, 1), np.uint8)
    classifier.enroll("ink", image[None])
    found = measure(bundle, classifier.store.path, classifier.encoder.options, image, tmp_path, starts=2)
    assert tuple(found.parts) == PARTS
    assert all(part > 0 for part in found.parts.values())
    # Of two processes, medians are means, which add up.
    assert sum(found.parts.values()) == pytest.approx(found.total_ms, abs=0.1)
    if found.peak_rss_mb is not None and found.steady_rss_mb is not None:
        assert 20 < found.steady_rss_mb <= found.peak_rss_mb < 300


def test_peak_memory_is_the_fresh_processs_own(bundle: Bundle, classifier: Classifier, tmp_path: Path) -> None:
    """A large parent, such as one that has just trained, must not show."""
    classifier.enroll("ink", np.zeros((1, 28, 28), np.uint8))
    ballast = bytearray(400_000_000)
    ballast[::4096] = b"\1" * len(ballast[::4096])
    options, image = classifier.encoder.options, np.zeros((28, 28, 1), np.uint8)
    peak = measure(bundle, classifier.store.path, options, image, tmp_path, starts=1).peak_rss_mb
    assert peak is None or peak < 300
    assert len(ballast)


def test_a_fresh_process_that_gives_no_answer_is_an_error(bundle: Bundle, tmp_path: Path) -> None:
    options = Encoder(bundle.model).options
    with pytest.raises(BackendError, match=r"could not classify .*Nothing is enrolled"):
        measure(bundle, tmp_path / "empty.db", options, np.zeros((28, 28, 1), np.uint8), tmp_path)
