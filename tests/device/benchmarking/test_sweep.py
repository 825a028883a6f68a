"""The sweep over backends, each in a process of its own."""

from __future__ import annotations

import math

import pytest

from edge_meta.benchmarking import sweep
from edge_meta.benchmarking.encoder_process import EncoderProcess
from edge_meta.errors import BackendError
from edge_meta.runtime.backends import BACKENDS, DEFAULT, RuntimeOptions, backend_module
from edge_meta.runtime.bundle import Bundle


def works(backend: str) -> bool:
    try:
        return backend_module(backend) is not None
    except ImportError:
        return False


def test_variants_are_numbers_of_threads_and_backends() -> None:
    chosen = RuntimeOptions("litert", threads=2, delegate="x.so", fallback="cpu")
    variants = sweep.variants(chosen, ["litert", "tflite"], 2)
    assert [(each.backend, each.threads, each.xnnpack, each.delegate) for each in variants] == [
        ("litert", 2, True, "x.so"),
        ("litert", 2, True, None),
        ("litert", 1, True, None),
        ("litert", 2, False, None),
        ("tflite", 2, True, None),
        ("tflite", 2, False, None),
    ]
    assert [each.threads for each in sweep.variants(RuntimeOptions("litert"), [], 8)] == [1, 2, 4]


def test_variants_run_or_tell_why_they_do_not(bundle: Bundle) -> None:
    missing = next(name for name in BACKENDS if not works(name))
    runs = next(name for name in BACKENDS if works(name))
    chosen = [RuntimeOptions(runs), RuntimeOptions(runs, xnnpack=False), RuntimeOptions(missing)]
    first, plain, failed = sweep.side_by_side(bundle, chosen, runs=12, limit=math.inf)
    assert first.embed is not None
    assert plain.embed is not None
    assert first.ratio == 1.0
    assert plain.ratio == pytest.approx(plain.embed.p50_us / first.embed.p50_us, abs=0.01)
    assert first.embed.runs == plain.embed.runs == 12
    assert first.load_ms is not None
    assert first.load_ms > 0
    assert failed.error is not None
    assert "No interpreter can be used" in failed.error
    assert (failed.load_ms, failed.embed, failed.ratio) == (None, None, None)


def test_a_process_that_dies_is_an_error(bundle: Bundle) -> None:
    with EncoderProcess(bundle) as process:
        process.process.kill()
        process.process.wait()
        with pytest.raises(BackendError, match="ended with code"):
            process.load(0, DEFAULT)
