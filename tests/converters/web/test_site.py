"""The folder that `export --target web` writes, with a stand-in for LiteRT.js."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.device import cli
from support.web import TOOL, WANTED, library, needs_node

from converters.targets import export_target
from converters.targets.web import PAGE, list_of_files
from converters.targets.web.litert_js import CORE, VERSION, LiteRtJs
from converters.targets.web.server import POLICY
from edge_meta import Classifier
from edge_meta.errors import ExportError
from edge_meta.runtime.bundle import Bundle
from edge_meta.store.archive import read_archive, write_archive


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("made")
    return export_target(Bundle.open("omniglot"), folder / "site", "web", litert_js=library(folder))


def test_a_site_is_the_bundle_with_a_page_and_opens_its_stores(site: Bundle, tmp_path: Path) -> None:
    source = Bundle.open("omniglot")
    assert site.model == source.model
    assert site.manifest.encoder_id == source.manifest.encoder_id
    assert site.manifest.signatures == source.manifest.signatures
    assert {path.name for path in site.path.iterdir()} == {"manifest.json", *site.manifest.files}
    assert {path.name for path in PAGE.iterdir()} <= set(site.manifest.files)
    with Classifier.load(site, tmp_path / "a.db") as classifier:
        classifier.enroll("white", np.full((1, 28, 28), 255, np.uint8))
        assert classifier.labels == ["white"]


def test_the_page_imports_only_files_of_its_own_folder(site: Bundle) -> None:
    for path in site.path.glob("*.js"):
        for name in re.findall(r"(?:from|import)\s*\(?['\"]([^'\"]+)['\"]", path.read_text("utf-8")):
            assert (site.path / name).is_file(), (path.name, name)
    text = "".join(path.read_text("utf-8") for path in sorted(PAGE.iterdir()) if path.suffix not in {".png", ".svg"})
    assert re.findall(r"https?://\S+", text) == []


def test_files_lie_compressed_beside_themselves(site: Bundle) -> None:
    for name in ("encoder.tflite", "litert_wasm_internal.wasm", "app.js"):
        assert gzip.decompress((site.path / f"{name}.gz").read_bytes()) == (site.path / name).read_bytes()


def test_the_page_is_small_beside_its_runtime_and_encoder() -> None:
    files = (path for path in sorted(PAGE.iterdir()) if path.suffix != ".png")
    assert len(gzip.compress(b"".join(path.read_bytes() for path in files))) < 50_000


def test_a_changed_file_changes_the_version_that_is_kept() -> None:
    one, other = (list_of_files({"app.js": content, "a.wasm": b""}) for content in (b"1", b"2"))
    versions = [json.loads(each.decode().partition("= ")[2].rstrip(";\n")) for each in (one, other)]
    assert versions[0]["version"] != versions[1]["version"]
    assert versions[0]["files"] == ["app.js", "manifest.json"]


def test_the_bytes_of_a_site_are_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        export_target(Bundle.open("omniglot"), tmp_path / name, "web", litert_js=library(tmp_path))
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_seed_comes_along_as_the_page_reads_it(tmp_path: Path) -> None:
    source = Bundle.open("omniglot")
    with Classifier.load("omniglot", tmp_path / "a.db") as classifier:
        classifier.enroll("white", np.full((1, 28, 28), 255, np.uint8))
    seeded = Bundle(source.path, "seeded", source.manifest, source.model, (tmp_path / "a.db").read_bytes())
    made = export_target(seeded, tmp_path / "site", "web", litert_js=library(tmp_path))
    read_archive(made.path / "seed.npz", tmp_path / "b.db", made.manifest.encoder_id, made.manifest.dim)
    with Classifier.load("omniglot", tmp_path / "b.db") as classifier:
        assert classifier.labels == ["white"]
        write_archive(classifier.store, tmp_path / "c.npz")


def test_headers_and_page_state_one_policy() -> None:
    stated = re.findall(r'Content-Security-Policy" content="([^"]+)"', (PAGE / "index.html").read_text("utf-8"))
    assert stated == [POLICY.replace("; frame-ancestors 'none'", "")]


@pytest.mark.parametrize("archived", [False, True])
def test_the_library_is_read_and_ready_for_one_folder(tmp_path: Path, archived: bool) -> None:
    found = library(tmp_path, archived).read()
    assert found["litert.js"] == b'import {load} from "./wasm_utils.js";\n\n'
    assert found["litert_wasm_internal.wasm"] == bytes(3000)
    if archived:
        of_file = LiteRtJs(tmp_path / CORE.archive, tmp_path, WANTED)
        assert of_file.read() == found


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    source = library(tmp_path)
    (tmp_path / "node_modules/@litertjs/core/wasm/litert_wasm_internal.wasm").write_bytes(bytes(2999))
    with pytest.raises(ExportError, match=rf"is not that of version {VERSION}"):
        export_target(Bundle.open("omniglot"), tmp_path / "site", "web", litert_js=source)
    assert not (tmp_path / "site").exists()


def test_a_folder_without_the_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"has no \S+ of @litertjs/core"):
        LiteRtJs(tmp_path, tmp_path, WANTED).read()


def test_without_npm_the_error_says_how_to_give_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match=r"there is no npm.*--litert-js FOLDER"):
        LiteRtJs(None, tmp_path / "cache", WANTED).read()


def test_what_npm_has_fetched_once_is_taken_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library(tmp_path, archived=True)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert set(LiteRtJs(None, tmp_path, WANTED).read()) == set(WANTED)


@needs_node
def test_esbuild_makes_one_script_of_the_page_for_each_thread(tmp_path: Path) -> None:
    notes: list[str] = []
    source = library(tmp_path, with_esbuild=True)
    made = export_target(Bundle.open("omniglot"), tmp_path / "site", "web", on_note=notes.append, litert_js=source)
    scripts = {path.name: path.read_text("utf-8") for path in made.path.glob("*.js") if path.name != "files.js"}
    assert set(scripts) == {"app.js", "worker.js", "sw.js", "recorder.js", "litert_wasm_internal.js"}
    # What defines names for other scripts must keep them.
    assert [name for name, content in scripts.items() if "--bundle" not in content] == ["litert_wasm_internal.js"]
    assert all("--minify" in content for content in scripts.values())
    assert notes == []


def test_without_esbuild_the_page_is_as_it_is_and_a_note_says_so(tmp_path: Path) -> None:
    notes: list[str] = []
    export_target(Bundle.open("omniglot"), tmp_path / "site", "web", on_note=notes.append, litert_js=library(tmp_path))
    assert (tmp_path / "site" / "app.js").read_bytes() == (PAGE / "app.js").read_bytes()
    assert len(notes) == 1
    assert "npm install esbuild-wasm@" in notes[0]


@needs_node
@pytest.mark.parametrize("installed", [True, False])
def test_an_esbuild_that_fails_leaves_the_page_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    source = library(tmp_path, with_esbuild=True)
    if installed:
        failing = b"console.error('it is broken'); process.exit(1);"
        program = next(iter(TOOL.values()))
        (tmp_path / "node_modules" / program.package.name / program.path).write_bytes(failing)
        source = replace(source, tool={program.path: replace(program, sha256=hashlib.sha256(failing).hexdigest())})
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    notes: list[str] = []
    export_target(Bundle.open("omniglot"), tmp_path / "site", "web", on_note=notes.append, litert_js=source)
    assert (tmp_path / "site" / "app.js").read_bytes() == (PAGE / "app.js").read_bytes()
    assert ("it is broken" if installed else "There is no node") in notes[0]


def test_the_library_is_for_the_web_alone(tmp_path: Path) -> None:
    done = cli("export", "omniglot", "--target", "edgetpu", "--litert-js", tmp_path, "--output", tmp_path / "b", code=2)
    assert "--litert-js is for --target web" in done.output
