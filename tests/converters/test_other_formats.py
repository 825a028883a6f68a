"""Files that need another converter, and files that none takes: each has its own sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from support.device import cli

from converters import ModelOptions, export_bundle
from edge_meta.errors import ExportError
from edge_meta.runtime.interpreter import open_encoder


def venv(folder: Path, script: str) -> Path:
    """A folder like that of a venv, whose python runs a shell script in place of a converter."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / "python").chmod(0o755)
    return folder


def onnx(tmp_path: Path) -> Path:
    (tmp_path / "mine.onnx").write_bytes(b"a network")
    return tmp_path / "mine.onnx"


def refused(source: Path, tmp_path: Path, **options: object) -> ExportError:
    with pytest.raises(ExportError) as caught:
        export_bundle(source, tmp_path / "made.bundle", **options)
    assert not (tmp_path / "made.bundle").exists()
    assert "\n" not in str(caught.value)
    return caught.value


def log_of(error: ExportError) -> str:
    log = Path(error.remedy.rpartition(" ")[2])
    try:
        return log.read_text()
    finally:
        log.unlink()


@pytest.mark.parametrize(
    ("name", "says", "remedy"),
    [
        ("mine.h5", "Keras's older format", 'save("mine.keras")'),
        ("mine.hdf5", "Keras's older format", 'save("mine.keras")'),
        ("mine.pt", "PyTorch weights", '"mine.pt2"'),
        ("mine.pth", "PyTorch weights", '"mine.pt2"'),
        ("mine.KERAS", "capital letters", "Rename it to mine.keras"),
        ("mine.pb", "without its variables", "SavedModel"),
        ("mine.safetensors", "weights, not the network", "save it whole"),
        ("mine.xyz", "no kind that can be exported", ".keras, .tflite, .onnx or .pt2"),
    ],
)
def test_files_of_other_kinds_have_sentences_of_their_own(tmp_path: Path, name: str, says: str, remedy: str) -> None:
    (tmp_path / name).write_bytes(b"something")
    error = refused(tmp_path / name, tmp_path)
    assert says in error.cause
    assert remedy in error.remedy


@pytest.mark.parametrize("name", ["mine.onnx", "mine.keras", "mine.tflite", "mine.pt2", "mine"])
def test_a_missing_file_is_said_to_be_missing(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path / name, tmp_path).cause == f"{tmp_path / name} does not exist."


def test_a_finished_bundle_wants_another_target(tmp_path: Path) -> None:
    done = cli("export", "omniglot", "--output", tmp_path / "made.bundle", code=1)
    assert "omniglot is a finished bundle. Name another --target" in done.stderr


@pytest.mark.parametrize(("suffix", "package"), [("onnx", "onnx2tf"), ("pt2", "litert-torch")])
def test_without_a_converter_its_commands_are_printed(tmp_path: Path, suffix: str, package: str) -> None:
    (tmp_path / f"mine.{suffix}").write_bytes(b"a network")
    done = cli("export", tmp_path / f"mine.{suffix}", "--output", tmp_path / "made.bundle", code=1)
    assert f"python -m venv {package}-venv && {package}-venv/bin/pip install {package}" in done.stderr
    assert f"--converter {package}-venv" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for a converter is a shell script")
class TestConverter:
    def test_what_it_makes_is_exported(self, tmp_path: Path) -> None:
        model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(8)])
        model.export(tmp_path / "saved", verbose=False)
        # $0 -I -m onnx2tf -i SOURCE -o FOLDER
        script = f'test "$1 $2 $3 $4" = "-I -m onnx2tf -i" && test -z "$PYTHONPATH" && cp -r {tmp_path}/saved/. "$7"'
        notes: list[str] = []
        bundle = export_bundle(
            onnx(tmp_path),
            tmp_path / "made.bundle",
            quantize="float32",
            converter=venv(tmp_path / "venv", script),
            model_options=ModelOptions(input_kind="array"),
            on_note=notes.append,
        )
        assert f"converting with onnx2tf in {tmp_path / 'venv'}" in notes
        example = np.random.default_rng(0).normal(size=(1, 12)).astype("f4")
        np.testing.assert_allclose(open_encoder(bundle).embed(example), model(example).numpy()[0], atol=1e-5)
        training = bundle.manifest.training
        assert (training["source"], training["converter"]) == ("mine", "onnx2tf")
        assert training["parts"][0]["source"] == "mine.onnx"

    def test_its_failure_is_named_and_its_log_kept(self, tmp_path: Path) -> None:
        broken = venv(tmp_path / "venv", 'echo "first line"; echo "ERROR: no operator Foo" >&2; exit 1')
        error = refused(onnx(tmp_path), tmp_path, converter=broken)
        assert "mine.onnx cannot be converted by onnx2tf (ERROR: no operator Foo)" in error.cause
        assert log_of(error) == "first line\nERROR: no operator Foo\n"

    def test_success_without_a_result_is_a_failure(self, tmp_path: Path) -> None:
        error = refused(onnx(tmp_path), tmp_path, converter=venv(tmp_path / "venv", "exit 0"))
        assert "it said nothing" in error.cause
        assert log_of(error) == ""

    def test_a_venv_without_the_package_is_told_to_get_it(self, tmp_path: Path) -> None:
        bare = venv(tmp_path / "venv", 'echo "python: No module named onnx2tf" >&2; exit 1')
        error = refused(onnx(tmp_path), tmp_path, converter=bare)
        assert error.cause == f"{bare} has no onnx2tf."
        assert error.remedy == f"Run: {bare}/bin/python -m pip install onnx2tf"


def test_a_folder_that_is_no_venv_is_refused(tmp_path: Path) -> None:
    assert "is no venv" in refused(onnx(tmp_path), tmp_path, converter=tmp_path).cause


def test_a_converter_that_is_not_needed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.tflite").write_bytes(b"anything")
    assert "needs no converter" in refused(tmp_path / "mine.tflite", tmp_path, converter=tmp_path).cause


@pytest.mark.parametrize("address", ["hf://somebody/model/a.tflite", "https://example.org/a.keras"])
def test_an_address_is_fetched_first(address: str, tmp_path: Path) -> None:
    stderr = cli("export", address, "--output", tmp_path / "b", code=1).stderr
    assert f"{address} is not on this machine. Fetch it first: edge-meta get {address}" in " ".join(stderr.split())
