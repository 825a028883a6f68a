"""The benchmark that comes with ai-edge-litert."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_meta.benchmarking import litert_benchmark
from edge_meta.errors import BackendError
from edge_meta.runtime.bundle import Bundle


def test_litert_benchmark_is_asked_when_it_is_there(bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    assert litert_benchmark.median_us(bundle, 3, 1, tmp_path) >= 0


def test_without_litert_benchmark_there_is_an_error(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="not installed"):
        litert_benchmark.median_us(bundle, 3, 1, tmp_path, tool="edge_meta.no_such_tool")
    with pytest.raises(BackendError, match=r"does not run here \(it ended with code 0 and said nothing\)"):
        litert_benchmark.median_us(bundle, 3, 1, tmp_path, tool="keyword")  # which runs, and writes no result
