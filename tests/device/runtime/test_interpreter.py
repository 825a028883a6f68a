"""The first interpreter that can be used is taken, or the error says why there is none."""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.device import draw

from edge_meta.choices import BACKENDS
from edge_meta.errors import BackendError, BundleError
from edge_meta.runtime.backends import PIP_PACKAGES, RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder

MODULES = {"litert": "ai_edge_litert.interpreter", "tflite": "tflite_runtime.interpreter", "tensorflow": "tensorflow"}


def install_only(monkeypatch: pytest.MonkeyPatch, bundle: Bundle, backends: Collection[str]) -> list[str]:
    """Let only these backends be installed, under NumPy 1; returns the growing list of those that are tried."""
    real, interpreter = importlib.import_module, type(Encoder(bundle.model).interpreter)
    tried: list[str] = []

    def import_module(name: str, package: str | None = None) -> Any:
        if name not in MODULES.values():
            return real(name, package)
        backend = next(key for key, module in MODULES.items() if module == name)
        tried.append(backend)
        if backend not in backends:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        others = SimpleNamespace(OpResolverType=None, load_delegate=None)
        module = SimpleNamespace(Interpreter=interpreter, experimental=others)
        return SimpleNamespace(lite=module) if backend == "tensorflow" else module

    monkeypatch.setattr(importlib, "import_module", import_module)
    monkeypatch.setattr(np, "__version__", "1.26.4")
    return tried


@pytest.mark.skipif("EDGE_META_BACKEND" not in os.environ, reason="CI says which interpreter its venv has")
def test_the_default_is_the_interpreter_of_this_venv(bundle: Bundle) -> None:
    assert Encoder(bundle.model).backend == os.environ["EDGE_META_BACKEND"]


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        (["litert", "tflite", "tensorflow"], "litert"),
        (["tflite", "tensorflow"], "tflite"),
        (["tensorflow"], "tensorflow"),
    ],
)
def test_the_first_that_is_installed_is_taken(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, there: list[str], taken: str
) -> None:
    tried = install_only(monkeypatch, bundle, there)
    assert Encoder(bundle.model).backend == taken
    assert tried == list(BACKENDS)[: list(BACKENDS).index(taken) + 1]


def test_without_any_interpreter_all_reasons_are_given(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = install_only(monkeypatch, bundle, [])
    with pytest.raises(BackendError) as caught:
        Encoder(bundle.model)
    assert tried == ["litert", "tflite", "tensorflow"]
    assert all(f"No module named {module!r}" in caught.value.cause for module in MODULES.values())
    assert "pip install ai-edge-litert" in caught.value.remedy


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_named_backend_is_the_only_one_tried(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    tried = install_only(monkeypatch, bundle, set(BACKENDS) - {backend})
    with pytest.raises(BackendError) as caught:
        Encoder(bundle.model, RuntimeOptions(backend=backend))
    assert tried == [backend]
    assert f"pip install {PIP_PACKAGES[backend]}" in caught.value.remedy


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(BackendError, match=r"'onnx'.*litert, tflite, tensorflow"):
        RuntimeOptions(backend="onnx")


def test_tflite_runtime_under_numpy_2_is_refused_with_the_reason(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = install_only(monkeypatch, bundle, ["tflite"])
    monkeypatch.setattr(np, "__version__", "2.1.3")
    with pytest.raises(BackendError, match=r"tflite-runtime needs numpy < 2, and numpy 2\.1\.3 is installed"):
        Encoder(bundle.model, RuntimeOptions(backend="tflite"))
    assert tried == []


@pytest.mark.parametrize("threads", [0, -1])
def test_fewer_than_one_thread_is_refused(threads: int) -> None:
    with pytest.raises(BackendError, match=f"{threads} threads"):
        RuntimeOptions(threads=threads)


def test_more_threads_give_the_same_embedding(bundle: Bundle) -> None:
    image = bundle.manifest.input_spec.normalize(draw(0)[None, :, :, None])
    np.testing.assert_array_equal(
        Encoder(bundle.model, RuntimeOptions(threads=2)).embed(image), Encoder(bundle.model).embed(image)
    )


def test_an_embedding_is_the_callers_own(bundle: Bundle) -> None:
    encoder, input_spec = Encoder(bundle.model), bundle.manifest.input_spec
    first = encoder.embed(input_spec.normalize(draw(0)[None, :, :, None]))
    copy = first.copy()
    second = encoder.embed(input_spec.normalize(draw(1)[None, :, :, None]))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, copy)
    assert first.shape == (encoder.dim,) == (bundle.manifest.dim,)
    assert first.dtype == np.float32
    assert encoder.input_shape == (1, *input_spec.shape)


@pytest.mark.parametrize("model", [b"", b"TFL3", b"\x1c\0\0\0TFL2" + bytes(100), b"PK\x03\x04" + bytes(100)])
def test_what_is_no_tflite_file_is_a_bundle_error(model: bytes) -> None:
    with pytest.raises(BundleError, match="not a TFLite model"):
        Encoder(model)


def test_an_interpreters_refusal_is_a_bundle_error_that_names_it(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: Any) -> None:
        raise ValueError("op CONV_2D is of version 99")

    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(Interpreter=refuse))
    with pytest.raises(BundleError, match=r"The litert interpreter refuses .*op CONV_2D is of version 99"):
        Encoder(bundle.model, RuntimeOptions(backend="litert"))
