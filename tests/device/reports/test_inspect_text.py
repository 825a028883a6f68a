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
    "target": None,
    "upgrades": [],
    "store": "letters.db",
    "adapted": True,
    "migrated_from": [],
    "classes": [{"label": "alef", "shots": 1}],
    "none_shots": 0,
    "can_promise": True,
    "expected": None,
}
RUN = {
    "backend": "litert",
    "xnnpack": False,
    "delegate": None,
    "accelerator": None,
    "difference": None,
    "steps": None,
    "within_step": None,
}
RUNTIME = {
    "backend": "litert",
    "threads": 2,
    "xnnpack": True,
    "delegate": "libedgetpu.so.1",
    "accelerator": None,
    "placement": None,
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


def test_examples_of_none_and_what_to_expect_follow_the_labels() -> None:
    expected = {"false_accept": None, "rejected_known": 0.25, "none_accepted": 0.1}
    intervals = {"false_accept_ci95": None, "rejected_known_ci95": (0.1, 0.5), "none_accepted_ci95": (0.0, 0.4)}
    facts = FACTS | {"none_shots": 2, "can_promise": False, "expected": expected | intervals}
    assert list(lines(facts))[5:] == [
        "  none of these, never answered: 2 shots",
        "to expect: strangers accepted, by examples of none left out: 10 % (0 to 40 %)",
        "to expect: known examples called unknown, by shots left out: 25 % (10 to 50 %)",
        "With 1 label, no share of strangers can be promised yet: enroll more than 8, and show things that are none with "
        "edge-meta enroll BUNDLE --none FILE...",
    ]
    assert "    5f0c  from aaaaaaaa" in lines({**facts, "none_ids": [{"id": "5f0c", "origin": "a" * 32}]})


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
