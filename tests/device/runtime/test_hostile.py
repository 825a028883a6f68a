"""Bundles come from downloads: whatever is in one, opening it gives a bundle or an error to act on, and soon."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import struct
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.device import altered, cli, complaint

from edge_meta.errors import BundleError, EdgeMetaError
from edge_meta.runtime.bundle import LARGEST_DIRECTORY, SHIPPED, Bundle
from edge_meta.runtime.graph_check import output_step, read_graph
from edge_meta.runtime.manifest import Manifest

MODEL = (SHIPPED / "omniglot.bundle" / "encoder.tflite").read_bytes()
MANIFEST = json.loads((SHIPPED / "omniglot.bundle" / "manifest.json").read_bytes())


# manifest.json

PATHS = [
    *((key,) for key in MANIFEST),
    *((key, inner) for key in ("input", "embedding", "head", "rejection", "files") for inner in MANIFEST[key]),
    ("signatures", "embed", "inputs", "image"),
]
EXTREMES = [10**400, -(2**63), 2**31, 65536, 1e308, float("nan"), float("inf"), "\x1b[2J", "\0", "../x", "é" * 200]
NUMBERS = st.integers() | st.floats(allow_subnormal=False)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(max_size=20) | st.sampled_from(EXTREMES)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4), max_leaves=8
)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=3))
def test_a_changed_manifest_is_read_or_a_bundle_error(changes: list[tuple[tuple[str, ...], Any]]) -> None:
    fields = copy.deepcopy(MANIFEST)
    for path, value in changes:
        inner: Any = fields
        with suppress(KeyError, TypeError, IndexError):  # one change may have removed what the next is about
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = value
    with suppress(BundleError):
        manifest = Manifest.from_json(json.dumps(fields), "it")
        assert 1 <= manifest.dim <= 65536
        assert 1 <= manifest.input_spec.height <= 4096
        assert manifest.quantization.isprintable()
        Manifest.from_json(manifest.to_json(), "it")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_as_a_manifest_are_a_bundle_error(content: bytes) -> None:
    with pytest.raises(BundleError):
        Manifest.from_json(content, "it")


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000, b'{"a":' * 100_000, b'{"format": ' + b"9" * 100_000 + b"}", b'{"format": 1e999}', b"\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0", b"null", b"1", b'"format"', b'{"format": 1}', b'{"format": true}',
        json.dumps(MANIFEST).replace('"dim"', '"dim": 5, "dim"').encode(),
        json.dumps(MANIFEST).replace('"training": {', '"training": {"x": NaN, ').encode(),
        json.dumps(MANIFEST).replace('"training": {', '"training": {"x": ' + "[" * 5000 + "]" * 5000 + ", ").encode(),
    ],
    ids=lambda content: repr(content[:20]),
)  # fmt: skip
def test_an_ambiguous_or_unreadable_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError):
        Manifest.from_json(content, "it")


def test_a_manifest_of_any_size_is_not_read(tmp_path: Path) -> None:
    folder = altered(tmp_path)
    with (folder / "manifest.json").open("ab") as file:
        file.truncate(1 << 40)  # of which the disk holds nothing
    with pytest.raises(BundleError, match=r"1,099,511,627,776 bytes where 1,048,576 are allowed"):
        Bundle.open(folder)


# encoder.tflite


def damaged(content: bytes, changes: list[tuple[float, int]]) -> bytes:
    """The content with bytes changed, most of them in the tables, which lie at both of its ends."""
    changed = bytearray(content)
    for where, value in changes:
        changed[int(where * len(changed))] = value
    return bytes(changed)


START = st.floats(0, 0.01, allow_subnormal=False)


@settings(max_examples=300)
@given(st.lists(st.tuples(START | st.floats(0.85, 0.9999), st.integers(0, 255)), min_size=1, max_size=40))
def test_a_damaged_model_has_a_graph_or_is_a_bundle_error(changes: list[tuple[float, int]]) -> None:
    with suppress(BundleError):
        model = damaged(MODEL, changes)
        output_step(model)
        for graph in read_graph(model):
            for operator in graph.operators:
                assert all(-1 <= index < len(graph.tensors) for index in operator.inputs + operator.outputs)


@given(st.floats(0, 1, exclude_max=True, allow_subnormal=False))
def test_a_model_cut_short_never_reaches_an_interpreter(fraction: float) -> None:
    with pytest.raises(BundleError, match=r"malformed|not a TFLite model"):
        read_graph(MODEL[: int(fraction * len(MODEL))])


@given(st.binary(max_size=300))
def test_any_bytes_after_the_identifier_are_a_bundle_error(rest: bytes) -> None:
    with pytest.raises(BundleError):
        read_graph(rest[:4].ljust(4, b"\0") + b"TFL3" + rest[4:])


def test_a_graph_is_read_as_it_is(bundle: Bundle) -> None:
    graphs = read_graph(MODEL)
    assert len(graphs) == len(bundle.manifest.signatures)
    embed = graphs[0]
    assert embed.tensors[embed.inputs[0]].shape == (1, *bundle.manifest.input_spec.shape)
    assert embed.tensors[embed.outputs[0]].shape == (1, bundle.manifest.dim)
    assert embed.operators[-1].outputs == embed.outputs
    step = output_step(MODEL)
    assert step is not None
    assert 0 < step < 1


def test_a_file_of_too_many_parts_is_refused() -> None:
    with pytest.raises(BundleError, match="too many parts"):
        read_graph(MODEL, most_parts=100)


def test_a_tensor_larger_than_any_device_is_refused() -> None:
    shape = struct.pack("<5I", 4, 1, 28, 28, 1)
    assert shape in MODEL
    with pytest.raises(BundleError, match=r"shape \[1, 65536, 65536, 1\]"):
        read_graph(MODEL.replace(shape, struct.pack("<5I", 4, 1, 65536, 65536, 1)))


def test_a_manifest_of_another_shape_than_the_model_is_refused(tmp_path: Path) -> None:
    folder = altered(tmp_path, lambda fields: fields["input"].update(height=4096, width=4096))
    result = cli("classify", folder, "x.png", code=1)
    assert "(1, 4096, 4096, 1)" in result.stderr


# The zip


def zip_of(folder: Path, members: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip of the shipped bundle, and of more members, into a folder."""
    path = folder / "made.zip"
    with zipfile.ZipFile(path, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile's own, of a name that is there already
        for file in sorted((SHIPPED / "omniglot.bundle").iterdir()):
            archive.write(file, file.name)
        for name, content in (members or {}).items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["../../escaped", "/etc/escaped", "C:\\escaped", "a/../../escaped", "\x1b[2J"])
def test_members_with_other_names_are_never_unpacked(tmp_path: Path, name: str) -> None:
    opened = Bundle.open(zip_of(tmp_path, {name: b"anything"}))
    assert opened.model == MODEL
    assert sorted(os.listdir(tmp_path)) == ["made.zip"]


@pytest.mark.parametrize("name", ["encoder.tflite", "manifest.json", "README.md"])
def test_two_members_of_one_name_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="two members of one name"):
        Bundle.open(zip_of(tmp_path, {name: b"another"}))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_compressions_are_refused(tmp_path: Path, compression: int) -> None:
    with pytest.raises(BundleError, match="another way than by deflate"):
        Bundle.open(zip_of(tmp_path, compression=compression))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = bytes(200_000)
    fields = copy.deepcopy(MANIFEST)
    fields["files"]["bomb"] = hashlib.sha256(zeros).hexdigest()
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(fields))
        for name in ("encoder.tflite", "README.md"):
            archive.write(SHIPPED / "omniglot.bundle" / name, name)
        archive.writestr("bomb", zeros)
    read = zipfile.ZipFile.read
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda self, info: read(self, info) if info.filename != "bomb" else 1 / 0)
    with pytest.raises(BundleError, match=r"200,000 bytes where [\d,]+ are allowed"):
        Bundle.open(tmp_path / "bomb.zip", largest=len(MODEL) + 100_000)


def test_a_member_larger_than_it_says_is_cut_and_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path, compression=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    at = content.rfind(b"PK\x01\x02")
    while b"encoder.tflite" not in content[at : at + 80]:
        at = content.rfind(b"PK\x01\x02", 0, at)
    content[at + 24 : at + 28] = struct.pack("<I", 1000)
    path.write_bytes(content)
    with pytest.raises(BundleError):
        Bundle.open(path)


@pytest.mark.parametrize("declared", [0xFFFFFFFE, 1 << 30])
def test_a_directory_that_says_it_is_huge_is_not_read(tmp_path: Path, declared: int) -> None:
    path = zip_of(tmp_path)
    content = bytearray(path.read_bytes())
    end = content.rfind(b"PK\x05\x06")
    content[end + 12 : end + 16] = struct.pack("<I", declared)
    path.write_bytes(content)
    with pytest.raises(BundleError):
        Bundle.open(path)


def test_more_members_than_a_bundle_has_are_not_listed(tmp_path: Path) -> None:
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    directory = entry * (LARGEST_DIRECTORY // len(entry) + 1)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(directory), 0, 0)
    (tmp_path / "many.zip").write_bytes(directory + end)
    with pytest.raises(BundleError, match=r"many\.zip"):
        Bundle.open(tmp_path / "many.zip")


def test_a_link_in_a_zip_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(json.dumps(MANIFEST).encode())
    link = zipfile.ZipInfo("manifest.json")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, str(secret))
    with pytest.raises(BundleError, match="damaged"):
        Bundle.open(tmp_path / "link.zip")


NAMES = ["manifest.json", "encoder.tflite", "README.md", "a/manifest.json", "/", "a\\b"]
ENTRIES = st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=50)), max_size=5)


@given(ENTRIES, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
def test_a_zip_of_anything_is_an_error(tmp_path: Path, entries: list[tuple[str, bytes]], compression: int) -> None:
    with zipfile.ZipFile(tmp_path / "any.zip", "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for name, content in entries:
            archive.writestr(name, content)
    with pytest.raises(BundleError):
        Bundle.open(tmp_path / "any.zip")


# The folder


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
@pytest.mark.parametrize("name", ["manifest.json", "encoder.tflite", "README.md", ""])
def test_a_pipe_does_not_keep_anybody_waiting(tmp_path: Path, name: str) -> None:
    folder = altered(tmp_path)
    pipe = folder / name if name else tmp_path / "pipe"
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    with pytest.raises(BundleError):
        Bundle.open(folder if name else pipe)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_an_endless_file_is_not_read(tmp_path: Path) -> None:
    folder = altered(tmp_path)
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to("/dev/zero")
    with pytest.raises(BundleError, match=r"README\.md is not a file"):
        Bundle.open(folder)


@settings(max_examples=40)
@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: b"SQLite format 3\0" + rest))
def test_a_seed_of_any_bytes_is_an_error_and_leaves_no_store(tmp_path: Path, seed: bytes) -> None:
    shutil.rmtree(tmp_path / "altered.bundle", ignore_errors=True)
    opened = Bundle.open(altered(tmp_path, files={"prototypes.db": seed}))
    store = tmp_path / "new" / "store.db"
    with pytest.raises(EdgeMetaError):
        opened.open_store(store)
    assert not store.exists()


def test_inspect_says_what_is_wrong_in_one_paragraph(tmp_path: Path) -> None:
    folder = altered(tmp_path, files={"prototypes.db": b"no store"})
    assert "not a store" in complaint(cli("inspect", folder, code=1))
    (folder / "manifest.json").write_bytes(b"[" * 100_000)
    assert "damaged" in complaint(cli("inspect", folder, code=1))
