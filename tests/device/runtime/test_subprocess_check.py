"""A model is run in another process first; whatever becomes of that one, there is a report or an error here."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_meta.errors import BackendError, BundleError
from edge_meta.runtime import subprocess_check
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder
from edge_meta.runtime.subprocess_check import check_model

FLOOR, CUSTOM, ADD_N = 8, 32, 106  # in BuiltinOperator

Instead = Callable[[str], None]


@pytest.fixture
def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instead:
    """instead(code): the child runs this, with `answer(**fields)` to speak to its parent."""

    def run(code: str) -> None:
        program = tmp_path / "python"
        answer = "import json, os, signal, sys, time\ndef answer(**fields): print(json.dumps(fields), flush=True)"
        program.write_text(f"#!{sys.executable}\n{answer}\n{code}\n")
        program.chmod(0o755)
        monkeypatch.setattr(subprocess_check.sys, "executable", str(program))

    return run


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


def flatbuffer(root: Any) -> bytes:
    """A .tflite file from tables (dicts from field number to value), vectors (lists), texts, and numbers of 32 bits."""
    out = bytearray(b"\0\0\0\0TFL3")

    def place(thing: Any, slot: int) -> None:
        """Append what the offset in the slot is to point to."""
        if isinstance(thing, dict):
            vtable, count = len(out), max(thing, default=-1) + 1
            out.extend(struct.pack("<HH", 4 + 2 * count, 4 + 4 * count))
            out.extend(struct.pack(f"<{count}H", *(4 + 4 * field if field in thing else 0 for field in range(count))))
            out.extend(bytes(-len(out) % 4))
            at = len(out)
            out.extend(struct.pack("<i", at - vtable))
            values = [thing.get(field, 0) for field in range(count)]
        elif isinstance(thing, str):
            at = len(out)
            out.extend(struct.pack("<I", len(thing)) + thing.encode() + bytes(4 - len(thing) % 4))
            values = []
        else:
            at, values = len(out), thing
            out.extend(struct.pack("<I", len(thing)))
        struct.pack_into("<I", out, slot, at - slot)
        first = len(out)
        out.extend(bytes(4 * len(values)))
        for index, value in enumerate(values):
            if isinstance(value, int):
                struct.pack_into("<i", out, first + 4 * index, value)
            else:
                place(value, first + 4 * index)

    place(root, 0)
    return bytes(out)


def one_operator(code: int, name: str = "", inputs: int = 1, shape: tuple[int, ...] = (1, 4)) -> bytes:
    """A model of one operator, from as many float32 inputs to one output, all of one shape."""
    tensors = [{0: list(shape), 3: f"tensor {index}"} for index in range(inputs + 1)]
    given, taken = list(range(inputs)), [inputs]
    graph = {0: tensors, 1: given, 2: taken, 3: [{0: 0, 1: given, 2: taken}]}
    return flatbuffer({0: 3, 1: [{0: code, 1: name, 2: 1, 3: code}], 2: [graph], 4: [{}]})


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


def test_a_crash_is_named_with_what_was_being_done(instead: Instead) -> None:
    instead("answer(doing='running subgraph 0'); os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(BundleError, match=r"crashed while it was running subgraph 0 \(signal SIGSEGV\)"):
        check_model(b"")


def test_a_crash_after_the_report_is_one_too(instead: Instead) -> None:
    instead("answer(report={}); os.kill(os.getpid(), signal.SIGABRT)")
    with pytest.raises(BundleError, match=r"crashed while it was ending \(signal SIGABRT\)"):
        check_model(b"")


def test_a_child_that_hangs_is_ended(instead: Instead) -> None:
    instead("answer(doing='loading'); signal.pause()")
    with pytest.raises(BundleError, match=r"not done after 0\.3 s"):
        check_model(b"", seconds=0.3)


def test_an_exit_is_told_with_the_last_that_was_said(instead: Instead) -> None:
    instead("answer(doing='loading'); print('INFO: so far', 'Check failed: 3 > 4', sep='\\n', file=sys.stderr); sys.exit(3)")
    with pytest.raises(BundleError, match=r"while it was loading \(Check failed: 3 > 4\)"):
        check_model(b"")


@pytest.mark.parametrize("code", ["sys.exit('No module named edge_meta')", "answer(doing='x') if 0 else sys.exit(1)"])
def test_a_child_that_never_starts_is_a_backend_error(instead: Instead, code: str) -> None:
    instead(code)
    with pytest.raises(BackendError, match=r"No process could be started .*(No module named|said nothing)"):
        check_model(b"")


def test_no_python_is_a_backend_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(subprocess_check.sys, "executable", str(tmp_path / "nosuch"))
    with pytest.raises(BackendError, match="nosuch"):
        check_model(b"")


def test_what_lies_beside_a_bundle_is_not_imported(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 always looks into the current folder")
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
    monkeypatch.chdir(tmp_path)
    assert check_model(bundle.model).main.inputs
