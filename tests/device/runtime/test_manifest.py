"""manifest.json: read back as written; newer ones are told apart from damaged ones; nothing absurd gets through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_meta.errors import BundleError
from edge_meta.heads.rejection import Rejection
from edge_meta.inputs import ImageInput
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding_map_record import EmbeddingMapRecord, MigrationAccuracy
from edge_meta.runtime.manifest import Manifest

WHOLE = Manifest(
    encoder_id="0123456789abcdef",
    files={"encoder.tflite": "ab" * 32, "README.md": "cd" * 32, "upgrade-old.f32": "ef" * 32},
    input_spec=ImageInput.for_shape((32, 48, 3)),
    dim=64,
    quantization="int8",
    learning_rates=(0.1, 0.05, 0.025),
    rejection=Rejection(0.05, (1, 20), (0.01, 0.2), (1, 5), (((4.0, 8.0), (2.0, 7.0)), ((3.0, 6.0), (1.5, 5.0))), 2.5),
    runtimes=("ai-edge-litert", "tflite-runtime 2.14"),
    signatures={"embed": {"inputs": {"image": [1, 32, 48, 3]}, "outputs": {"embedding": [1, 64]}}},
    parity={"cosine": {"p50": 0.999}},
    training={"dataset": "folder:фото 👴", "seed": None},
    target={"name": "tflm", "arena_bytes": 4096},
    embedding_maps=(
        EmbeddingMapRecord("old", 32, 0.01, 1.5, (0.6, 0.9), MigrationAccuracy(20, 5, 15, 1000, 0.99, 0.98, 0.01, 0.001)),
    ),
)

Path = tuple[Any, ...]


def fields_of(manifest: Manifest) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(manifest.to_json())
    return fields


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """List the path to each field of a JSON value."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from paths(child, (*path, key))


PATHS = list(paths(fields_of(WHOLE)))
NASTY = ["", ".", "..", "\0", "\ud800", "/", "../encoder.tflite", "x" * 300, "1e999", "NaN", "-1", "encoder.tflite"]
NUMBERS = st.integers() | st.floats(allow_subnormal=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5) | st.sampled_from([*NASTY, 10**400]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.sampled_from(NASTY), inner, max_size=3)
    ),
    max_leaves=5,
)


def changed(fields: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """The fields with another value at the path; `...` removes it."""
    parent: Any = fields
    for key in path[:-1]:
        parent = parent[key]
    if value is ...:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return fields


@pytest.mark.parametrize("manifest", [WHOLE, replace(WHOLE, rejection=None, target={}, embedding_maps=())])
def test_a_manifest_is_read_back_as_written(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json(), "it") == manifest
    assert Manifest.from_json(manifest.to_json().encode(), "it") == manifest


def test_the_shipped_manifest_is_read_back_as_written(bundle: Bundle) -> None:
    assert Manifest.from_json(bundle.manifest.to_json(), "it") == bundle.manifest


def test_the_contracts_fields_are_there() -> None:
    fields = fields_of(WHOLE)
    assert fields["format"] == 1
    assert fields["embedding"] == {"dim": 64, "metric": "squared_euclidean"}
    assert fields["input"].items() >= {"kind": "image", "height": 32, "width": 48, "channels": 3, "dtype": "uint8"}.items()
    assert fields["head"] == {"start": "prototypes", "steps": 3, "learning_rates": [0.1, 0.05, 0.025]}
    assert fields_of(replace(WHOLE, rates_learned=True))["head"] == {**fields["head"], "learned": True}
    assert {"encoder_id", "files", "quantization", "signatures", "rejection", "parity", "training"} <= fields.keys()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", "null", '"format"', "{}", "[" * 100_000, b"\xff\xfe\x00", b"\x00" * 50]
)
def test_what_is_not_json_or_has_no_format_is_damaged(text: str | bytes) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json in letters\.bundle is damaged"):
        Manifest.from_json(text, "letters.bundle")


@pytest.mark.parametrize("fields", [{"format": 2}, {**fields_of(WHOLE), "format": 17}])
def test_a_newer_format_asks_for_a_newer_edge_meta(fields: dict[str, Any]) -> None:
    with pytest.raises(BundleError) as caught:
        Manifest.from_json(json.dumps(fields), "letters.bundle")
    assert f"letters.bundle is of bundle format {fields['format']}" in caught.value.cause
    assert "upgrade" in caught.value.remedy


@pytest.mark.parametrize("version", [0, -1, "1", "banana", None, [1], 2.5])
def test_a_format_that_never_was_is_refused(version: object) -> None:
    with pytest.raises(BundleError):
        Manifest.from_json(json.dumps({**fields_of(WHOLE), "format": version}), "it")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("embedding", "dim"), 0),
        (("embedding", "dim"), -64),
        (("embedding", "dim"), 1e300),
        (("embedding", "metric"), "cosine"),
        (("input", "kind"), "sound"),
        (("files",), {}),
        (("files",), ["encoder.tflite"]),
        (("head", "learning_rates", 1), "fast"),
        (("head", "learning_rates", 1), float("nan")),
        (("head", "learning_rates"), 0.1),
        (("rejection", "far", 1, 1, 0), float("inf")),
        (("rejection", "far", 0, 0, 0), 0.0),
        (("rejection", "far", 0), [[4.0, 8.0]]),
        (("rejection", "shots"), [5, 1]),
        (("rejection", "shots"), [1, 2, 3]),
        (("rejection", "labels"), [20, 1]),
        (("rejection", "labels", 0), 0),
        (("rejection", "rates"), [0.2, 0.2]),
        (("rejection", "rates", 1), 1.0),
        (("rejection", "false_accept"), 0.3),
        (("rejection", "spread"), 0.0),
        (("rejection", "spread"), None),
        (("rejection",), 4.5),
        (("signatures",), 1),
        (("target",), 1),
        *(((key,), ...) for key in fields_of(WHOLE) if key not in ("format", "runtimes", "target", "upgrades")),
    ],
)
def test_missing_and_absurd_fields_are_refused(path: Path, value: Any) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json in it is damaged"):
        Manifest.from_json(json.dumps(changed(fields_of(WHOLE), path, value)), "it")


def test_a_manifest_from_before_runtimes_were_named_is_read() -> None:
    fields = fields_of(WHOLE)
    del fields["runtimes"]
    assert Manifest.from_json(json.dumps(fields), "it") == replace(WHOLE, runtimes=())


@pytest.mark.parametrize("encoder_id", ["", "../../../x", "a\0b", "\ud800", None])
def test_an_encoder_id_that_cannot_name_a_file_is_refused(encoder_id: Any) -> None:
    with pytest.raises(BundleError):
        Manifest.from_json(json.dumps({**fields_of(WHOLE), "encoder_id": encoder_id}), "it")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "a\\b", "..\\secret", ".."])
def test_files_outside_of_the_bundle_are_refused(name: str) -> None:
    fields = fields_of(WHOLE)
    fields["files"][name] = "ef" * 32
    with pytest.raises(BundleError):
        Manifest.from_json(json.dumps(fields), "it")


@given(st.sampled_from(PATHS), JSON | st.just(...))
@example(("embedding", "dim"), 10**400)
def test_any_changed_field_is_read_or_is_a_bundle_error(path: Path, value: Any) -> None:
    with suppress(BundleError):
        manifest = Manifest.from_json(json.dumps(changed(fields_of(WHOLE), path, value)), "it")
        assert 1 <= manifest.dim <= 65536
        assert "encoder.tflite" in manifest.files


@given(st.binary(max_size=200))
def test_any_bytes_are_a_bundle_error(content: bytes) -> None:
    with pytest.raises(BundleError):
        Manifest.from_json(content, "it")
