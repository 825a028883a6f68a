"""A model runs in a child process first, and gives a report or an error here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from support.tflite import ADD_N, CUSTOM, FLOOR, one_operator

from edge_meta.errors import BackendError, BundleError
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.child_process import Exit
from edge_meta.runtime.interpreter import Encoder
from edge_meta.runtime.subprocess_check import check_model, report_of


def test_a_report_has_the_inputs_and_outputs_of_every_signature(bundle: Bundle) -> None:
    report = check_model(bundle.model)
    encoder, dim = Encoder(bundle.model), bundle.manifest.dim
    assert report.backend == encoder.backend
    given, taken = report.main.inputs[0], report.main.outputs[0]
    assert (given.shape, given.shape_signature, given.dtype) == ((1, 28, 28, 1), (1, 28, 28, 1), "float32")
    assert (taken.shape, taken.dtype, taken.quantization) == ((1, dim), "float32", None)
    assert given.index == encoder.interpreter.get_input_details()[0]["index"]
    assert set(report.signatures) == set(bundle.manifest.signatures)
    for name, signature in bundle.manifest.signatures.items():
        of = report.signatures[name]
        assert {tensor.name: list(tensor.shape) for tensor in of.inputs} == signature["inputs"]
        assert {tensor.name: list(tensor.shape) for tensor in of.outputs} == signature["outputs"]


def test_a_model_without_signatures_is_told_by_its_graph() -> None:
    report = check_model(one_operator(FLOOR))
    assert report.signatures == {}
    assert [(tensor.name, tensor.shape, tensor.dtype) for tensor in report.main.inputs] == [("tensor 0", (1, 4), "float32")]
    assert [tensor.name for tensor in report.main.outputs] == ["tensor 1"]


def test_an_operator_that_no_interpreter_has_is_named() -> None:
    with pytest.raises(BundleError, match=r"interpreter refuses .*Mystery"):
        check_model(one_operator(CUSTOM, "Mystery"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to a limit on address space")
def test_a_model_that_wants_all_memory_does_not_get_it() -> None:
    with pytest.raises(BundleError):
        check_model(one_operator(ADD_N, inputs=6, shape=(16384, 16384)))


def test_a_refusal_is_the_interpreters(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="not a TFLite model"):
        check_model(b"no model")


def test_a_backend_that_is_not_there_is_a_backend_error() -> None:
    with pytest.raises(BackendError, match="'onnx'"):
        check_model(b"", "onnx")


@pytest.mark.parametrize(
    ("answer", "doing"), [({"doing": "running subgraph 0"}, "running subgraph 0"), ({"report": {}}, "ending")]
)
def test_a_crash_is_named_with_what_was_being_done(answer: dict[str, Any], doing: str) -> None:
    with pytest.raises(BundleError, match=rf"crashed while it was {doing} \(signal SIGSEGV\)"):
        report_of(Exit(-11, answer, "signal SIGSEGV"))


def test_a_failed_exit_is_a_crash_with_its_reason() -> None:
    with pytest.raises(BundleError, match=r"while it was loading \(Check failed: 3 > 4\)"):
        report_of(Exit(3, {"doing": "loading"}, "Check failed: 3 > 4"))


@pytest.mark.parametrize("code", [None, 1])
def test_a_child_that_never_starts_is_a_backend_error(code: int | None) -> None:
    with pytest.raises(BackendError, match=r"No process could be started .*\(No module named edge_meta\)"):
        report_of(Exit(code, None, "No module named edge_meta"))


def test_a_child_that_takes_too_long_is_ended(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"The model was still not done after 0\.001 s"):
        check_model(bundle.model, seconds=0.001)


def test_what_lies_beside_a_bundle_is_not_imported(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 always looks into the current folder")
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
    monkeypatch.chdir(tmp_path)
    assert check_model(bundle.model).main.inputs
