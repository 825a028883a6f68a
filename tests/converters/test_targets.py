"""`export --target`: one encoder in the forms that boards, browsers and other compilers take, all with the same id."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from support.device import cli

import converters.targets
from converters import bundle_writer
from converters.targets import edgetpu, export_target, imprint, tflm, web
from converters.targets.integer import IntegerEncoder
from converters.targets.reference_kernels import run
from converters.tflite.edit import serialize
from converters.tflite.model import ModelFile, OperatorInfo, TensorInfo, parse
from edge_meta import Classifier
from edge_meta.choices import TARGETS
from edge_meta.errors import EdgeMetaError, ExportError, LabelError
from edge_meta.heads import linear
from edge_meta.inputs import ArrayInput, ImageInput
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.manifest import Manifest

micro = pytest.mark.skipif(find_spec("tflite_micro") is None, reason="tflite-micro is not installed")
EACH = [pytest.param("tflm", marks=micro), "edgetpu"]  # for web, see web/test_site.py
INPUT = ImageInput(16, 16)


@pytest.fixture(scope="module")
def bundle(converted: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A Conv4 of 8 filters, in int8, that embeds each image once."""
    return bundle_of(converted("int8"), tmp_path_factory.mktemp("bundle") / "small.bundle")


def bundle_of(model: bytes, path: Path) -> Bundle:
    signatures = {"embed": {"inputs": {"image": [1, 16, 16, 1]}, "outputs": {"embedding": [1, 8]}}, "score": {}}
    encoder_id = ModelFile.parse(model).encoder_id(INPUT.to_manifest())
    manifest = Manifest(encoder_id, {"encoder.tflite": ""}, INPUT, 8, "int8", (0.1,), signatures=signatures)
    manifest = replace(manifest, files={"encoder.tflite": hashlib.sha256(model).hexdigest()})
    bundle_writer.write(path, {"manifest.json": manifest.to_json().encode(), "encoder.tflite": model})
    return Bundle.open(path)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1000, 16, 16, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def store(bundle: Bundle, images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve labels with one to three shots each; not to be written to."""
    path = tmp_path_factory.mktemp("store") / "letters.db"
    with Classifier.load(bundle, path) as classifier:
        for label in range(12):
            classifier.enroll(f"class {label}", images[3 * label : 3 * label + 1 + label % 3])
    return path


# --- all targets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", EACH)
def test_a_targets_bundle_opens_stores_of_the_same_encoder(bundle: Bundle, store: Path, tmp_path: Path, target: str) -> None:
    made = export_target(bundle, tmp_path / "made.bundle", target)
    assert made.manifest.encoder_id == bundle.manifest.encoder_id
    assert made.manifest.target["name"] == target
    assert {path.name for path in made.path.iterdir()} == {"manifest.json", *made.manifest.files}
    with made.open_store(shutil.copy(store, tmp_path / "copy.db")) as kept:
        assert len(kept.snapshot().labels) == 12


@pytest.mark.parametrize("target", EACH)
@pytest.mark.parametrize("name", ["made.bundle", "made.zip"])
def test_the_bytes_are_the_same_each_time(bundle: Bundle, tmp_path: Path, target: str, name: str) -> None:
    one, other = (export_target(bundle, tmp_path / folder / name, target).path for folder in ("one", "other"))
    if name == "made.zip":
        assert one.read_bytes() == other.read_bytes()
    else:
        for path in one.iterdir():
            assert path.read_bytes() == (other / path.name).read_bytes()


@pytest.mark.parametrize("target", [pytest.param("tflm", marks=micro), "edgetpu"])
def test_the_integer_file_is_the_encoder_alone(bundle: Bundle, tmp_path: Path, target: str) -> None:
    made = export_target(bundle, tmp_path / "made.bundle", target)
    full, bare = ModelFile.parse(bundle.model), ModelFile.parse(made.model)
    (subgraph,) = bare.subgraphs
    assert bare.signatures == {"embed": 0}
    assert set(made.manifest.signatures) == {"embed"}
    ends = full.subgraphs[0][0], full.subgraphs[0][-1]
    assert [end.name for end in ends] == ["QUANTIZE", "DEQUANTIZE"]
    weights = [[tensor.data for tensor in operator.inputs if tensor] for operator in full.subgraphs[0][1:-1]]
    assert [[tensor.data for tensor in operator.inputs if tensor] for operator in subgraph] == weights
    for end, tensor in (("input", ends[0].outputs[0]), ("output", ends[1].inputs[0])):
        fields = {"dtype": "int8", "scale": tensor.scales[0], "zero_point": tensor.zero_points[0]}
        assert made.manifest.target[end] == fields


@pytest.mark.parametrize("target", ["tflm", "edgetpu"])
@pytest.mark.skipif(find_spec("tflite_micro") is None, reason="tflite-micro is not installed")
def test_an_encoder_in_float32_is_refused_and_nothing_is_written(
    converted: Callable[..., bytes], tmp_path: Path, target: str
) -> None:
    source = bundle_of(converted("float32"), tmp_path / "float.bundle")
    with pytest.raises(ExportError, match=r"Export it with --quantize int8"):
        export_target(source, tmp_path / "made.bundle", target)
    assert [path.name for path in tmp_path.iterdir()] == ["float.bundle"]


def test_targets_for_images_refuse_other_encoders(bundle: Bundle, store: Path, tmp_path: Path) -> None:
    vectors = replace(bundle, manifest=replace(bundle.manifest, input_spec=ArrayInput((16, 16, 1), "int32")))
    with pytest.raises(ExportError, match="takes arrays, and tflm is for images and for arrays of float32"):
        export_target(vectors, tmp_path / "board.bundle", "tflm")
    with pytest.raises(ExportError, match="takes arrays, and imprint is for images"):
        imprint(vectors, store, tmp_path / "letters.tflite")
    assert list(tmp_path.iterdir()) == []


def test_only_a_bundle_is_replaced_and_only_when_asked(bundle: Bundle, tmp_path: Path) -> None:
    made = export_target(bundle, tmp_path / "made.bundle", "edgetpu")
    with pytest.raises(ExportError, match="--overwrite"):
        export_target(bundle, made.path, "edgetpu")
    assert export_target(bundle, made.path, "edgetpu", overwrite=True).manifest.target["name"] == "edgetpu"
    (tmp_path / "photos").mkdir()
    with pytest.raises(ExportError, match="photos is not a bundle"):
        export_target(bundle, tmp_path / "photos", "edgetpu", overwrite=True)


def test_a_targets_bundle_is_no_source_of_another(bundle: Bundle, tmp_path: Path) -> None:
    made = export_target(bundle, tmp_path / "made.bundle", "edgetpu")
    with pytest.raises(ExportError, match=r"is made for edgetpu\. Name the bundle it came from"):
        export_target(made, tmp_path / "other.bundle", "web")


# --- tflm -------------------------------------------------------------------------------------------------------------


@micro
def test_tflm_embeds_as_the_reference_kernels_do(bundle: Bundle, images: np.ndarray) -> None:
    encoder = IntegerEncoder.of(bundle)
    exact = Interpreter(model_content=bundle.model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    exact.allocate_tensors()
    taken, given = exact.get_input_details()[0], exact.get_output_details()[0]
    for image in images[:20]:
        values = INPUT.normalize(image)[None]
        exact.set_tensor(taken["index"], values)
        exact.invoke()
        found = encoder.output.values(tflm.embed(encoder.model, encoder.input.quantized(values)))
        assert np.abs(found - exact.get_tensor(given["index"])[0]).max() <= 1.001 * encoder.output.scale
        assert np.ptp(found) > 10 * encoder.output.scale


@micro
def test_the_arena_is_just_large_enough(bundle: Bundle, tmp_path: Path) -> None:
    made = export_target(bundle, tmp_path / "made.bundle", "tflm")
    arena = made.manifest.target["arena_bytes"]
    assert made.manifest.target["cosine"] > 0.99
    image = np.zeros((1, 16, 16, 1), np.int8)
    assert tflm.embed(made.model, image, arena).shape == (8,)
    with pytest.raises(RuntimeError):
        tflm.embed(made.model, image, arena - 16)
    assert f"kArenaBytes = {arena};" in (made.path / "encoder.h").read_text()
    assert f"an arena of {arena:,} bytes" in (made.path / "README.md").read_text()


@micro
def test_an_encoder_that_comes_out_differently_is_refused(bundle: Bundle) -> None:
    encoder = IntegerEncoder.of(bundle)
    assert tflm.require_agreement(encoder, bundle) > 0.99
    off = replace(encoder, output=replace(encoder.output, zero_point=encoder.output.zero_point + 3))
    with pytest.raises(ExportError, match=r"up to [34] quantization steps from TFLite's"):
        tflm.require_agreement(off, bundle)


def test_without_tflite_micro_the_error_says_what_to_install(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro", None)
    with pytest.raises(EdgeMetaError, match=r'pip install "edge-meta\[tflm\]"'):
        export_target(bundle, tmp_path / "made.bundle", "tflm")
    assert not list(tmp_path.iterdir())


PROGRAM = """
#include <cstdint>
#include <cstdio>
#include "encoder.h"

struct Resolver {  // registers by the names that the program is given
  unsigned int count = 0;
  bool full = false;
  int Add() { ++count; return full ? 1 : 0; }
  %s
};

int main() {
  Resolver resolver, full;
  full.full = true;
  const bool added = edge_meta::AddOperators(resolver), refused = !edge_meta::AddOperators(full);
  std::printf("%%d %%d %%u\\n", added, refused, resolver.count);
  const auto address = reinterpret_cast<std::uintptr_t>(edge_meta::kEncoder);
  std::printf("%%u %%d\\n", edge_meta::kOperators, static_cast<int>(address %% 16));
  for (int pixel = 0; pixel < 256; ++pixel) std::printf("%%d ", edge_meta::InputOfPixel(static_cast<std::uint8_t>(pixel)));
  std::printf("\\n");
  for (int value = -128; value < 128; ++value)
    std::printf("%%.9g ", edge_meta::ValueOfOutput(static_cast<std::int8_t>(value)));
  std::printf("\\n");
  std::int8_t output[edge_meta::kDim];
  float embedding[edge_meta::kDim];
  for (int i = 0; i < edge_meta::kDim; ++i) output[i] = static_cast<std::int8_t>(7 * i %% 256 - 128);
  edge_meta::EmbeddingOfOutput(output, embedding);
  for (int i = 0; i < edge_meta::kDim; ++i) std::printf("%%.9g ", embedding[i]);
  std::printf("\\n");
  std::fwrite(edge_meta::kEncoder, 1, edge_meta::kEncoderBytes, stdout);
}
"""


@micro
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_the_cpp_compiles_and_does_what_the_runtime_does(bundle: Bundle, tmp_path: Path) -> None:
    made = export_target(bundle, tmp_path / "made.bundle", "tflm")
    methods = " ".join(f"int Add{name}() {{ return Add(); }}" for name in ("Conv2D", "MaxPool2D", "Mul", "Reshape"))
    (tmp_path / "main.cc").write_text(PROGRAM % methods)
    command = [
        "g++",
        "-std=c++17",
        "-DTF_LITE_STATIC_MEMORY",
        "-Wall",
        "-Wextra",
        "-Wconversion",
        "-Werror",
        f"-I{made.path}",
    ]
    subprocess.run([*command, "main.cc", made.path / "encoder.cc", "-o", "main"], cwd=tmp_path, check=True)
    lines = subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout.split(b"\n", 5)
    encoder = IntegerEncoder.of(bundle)
    operators = len(made.manifest.target["operators"])
    assert lines[0].split() == [b"1", b"1", b"%d" % operators]
    assert lines[1].split() == [b"%d" % operators, b"0"]
    pixels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(np.array(lines[2].split(), int), encoder.input.quantized(INPUT.normalize(pixels)))
    values = encoder.output.values(np.arange(-128, 128).astype(np.int8))
    np.testing.assert_array_equal(np.array(lines[3].split(), np.float32), values)
    outputs = (7 * np.arange(bundle.manifest.dim) % 256 - 128).astype(np.int8)
    np.testing.assert_array_equal(np.array(lines[4].split(), np.float32), encoder.output.values(outputs))
    assert lines[5] == made.model


# --- web --------------------------------------------------------------------------------------------------------------


def test_a_file_that_litert_js_would_not_take_is_refused(bundle: Bundle) -> None:
    web.check_file(bundle.model)
    with pytest.raises(ExportError, match="does not take and give float32"):
        web.check_file(IntegerEncoder.of(bundle).model)
    function = tf.function(lambda x: x * 2.0, input_signature=[tf.TensorSpec((None, 4), tf.float32)])
    model = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()
    with pytest.raises(ExportError, match="shapes that are not static"):
        web.check_file(model)
    tree = parse(bundle.model)
    tree.operatorCodes[0].customCode = "Mine"
    with pytest.raises(ExportError, match=r"operators that LiteRT\.js does not have"):
        web.check_file(serialize(tree))


# --- edgetpu ----------------------------------------------------------------------------------------------------------


def tensor(*shape: int, dtype: str = "int8", data: bytes = b"") -> TensorInfo:
    return TensorInfo(0, dtype, shape, (), (), data)


def axes(*which: int) -> TensorInfo:
    return tensor(len(which), dtype="int32", data=np.array(which, "<i4").tobytes())


def operator(name: str, *inputs: TensorInfo, gives: TensorInfo | None = None, **options: int) -> OperatorInfo:
    return OperatorInfo(name, options, inputs, (gives or inputs[0],))


IMAGE = tensor(1, 8, 8, 6)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (operator("CONV_2D", IMAGE, tensor(4, 3, 3, 6, data=b"w")), None),
        (operator("CONV_2D", IMAGE, dilationHFactor=2, dilationWFactor=2), None),
        (operator("CONV_2D", IMAGE, dilationHFactor=2, dilationWFactor=1), "different dilations"),
        (operator("MAX_POOL_2D", IMAGE), None),
        (operator("MAX_POOL_2D", IMAGE, fusedActivationFunction=1), "fused activation"),
        (operator("ADD", IMAGE, tensor(1, 1, 1, 6), fusedActivationFunction=1), None),
        (operator("MEAN", IMAGE, axes(1, 2), gives=tensor(1, 6)), None),
        (operator("MEAN", IMAGE, axes(1, -1), gives=tensor(1, 8)), "no multiple of 4"),
        (operator("MEAN", tensor(1, 8, 8, 4), axes(-1), gives=tensor(1, 8, 8)), None),
        (operator("SUM", IMAGE, axes(0), gives=tensor(8, 8, 6)), "batch dimension"),
        (operator("FULLY_CONNECTED", tensor(1, 6), gives=tensor(1, 3)), None),
        (operator("FULLY_CONNECTED", tensor(2, 6), gives=tensor(2, 3)), "more than one dimension"),
        (operator("FULLY_CONNECTED", tensor(1, 6), gives=tensor(1, 3), weightsFormat=1), "another format"),
        (operator("CONCATENATION", IMAGE, IMAGE, IMAGE, gives=tensor(1, 8, 8, 18)), None),
        (operator("CONCATENATION", IMAGE, tensor(1, 8, 8, 2, data=bytes(128)), gives=tensor(1, 8, 8, 8)), None),
        (operator("CONCATENATION", IMAGE, tensor(1, 8, 8, 2, data=b"\1" * 128)), "not mere padding"),
        (operator("SOFTMAX", tensor(1, 20)), None),
        (operator("SOFTMAX", tensor(1, 20_000)), "more than one dimension"),
        (operator("RELU", tensor(2, 8, 8, 6)), "2×8×8×6"),
        (operator("RELU", tensor(1, -1, 8, 6)), "not constant"),
        (operator("RELU", tensor(1, 8, 8, 6, dtype="float32")), "works on float32"),
        (operator("REVERSE_V2", IMAGE, axes(2)), "not among the operators"),
        (operator("DEQUANTIZE", IMAGE, gives=tensor(1, 8, 8, 6, dtype="float32")), "not among the operators"),
    ],
    ids=lambda value: value.name if isinstance(value, OperatorInfo) else value,
)
def test_what_the_documentation_says_of_each_operator(given: OperatorInfo, reason: str | None) -> None:
    (row,) = edgetpu.report((given,))["operators"]
    assert row["runs_on"] == ("cpu" if reason else "tpu")
    assert (reason in row["reason"]) if reason else row["reason"] is None


def test_the_cpu_takes_all_after_an_unmapped_operator() -> None:
    relu, reverse = operator("RELU", IMAGE), operator("REVERSE_V2", IMAGE, axes(2))
    found = edgetpu.report((relu, relu, reverse, relu, reverse))
    assert [row["runs_on"] for row in found["operators"]] == ["tpu", "tpu", "cpu", "cpu", "cpu"]
    assert (found["on_tpu"], found["on_cpu"]) == (2, 3)
    assert found["operators"][3]["reason"] == "comes after REVERSE_V2, and there is one Edge TPU part only"
    assert "not among" in found["operators"][4]["reason"]
    assert found["summary"] == "2 of 5 operators run on the Edge TPU, 3 on the CPU."


def test_parameters_beyond_edge_tpu_memory_are_counted_once() -> None:
    weights = tensor(4, 3, 3, 6, data=bytes(9 << 20))
    found = edgetpu.report((operator("CONV_2D", IMAGE, weights), operator("CONV_2D", IMAGE, weights)))
    assert found["parameter_bytes"] == 9 << 20
    assert "9,437,184 bytes, do not fit" in found["summary"]


def test_conv4_maps_as_a_whole(bundle: Bundle, tmp_path: Path) -> None:
    made = export_target(bundle, tmp_path / "made.bundle", "edgetpu")
    found = json.loads((made.path / "edgetpu.json").read_text())
    assert (found["on_tpu"], found["on_cpu"]) == (len(ModelFile.parse(made.model).subgraphs[0]), 0)
    assert made.manifest.target["on_cpu"] == 0
    text = (made.path / "edgetpu.txt").read_text()
    assert "the compiler itself was not run" in text
    assert "coral.ai/docs/edgetpu/models-intro" in text
    assert text.count(" TPU\n") == found["on_tpu"]


def test_a_mirrored_image_takes_a_pass_of_its_own(tmp_path: Path) -> None:
    made = export_target(Bundle.open("omniglot"), tmp_path / "made.bundle", "edgetpu")
    shapes = [tensor.shape for operator in ModelFile.parse(made.model).subgraphs[0] for tensor in operator.outputs]
    assert all(shape[0] == 1 for shape in shapes)
    assert (made.manifest.target["on_tpu"], made.manifest.target["on_cpu"]) == (len(shapes), 0)
    pixels = np.random.default_rng(3).integers(-128, 128, (200, 28, 28, 1), np.int8)
    own = IntegerEncoder.of(Bundle.open("omniglot"))
    np.testing.assert_array_equal(run(made.model, pixels), run(own.model, pixels))
    assert len(made.model) < len(own.model) + 16_000  # the passes share their weights


# --- imprint ----------------------------------------------------------------------------------------------------------


def scores_of(path: Path, image: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    scores = []
    for pixels in image:
        interpreter.set_tensor(taken, INPUT.normalize(pixels)[None])
        interpreter.invoke()
        scores.append(interpreter.get_tensor(given)[0].copy())
    return np.stack(scores)


@pytest.mark.parametrize("adapted", [False, True], ids=["prototypes", "adapted"])
def test_an_imprinted_classifier_says_what_the_runtime_says(
    bundle: Bundle, store: Path, images: np.ndarray, tmp_path: Path, adapted: bool
) -> None:
    copy = Path(shutil.copy(store, tmp_path / "store.db"))
    with Classifier.load(bundle, copy) as classifier:
        if adapted:
            classifier.adapt(steps=20, learning_rate=1e-3)
        classifier.enroll_none(images[:2])  # which become no class
        results = [classifier.classify(image, top_k=12) for image in images]
    labels = imprint(bundle, copy, tmp_path / "classifier.tflite")
    assert labels == tuple(f"class {index}" for index in range(12))
    scores = scores_of(tmp_path / "classifier.tflite", images)
    assert scores.shape == (1000, 12)
    found = [labels[index] for index in scores.argmax(axis=1)]
    assert found == [result.top[0].label for result in results]
    assert len(set(found)) > 3
    expected = [[{top.label: top.score for top in result.top}[label] for label in labels] for result in results]
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    with zipfile.ZipFile(tmp_path / "classifier.tflite") as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(labels)


def test_an_adapted_column_is_what_the_classifier_has(
    bundle: Bundle, store: Path, images: np.ndarray, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(store, tmp_path / "store.db"))
    imprint(bundle, copy, tmp_path / "before.tflite")
    with bundle.open_store(copy) as kept, kept.adapting() as change:
        weights, bias = linear.linear_from_prototypes(change.snapshot.prototypes)
        change.replace_head(weights[:, ::-1], bias[::-1])  # each label has another's column
    with Classifier.load(bundle, copy) as classifier:
        nearest = [classifier.classify(image, top_k=1).top[0].label for image in images[:20]]
        labels = classifier.labels
    imprint(bundle, copy, tmp_path / "after.tflite")
    before, after = (scores_of(tmp_path / f"{when}.tflite", images[:20]) for when in ("before", "after"))
    assert np.abs(before - after).max() > 1e-4
    assert [labels[best] for best in after.argmax(axis=1)] == nearest


def test_a_classifier_needs_two_labels_of_a_line_each(bundle: Bundle, images: np.ndarray, tmp_path: Path) -> None:
    with Classifier.load(bundle, tmp_path / "store.db") as classifier:
        classifier.enroll("one", images[:1])
        with pytest.raises(LabelError, match="needs at least two labels"):
            imprint(bundle, tmp_path / "store.db", tmp_path / "made.tflite")
        classifier.store.enroll("two\nlines", classifier.embed(images[1])[None])  # as older versions could
    with pytest.raises(ExportError, match="has several lines"):
        imprint(bundle, tmp_path / "store.db", tmp_path / "made.tflite")
    assert not (tmp_path / "made.tflite").exists()


def test_only_a_classifier_is_replaced(bundle: Bundle, store: Path, tmp_path: Path) -> None:
    output = tmp_path / "made.tflite"
    imprint(bundle, store, output)
    first = output.read_bytes()
    with pytest.raises(ExportError, match="--overwrite"):
        imprint(bundle, store, output)
    imprint(bundle, store, output, overwrite=True)
    assert output.read_bytes() == first
    output.write_text("a thesis")
    with pytest.raises(ExportError, match=r"not a \.tflite file"):
        imprint(bundle, store, output, overwrite=True)
    assert output.read_text() == "a thesis"


# --- the command line -------------------------------------------------------------------------------------------------


def test_json_tells_of_the_target(bundle: Bundle, tmp_path: Path) -> None:
    result = cli("export", bundle.path, "--target", "edgetpu", "--output", tmp_path / "made.zip", "--json")
    made = Bundle.open(tmp_path / "made.zip")
    assert json.loads(result.stdout) == {
        "bundle": str(made.path),
        "encoder_id": bundle.manifest.encoder_id,
        "target": made.manifest.target,
        "files": ["README.md", "edgetpu.json", "edgetpu.txt", "encoder.tflite"],
        "model_bytes": len(made.model),
    }
    text = cli("export", bundle.path, "--target", "edgetpu", "--output", tmp_path / "made.bundle").stdout
    assert text.startswith(f"{tmp_path}/made.bundle: for edgetpu, ")


def test_imprint_on_the_command_line(bundle: Bundle, store: Path, tmp_path: Path) -> None:
    arguments = ("export", bundle.path, "--target", "imprint", "--store", store, "--output", tmp_path / "made.tflite")
    found = json.loads(cli(*arguments, "--json").stdout)
    assert found["labels"] == [f"class {index}" for index in range(12)]
    assert found["encoder_id"] == bundle.manifest.encoder_id
    assert "a classifier of 12 labels" in cli(*arguments, "--overwrite").stdout


def test_a_run_becomes_a_target_by_way_of_a_bundle(finished_run: Path, int8_bundle: Bundle, tmp_path: Path) -> None:
    arguments = ("export", finished_run, "--target", "edgetpu", "--output", tmp_path / "made.bundle", "--max-drop", 5)
    assert json.loads(cli(*arguments, "--json").stdout)["encoder_id"] == int8_bundle.manifest.encoder_id
    assert [path.name for path in tmp_path.iterdir()] == ["made.bundle"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("omniglot", "--target", "web", "--quantize", "int8"),
        ("omniglot", "--target", "web", "--mirror"),
        ("omniglot", "--target", "web", "--store", "s.db"),
        ("some/run", "--store", "s.db"),
        ("some/run", "--target", "imprint"),
        ("omniglot", "--target", "toaster"),
        ("omniglot", "--target", "tflm", "--explain"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = cli("export", *arguments, "--output", tmp_path / "made", code=2)
    assert result.stdout == ""
    assert not list(tmp_path.iterdir())


def test_the_command_line_offers_every_target() -> None:
    assert set(TARGETS) == {"litert", "imprint", *converters.targets.TARGETS}
