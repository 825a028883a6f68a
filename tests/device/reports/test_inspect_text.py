"""The text of edge-meta inspect, from the facts that it prints as JSON."""

from __future__ import annotations

from typing import Any

from edge_meta.inputs import ImageInput
from edge_meta.reports.inspect_text import lines

FACTS: dict[str, Any] = {
    "bundle": "letters.bundle",
    "format": 1,
    "encoder_id": "0123456789abcdef" * 2,
    "input": ImageInput(28, 28).to_manifest(),
    "dim": 64,
    "metric": "squared_euclidean",
    "quantization": "int8",
    "model_bytes": 138128,
    "says_unknown": True,
    "upgrades": [],
    "store": "letters.db",
    "adapted": True,
    "migrated_from": [],
    "classes": [{"label": "alef", "shots": 1}],
}
RUN = {"backend": "litert", "xnnpack": False, "delegate": None, "difference": None, "steps": None, "within_step": None}
RUNTIME = {
    "backend": "litert",
    "threads": 2,
    "xnnpack": True,
    "delegate": "libedgetpu.so.1",
    "backends": [{"backend": "tflite", "version": None, "reason": "cannot be used: not installed"}],
    "runs": [
        RUN | {"refusal": "no such operator"},
        RUN | {"difference": 0.25},
        RUN | {"difference": 0.25, "steps": 2.0, "within_step": 0.94},
    ],
    "host": {"cpu": "A CPU", "cores": 4, "features": []},
}


def test_bundle_and_store_take_a_few_lines() -> None:
    assert list(lines(FACTS)) == [
        "letters.bundle: format 1, encoder 0123456789ab, int8, 138,128 bytes",
        "28×28×1 image → 64 values, squared_euclidean",
        "says unknown",
        "letters.db: 1 classes, adapted",
        "  alef: 1 shots",
    ]


def test_a_bundle_without_a_calibration_never_says_unknown() -> None:
    assert "never says unknown: it was exported without --calibration" in lines({**FACTS, "says_unknown": False})


def test_migrated_shots_name_their_encoder() -> None:
    ids = [
        {"id": "5f0c", "origin": "a" * 32, "migrated_from": None},
        {"id": "7e11", "origin": "b" * 32, "migrated_from": "c" * 32},
    ]
    text = list(lines({**FACTS, "classes": [{"label": "alef", "shots": 2, "ids": ids}]}))
    assert text[-2:] == ["    5f0c  from aaaaaaaa", "    7e11  from bbbbbbbb, migrated from encoder cccccccccccc"]


def test_a_file_without_signatures_ran_its_graph() -> None:
    assert (
        list(lines({**FACTS, "verified": {"backend": "litert", "signatures": {}}}))[-1] == "verified: litert ran its graph"
    )


def test_runs_say_how_far_apart_they_embed() -> None:
    assert list(lines({**FACTS, "runtime": RUNTIME}))[5:] == [
        "runs in litert: with XNNPACK, delegate libedgetpu.so.1, 2 thread(s)",
        "  tflite –: cannot be used: not installed",
        "largest difference of embeddings from those of the first:",
        "  litert, without XNNPACK: none; no such operator",
        "  litert, without XNNPACK: 0.25",
        "  litert, without XNNPACK: 0.25, 2 quantization steps; 94.0% of values within one",
        "A CPU, 4 cores: features unknown",
    ]
