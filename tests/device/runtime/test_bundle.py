"""A bundle opens from a folder or a zip, or says what is wrong with it; it never does anything else."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.device import altered, bytes_in

from edge_meta.errors import BundleError
from edge_meta.runtime.bundle import SHIPPED, Bundle, shipped

FILES = ["manifest.json", "encoder.tflite", "README.md"]


def zipped(folder: Path, archive: Path, prefix: str = "", compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(archive, "w", compression) as file:
        for member in sorted(folder.iterdir()):
            file.write(member, prefix + member.name)
    return archive


def test_the_shipped_bundle_is_listed_and_opens_by_name(bundle: Bundle) -> None:
    assert "omniglot" in shipped()
    assert bundle.name == "omniglot"
    assert bundle.path == SHIPPED / "omniglot.bundle"
    assert bundle.manifest.input_spec.shape == (28, 28, 1)
    assert bundle.manifest.quantization == "int8"
    assert set(bundle.manifest.files) | {"manifest.json"} == {path.name for path in bundle.path.iterdir()}


@pytest.mark.parametrize("prefix", ["", "letters.bundle/", "deep/down/"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_the_same_bundle_flat_or_with_its_folder(
    bundle: Bundle, tmp_path: Path, prefix: str, compression: int
) -> None:
    opened = Bundle.open(zipped(bundle.path, tmp_path / "letters.bundle.zip", prefix, compression))
    assert opened.name == "letters"
    assert (opened.manifest, opened.model, opened.seed) == (bundle.manifest, bundle.model, bundle.seed)


def test_a_folder_is_opened_by_path(tmp_path: Path, bundle: Bundle) -> None:
    folder = altered(tmp_path)
    for source in (folder, str(folder), f"{folder}/"):
        assert Bundle.open(source).model == bundle.model
    assert Bundle.open(folder).name == "altered"


def test_a_seed_is_part_of_the_bundle(tmp_path: Path, bundle: Bundle) -> None:
    assert bundle.seed is None
    assert Bundle.open(altered(tmp_path, files={"prototypes.db": b"seed"})).seed == b"seed"


@pytest.mark.parametrize("name", ["nosuch", "no/such.bundle", "", "x" * 300, "a\0b"])
def test_a_missing_bundle_is_an_error_that_lists_the_shipped(name: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        Bundle.open(str(tmp_path / name) if name else name)
    assert name in caught.value.cause
    if name:
        assert "omniglot" in caught.value.remedy


@pytest.mark.parametrize("kind", ["folder", "file", "zip"])
def test_what_is_no_bundle_is_said_so(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "thing"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_bytes(b"anything else")
    else:
        zipped(tmp_path, path)
    with pytest.raises(BundleError, match="thing"):
        Bundle.open(path)


@pytest.mark.parametrize("name", ["mine.tflite", "mine.keras", "run/run.json", "saved/saved_model.pb"])
def test_a_plain_model_gets_the_command_that_makes_a_bundle(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"anything")
    source = file if file.parent == tmp_path else file.parent
    with pytest.raises(BundleError) as caught:
        Bundle.open(source)
    assert caught.value.cause == f"{source} is a plain model, not a bundle."
    made = source.with_suffix(".bundle")
    assert caught.value.remedy == f"Make a bundle first: edge-meta export {source} --output {made}"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("as_zip", [False, True])
def test_a_missing_file_is_named(tmp_path: Path, name: str, as_zip: bool) -> None:
    folder = altered(tmp_path)
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        Bundle.open(zipped(folder, tmp_path / "letters.zip") if as_zip else folder)


@pytest.mark.parametrize("name", ["encoder.tflite", "README.md"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "longer"])
@pytest.mark.parametrize("as_zip", [False, True])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, damage: str, as_zip: bool) -> None:
    folder = altered(tmp_path)
    content = (folder / name).read_bytes()
    middle = len(content) // 2
    damaged = {
        "truncated": content[:-1],
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "empty": b"",
        "longer": content + b"\n",
    }
    (folder / name).write_bytes(damaged[damage])
    with pytest.raises(BundleError, match=rf"{name} in .* is damaged: its checksum"):
        Bundle.open(zipped(folder, tmp_path / "letters.zip") if as_zip else folder)


def test_a_file_that_is_a_folder_is_an_error(tmp_path: Path) -> None:
    folder = altered(tmp_path)
    (folder / "README.md").unlink()
    (folder / "README.md").mkdir()
    with pytest.raises(BundleError):
        Bundle.open(folder)


def test_a_manifest_that_is_not_json_is_damaged(tmp_path: Path) -> None:
    folder = altered(tmp_path)
    (folder / "manifest.json").write_text("not JSON")
    with pytest.raises(BundleError, match="damaged"):
        Bundle.open(folder)


def test_a_newer_format_asks_for_a_newer_edge_meta_first(tmp_path: Path) -> None:
    folder = altered(tmp_path, lambda fields: fields.update(format=2))
    (folder / "encoder.tflite").unlink()
    with pytest.raises(BundleError, match=r"format 2.*upgrade"):
        Bundle.open(folder)


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "..", ".", "", "a\0b", "\ud800", "x" * 300])
@pytest.mark.parametrize("as_zip", [False, True])
def test_a_manifest_cannot_reach_outside_of_its_bundle(tmp_path: Path, name: str, as_zip: bool) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    folder = altered(tmp_path, lambda fields: fields["files"].update({name: "00" * 32}))
    with pytest.raises(BundleError):
        Bundle.open(zipped(folder, tmp_path / "letters.zip") if as_zip else folder)


@pytest.fixture(scope="module", params=["ZIP_STORED", "ZIP_DEFLATED"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zip") / "whole.zip"
    return zipped(SHIPPED / "omniglot.bundle", path, compression=getattr(zipfile, request.param))


@given(st.floats(0, 1, exclude_max=True, allow_subnormal=False))
def test_a_zip_cut_short_is_an_error(archive: Path, tmp_path: Path, fraction: float) -> None:
    path, content = tmp_path / "cut.zip", archive.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(BundleError, match=r"cut\.zip"):
        Bundle.open(path)


# Files' bytes, a header at the start, the directory at the end.
@given(st.integers(0, 100_000) | st.integers(0, 99) | st.integers(-300, -5), st.binary(min_size=1, max_size=4))
def test_a_damaged_zip_opens_whole_or_is_an_error(archive: Path, tmp_path: Path, at: int, damage: bytes) -> None:
    path, content = tmp_path / "damaged.zip", archive.read_bytes()
    at %= len(content)
    path.write_bytes(content[:at] + damage + content[at + len(damage) :])
    with suppress(BundleError):
        assert Bundle.open(path).model == (SHIPPED / "omniglot.bundle" / "encoder.tflite").read_bytes()


def test_a_zip_with_a_password_is_an_error(bundle: Bundle, tmp_path: Path) -> None:
    path = zipped(bundle.path, tmp_path / "locked.zip")
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(signature)
        while at >= 0:
            content[at + flags] |= 1
            at = content.find(signature, at + 1)
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"locked\.zip"):
        Bundle.open(path)


def test_opening_changes_nothing(tmp_path: Path) -> None:
    folder = altered(tmp_path, files={"prototypes.db": b"seed"})
    before = bytes_in(folder)
    Bundle.open(folder)
    assert bytes_in(folder) == before
    assert {path.name for path in folder.iterdir()} == {*FILES, "prototypes.db"}


def test_a_folder_of_its_name_does_not_hide_a_shipped_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "omniglot").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Bundle.open("omniglot").path.parent.name == "bundles"


def test_the_default_store_is_the_same_for_every_path_spelling(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(bundle.path)
    assert Bundle.open(".").store_path() == Bundle.open("omniglot").store_path()
