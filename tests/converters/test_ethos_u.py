"""`export --target ethos-u`: what is rewritten for the NPU gives the same, and Vela's report is told."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from support.device import cli, takes

from converters.targets import export_target, vela
from converters.targets.ethos_u import NpuEncoder, compare
from converters.targets.reference_kernels import run
from converters.tflite.edit import encoder_alone, serialize
from converters.tflite.model import ModelFile, OperatorInfo, TensorInfo
from converters.tflite.npu_rewrite import remove_unit_length, rewrite
from edge_meta.choices import ETHOS_U
from edge_meta.errors import BackendError, ExportError
from edge_meta.runtime.bundle import Bundle

needs_vela = pytest.mark.skipif(find_spec("ethosu") is None, reason="ethos-u-vela is not installed")
SHIPPED = ["gestures", "keywords", "objects", "omniglot"]
# Operators of each that are rewritten, and how near its embeddings stay: steps of int8, or a cosine where it ends in floats.
REWRITTEN = {
    "gestures": [],
    "keywords": ["L2_NORMALIZATION"],
    "objects": ["L2_NORMALIZATION"],
    "omniglot": ["REVERSE_V2", "MEAN"],
}


def examples(bundle: Bundle, count: int) -> np.ndarray:
    spec = bundle.manifest.input_spec
    drawn = spec.synthetic(np.random.default_rng(1), count)
    return np.stack([spec.normalize(example) for example in drawn])


# --- what is rewritten ------------------------------------------------------------------------------------------------


def test_letters_embed_equally_when_rewritten() -> None:
    bundle = Bundle.open("omniglot")
    encoder, letters = NpuEncoder.of(bundle), np.concatenate([takes(kind, 20) for kind in range(20)])
    drawn = bundle.manifest.input_spec.normalize(letters[..., None])
    assert compare(encoder, bundle, drawn) == {"cosine": 1.0, "steps": 0, "equal": 1.0}
    assert compare(encoder, bundle, examples(bundle, 400)) == {"cosine": 1.0, "steps": 0, "equal": 1.0}


def test_photos_stay_within_a_step_when_rewritten() -> None:
    bundle = Bundle.open("objects")
    found = compare(NpuEncoder.of(bundle), bundle, examples(bundle, 200))
    assert found["steps"] == 1
    assert found["equal"] > 0.6  # the unit length is no longer rounded, to 1/128, before the scale


@pytest.mark.parametrize("name", ["gestures", "keywords"])
def test_float_ends_stay_near_when_rewritten(name: str) -> None:
    bundle = Bundle.open(name)
    assert compare(NpuEncoder.of(bundle), bundle, examples(bundle, 200))["cosine"] > 0.999


@pytest.mark.parametrize("name", SHIPPED)
def test_only_what_falls_to_the_cpu_is_rewritten(name: str) -> None:
    assert list(NpuEncoder.of(Bundle.open(name)).rewritten) == REWRITTEN[name]


def test_ends_in_int8_are_kept_and_floats_too() -> None:
    letters, words = NpuEncoder.of(Bundle.open("omniglot")), NpuEncoder.of(Bundle.open("keywords"))
    assert letters.input is not None
    assert letters.output is not None
    assert (letters.input.dtype, letters.output.dtype) == ("int8", "int8")
    assert (words.input, words.output) == (None, None)


def test_the_unit_length_goes_into_the_manifest() -> None:
    encoder = NpuEncoder.of(Bundle.open("objects"))
    assert "L2_NORMALIZATION" not in [operator.name for operator in ModelFile.parse(encoder.model).subgraphs[0]]
    embeddings = encoder.embed(examples(Bundle.open("objects"), 3))
    assert encoder.normalization is not None
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), encoder.normalization.scale, rtol=1e-5)


@pytest.mark.skipif(find_spec("tflite_micro") is None, reason="tflite-micro is not installed")
@pytest.mark.parametrize(("name", "steps"), [("gestures", None), ("keywords", None), ("objects", 1), ("omniglot", 0)])
def test_tflite_micro_runs_what_vela_is_given(name: str, steps: int | None) -> None:
    from tflite_micro.python.tflite_micro import runtime

    bundle = Bundle.open(name)
    encoder, given = NpuEncoder.of(bundle), examples(bundle, 10)
    given = given if encoder.input is None else encoder.input.quantized(given)
    interpreter, found = runtime.Interpreter.from_bytes(encoder.model, arena_size=1 << 24), []
    for example in given:
        interpreter.set_input(example[None], 0)
        interpreter.invoke()
        found.append(interpreter.get_output(0)[0].astype(np.float64))
    expected = run(encoder.model, given).astype(np.float64)
    if steps is not None:
        assert np.abs(np.array(found) - expected).max() <= steps
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((np.array(found) * expected).sum(axis=1) / lengths).min() > 0.999


def test_a_file_without_such_operators_stays_as_it_is() -> None:
    encoder = NpuEncoder.of(Bundle.open("omniglot"))
    model = encoder_alone(encoder.model)
    assert rewrite(model) == []
    assert remove_unit_length(model) is None
    assert ModelFile.parse(serialize(model)).subgraphs == ModelFile.parse(encoder.model).subgraphs


# --- Vela -------------------------------------------------------------------------------------------------------------


def test_without_vela_the_package_is_named() -> None:
    nowhere = (sys.executable, "-IS", "-m", "ethosu.vela")
    with pytest.raises(BackendError, match=r'pip install "edge-meta\[ethos-u\]"'):
        vela.version(nowhere)


def test_what_is_left_in_a_compiled_file_runs_on_the_cpu() -> None:
    def operator(name: str, dtype: str = "int8") -> OperatorInfo:
        tensor = TensorInfo(0, dtype, (1, 4), (), (), b"")
        return OperatorInfo(name, {}, (tensor, None), (tensor,))

    source = [operator("QUANTIZE", "float32"), operator("CONV_2D"), operator("CONV_2D"), operator("GATHER")]
    compiled = [source[0], operator("custom ethos-u"), source[3]]
    assert vela.placement(source, compiled) == ({"CONV_2D": 2}, {"GATHER": 1, "QUANTIZE": 1}, 1)


@needs_vela
@pytest.mark.parametrize("name", SHIPPED)
def test_all_integer_operators_run_on_the_npu(name: str, tmp_path: Path) -> None:
    bundle = Bundle.open(name)
    made = export_target(bundle, tmp_path / "made.bundle", "ethos-u")
    target = made.manifest.target
    assert made.manifest.encoder_id == bundle.manifest.encoder_id
    assert sum(target["on_cpu"].values()) == target["float_on_cpu"]
    assert "CONV_2D" in target["on_npu"]
    assert "custom ethos-u" in [operator.name for operator in ModelFile.parse(made.model).subgraphs[0]]
    assert json.loads((made.path / "vela.json").read_text()) == {key: target[key] for key in target if key != "name"}
    estimates = target["vela_estimates"]
    assert estimates["sram_bytes"] > 0
    assert estimates["milliseconds"] == pytest.approx(estimates["cycles"] / estimates["clock_mhz"] / 1000, abs=1e-4)


@needs_vela
def test_the_page_has_the_estimates_of_this_vela(tmp_path: Path) -> None:
    target = export_target(Bundle.open("omniglot"), tmp_path / "made.bundle", "ethos-u").manifest.target
    page = (Path(__file__).parents[2] / "docs" / "ethos-u.md").read_text("utf-8")
    assert f"with Vela {target['vela']}." in page
    assert f"{target['vela_estimates']['cycles']:,} |" in page


@needs_vela
def test_a_chosen_configuration_is_compiled_for(tmp_path: Path) -> None:
    bundle = Bundle.open("gestures")
    cycles = []
    for config in ("ethos-u55-32", "ethos-u55-256"):
        target = export_target(bundle, tmp_path / config, "ethos-u", ethos_u_config=config).manifest.target
        assert target["config"] == config
        cycles.append(target["vela_estimates"]["cycles"])
    assert cycles[0] > cycles[1]


@needs_vela
def test_a_compiled_bundle_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    bundle = Bundle.open("gestures")
    one, other = (export_target(bundle, tmp_path / name, "ethos-u", overwrite=True) for name in ("a.zip", "b.zip"))
    assert one.path.read_bytes() == other.path.read_bytes()


@needs_vela
def test_vela_refuses_in_a_sentence() -> None:
    with pytest.raises(ExportError, match="Vela does not compile this encoder"):
        vela.compile_for(ETHOS_U[0], b"no model at all")


@needs_vela
def test_inspect_counts_a_board_with_vela_s_estimates(tmp_path: Path) -> None:
    export_target(Bundle.open("omniglot"), tmp_path / "npu", "ethos-u")
    found = json.loads(cli("inspect", tmp_path / "npu", "--board", "--json").stdout)
    estimates = found["target"]["vela_estimates"]
    assert found["board"]["arena_bytes"] == estimates["sram_bytes"]
    assert found["board"]["npu"]["milliseconds"] == estimates["milliseconds"]
    assert (found["board"]["boards"], found["board"]["instructions"]["embed"]) == ([], None)
    assert "ms to embed on the ethos-u55-256" in cli("inspect", tmp_path / "npu", "--board").stdout


@needs_vela
def test_a_finished_export_is_printed_and_inspected(tmp_path: Path) -> None:
    output = tmp_path / "npu.bundle"
    arguments = ("export", "omniglot", "--target", "ethos-u", "--ethos-u", "ethos-u65-512", "--output", output)
    printed = cli(*arguments).stdout
    assert "for ethos-u65-512\n" in printed
    assert "on the CPU: none\n" in printed
    inspected = cli("inspect", output, "--store", tmp_path / "store.db").stdout
    lines = printed.splitlines()[1:]
    assert len(lines) == 6
    assert "\n".join(lines) in inspected
    found = json.loads(cli("inspect", output, "--store", tmp_path / "store.db", "--json").stdout)
    assert found["target"] == Bundle.open(output).manifest.target


@pytest.mark.parametrize(
    "arguments", [("--target", "tflm", "--ethos-u", ETHOS_U[0]), ("--target", "ethos-u", "--ethos-u", "x")]
)
def test_a_configuration_that_does_not_apply_is_wrong_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert cli("export", "omniglot", *arguments, "--output", tmp_path / "made", code=2).stdout == ""
