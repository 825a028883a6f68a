"""The installed interpreters are listed, and agree on the embeddings of the shipped bundle."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest
from support.device import altered, cli, complaint, said
from support.tflite import CUSTOM, FLOOR, LOG, one_operator

from edge_meta.choices import BACKENDS
from edge_meta.errors import BundleError
from edge_meta.inputs import ArrayInput
from edge_meta.runtime.backend_comparison import BackendRun, availability, compare_backends, cpu_features, uses_xnnpack
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.graph_check import output_step
from edge_meta.runtime.interpreter import Encoder, open_encoder


@pytest.fixture(scope="module")
def found() -> list[BackendRun]:
    return compare_backends(Bundle.open("omniglot"))


def test_every_backend_is_listed_and_the_first_usable_one_taken(bundle: Bundle) -> None:
    told = {backend.backend: backend for backend in availability()}
    assert list(told) == list(BACKENDS)
    taken = Encoder(bundle.model).backend
    assert told[taken].usable
    assert told[taken].version is not None
    assert told[taken].reason == "the first that can be used"
    for backend in told.values():
        assert backend.usable == (backend.reason in ("the first that can be used", f"{taken} comes first"))
        assert backend.usable or backend.reason.startswith("cannot be used: ")


def test_a_backend_that_is_asked_for_is_the_one_taken(bundle: Bundle) -> None:
    last = [backend.backend for backend in availability() if backend.usable][-1]
    told = {backend.backend: backend.reason for backend in availability(last) if backend.usable}
    assert told.pop(last) == "asked for"
    assert set(told.values()) <= {f"{last} was asked for"}


def test_the_interpreters_own_kernels_agree_within_one_step(found: list[BackendRun]) -> None:
    own = [run for run in found if not run.xnnpack]
    assert {run.backend for run in own} == {backend.backend for backend in availability() if backend.usable}
    assert all(run.steps is not None and run.steps <= 1 for run in own)


def test_xnnpack_seldom_differs_by_more_than_one_step(found: list[BackendRun]) -> None:
    for run in found:
        assert run.steps is not None
        assert run.within_step is not None
        # Each of some twenty operators may add a step; 5 is the most that was seen, of 34,000 values.
        assert run.steps <= 8
        assert run.within_step >= 0.9


def test_xnnpack_is_in_use_only_where_it_has_something_to_run(bundle: Bundle) -> None:
    encoder = open_encoder(bundle)
    # tflite-runtime 2.14 hands no int8 operators to it, the others do.
    assert uses_xnnpack(bundle, encoder) == (encoder.backend != "tflite")
    assert not uses_xnnpack(bundle, open_encoder(bundle, RuntimeOptions(xnnpack=False)))


def of_four_values(bundle: Bundle, model: bytes) -> Bundle:
    """The bundle with a model from four float32 values to four."""
    return replace(bundle, model=model, manifest=replace(bundle.manifest, input_spec=ArrayInput((4,)), dim=4))


def test_a_backend_that_refuses_the_encoder_says_so(bundle: Bundle) -> None:
    found = compare_backends(of_four_values(bundle, one_operator(CUSTOM, "Mystery")))
    assert {run.difference for run in found} == {None}
    assert all("interpreter refuses the model" in str(run.refusal) for run in found)


def test_embeddings_that_are_not_finite_are_reported(bundle: Bundle) -> None:
    found = compare_backends(of_four_values(bundle, one_operator(LOG)))
    assert {(run.difference, run.refusal) for run in found} == {(None, "Its embeddings are not finite.")}


def test_backends_are_compared_on_arrays_too(bundle: Bundle) -> None:
    found = compare_backends(of_four_values(bundle, one_operator(FLOOR)))
    assert {(run.difference, run.steps) for run in found} == {(0.0, None)}


def test_a_scale_of_zero_gives_no_step(bundle: Bundle) -> None:
    step = output_step(bundle.model)
    assert step is not None
    assert output_step(bundle.model.replace(struct.pack("<f", step), struct.pack("<f", 0.0))) is None


@pytest.mark.parametrize("scale", [-1.0, float("nan"), float("inf")])
def test_a_scale_that_is_none_is_refused(bundle: Bundle, scale: float) -> None:
    step = output_step(bundle.model)
    assert step is not None
    with pytest.raises(BundleError, match="has the scale"):
        output_step(bundle.model.replace(struct.pack("<f", step), struct.pack("<f", scale)))


def test_the_step_is_that_of_the_last_quantized_tensor(bundle: Bundle) -> None:
    step = output_step(bundle.model)
    assert step is not None
    tensors = Encoder(bundle.model, RuntimeOptions(xnnpack=False)).interpreter.get_tensor_details()
    quantized = [tensor for tensor in tensors if tensor["shape"].tolist() == [1, bundle.manifest.dim]]
    assert step == pytest.approx(next(tensor["quantization"][0] for tensor in quantized if tensor["quantization"][0]))


def test_cpu_features_are_those_that_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    for told, features in [
        ("processor\t: 0\nflags\t\t: fpu avx2 sse4_2\n", ["avx2", "sse4_2"]),
        ("processor\t: 0\nFeatures\t: fp asimd asimddp\n", ["asimd", "asimddp"]),
        ("", []),
    ]:
        monkeypatch.setattr(Path, "read_text", lambda self, told=told: told)
        assert cpu_features() == features


# On the command line


def test_inspect_tells_what_runs_and_how_far_apart(bundle: Bundle) -> None:
    told = said(cli("inspect", "omniglot", "--runtime", "--json"))["runtime"]
    assert told.keys() == {
        *("backend", "threads", "xnnpack", "delegate", "accelerator", "placement", "backends", "runs", "host")
    }
    assert told["backend"] == Encoder(bundle.model).backend
    assert [backend["backend"] for backend in told["backends"]] == list(BACKENDS)
    assert told["runs"][0].keys() >= {"backend", "xnnpack", "delegate", "difference", "steps", "within_step"}
    assert told["host"].keys() >= {"cpu", "cores", "os", "python", "features"}
    text = cli("inspect", "omniglot", "--runtime", "--no-xnnpack").stdout
    assert f"runs in {told['backend']}: without XNNPACK, 1 thread(s)" in text
    assert "0 quantization steps; 100.0% of values within one" in text


def test_inspect_verifies_an_encoder_in_a_process_of_its_own(bundle: Bundle) -> None:
    verified = said(cli("inspect", "omniglot", "--verify", "--json"))["verified"]
    assert set(verified["signatures"]) == set(bundle.manifest.signatures)
    assert verified["main"]["inputs"][0]["shape"] == [1, *bundle.manifest.input_spec.shape]
    assert "ran embed, enroll, score, train_step" in cli("inspect", "omniglot", "--verify").stdout


def test_inspect_refuses_a_manifest_that_lists_other_signatures(tmp_path: Path) -> None:
    for index, change in enumerate(
        [
            lambda fields: fields["signatures"]["enroll"]["inputs"].update(counts=[65]),
            lambda fields: fields["signatures"].pop("score"),
            lambda fields: fields["signatures"].update(verify=3),
        ]
    ):
        folder = altered(tmp_path, change, name=f"{index}.bundle")
        assert "the manifest lists the signature" in complaint(cli("inspect", folder, "--verify", code=1))
        cli("inspect", folder)
