"""Export: from a run to a bundle that says what it is, the same each time, and never half of one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support.workstation import save_npz

import converters
from converters import export_bundle
from converters.calibration import learning_rates
from converters.calibration.rejection import calibrate_rejection
from converters.model_card import model_card
from converters.quantization.formats import FORMATS
from converters.quantization.parity import parity
from converters.tflite.metadata import with_metadata
from converters.tflite.model import ModelFile
from edge_meta import __version__
from edge_meta.datasets import load_dataset
from edge_meta.errors import EdgeMetaError, ExportError, TrainingError
from edge_meta.evaluation.evaluator import evaluate
from edge_meta.evaluation.protocol import EpisodeProtocol
from edge_meta.inputs import ImageInput
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import Encoder
from edge_meta.training.config import TrainingConfig
from edge_meta.training.embeddings import embed_images
from edge_meta.training.pipeline import train
from edge_meta.training.run import RunFolder

INPUT = ImageInput(16, 16)
SMALL = {"max_classes": 8, "max_shots": 16}
# So short a run is far from certain, and may lose more to rounding than an encoder for use.
SIZES = {**SMALL, "max_drop": 5.0}
FLOAT = {**SMALL, "quantize": "float32"}  # which is the quickest to make


@pytest.fixture(scope="module")
def bundles(finished_run: Path, int8_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """A bundle of the finished run for each quantization; tests must not write to them."""
    folder = tmp_path_factory.mktemp("bundles")
    others = [kind for kind in FORMATS if kind != "int8"]
    made = {kind: export_bundle(finished_run, folder / f"{kind}.bundle", quantize=kind, **SIZES) for kind in others}
    return made | {"int8": int8_bundle}


@pytest.fixture(scope="module")
def fine_tuned(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of the finished run, fine-tuned for int8 and mirrored."""
    output = tmp_path_factory.mktemp("tuned") / "tuned.bundle"
    return export_bundle(finished_run, output, quantize_aware=4, mirror=True, max_drop=100.0)


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be spoiled."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def left_in(folder: Path, *expected: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(expected)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- what a bundle says -----------------------------------------------------------------------------------------------


def test_a_bundle_has_its_files_and_their_checksums(bundles: dict[str, Bundle]) -> None:
    for bundle in bundles.values():
        assert left_in(bundle.path, "README.md", "encoder.tflite", "manifest.json")
        manifest = json.loads((bundle.path / "manifest.json").read_text())
        assert set(manifest["files"]) == {"README.md", "encoder.tflite"}
        for name, digest in manifest["files"].items():
            assert hashlib.sha256((bundle.path / name).read_bytes()).hexdigest() == digest


def test_the_manifest_says_all_that_the_format_asks_for(bundles: dict[str, Bundle], finished_run: Path) -> None:
    facts = RunFolder(finished_run).facts()
    for quantize, bundle in bundles.items():
        manifest = json.loads((bundle.path / "manifest.json").read_text())
        assert manifest["format"] == 1
        assert manifest["encoder_id"] == ModelFile.parse(bundle.model).encoder_id(INPUT.to_manifest())
        assert manifest["input"] == {
            "kind": "image", "dtype": "uint8", "resize": "stretch-antialiased", "colour": "grayscale",
            "height": 16, "width": 16, "channels": 1, "mean": 255.0, "scale": -1 / 255,
        }  # fmt: skip
        assert manifest["embedding"] == {"dim": 8, "metric": "squared_euclidean"}
        assert manifest["quantization"] == quantize
        assert manifest["head"]["start"] == "prototypes"
        assert manifest["head"]["steps"] == len(manifest["head"]["learning_rates"]) == learning_rates.STEPS
        assert manifest["training"]["data"] == facts["made"]["data"]
        assert manifest["training"]["versions"] == facts["versions"]
        assert facts["asked"].items() <= manifest["training"].items()
        assert set(manifest["signatures"]) == {"embed", "enroll", "score", "train_step"}
        assert manifest["signatures"]["embed"] == {"inputs": {"image": [1, 16, 16, 1]}, "outputs": {"embedding": [1, 8]}}
        assert manifest["signatures"]["train_step"]["inputs"]["onehot"] == [16, 8]
        assert manifest["signatures"]["score"]["outputs"] == {"distances": [1, 8], "scores": [1, 8]}


def test_the_file_describes_its_ends_for_other_programs(bundles: dict[str, Bundle]) -> None:
    for bundle in bundles.values():
        assert with_metadata(bundle.model, INPUT, 8, "not stated") == bundle.model


def test_calibration_and_parity_are_of_the_file_itself(bundles: dict[str, Bundle], trained: Any) -> None:
    for bundle in bundles.values():
        val = load_dataset(bundle.manifest.training["dataset"], "val", INPUT)
        embeddings = embed_all(Encoder(bundle.model), INPUT, val.examples)
        assert bundle.manifest.rejection == calibrate_rejection(embeddings, val)
        assert bundle.manifest.learning_rates == learning_rates.choose_learning_rates(embeddings, val)
        exact = embed_images(trained, INPUT, val.examples)
        report = parity(exact, embeddings, val)
        assert report.items() <= bundle.manifest.parity.items()
        errors = bundle.manifest.parity["signatures"]
        assert errors["embed"] == pytest.approx(np.abs(embeddings - exact).max() / np.abs(exact).max(), rel=0.01)
        assert all(errors[head] < 1e-5 for head in ("enroll", "score", "train_step"))
        # These layers are too small for dynamic-range quantization to touch.
        assert (bundle.manifest.parity["layers"] == []) == (bundle.manifest.quantization in ("float32", "dynamic"))


def test_manifest_and_model_card_say_what_runs_a_format(bundles: dict[str, Bundle]) -> None:
    for quantize, bundle in bundles.items():
        assert bundle.manifest.runtimes == ("ai-edge-litert", "tflite-runtime 2.14", "TensorFlow")
        card = (bundle.path / "README.md").read_text()
        assert FORMATS[quantize].about in card
        assert "It runs in ai-edge-litert, tflite-runtime 2.14, TensorFlow.\n" in card
        assert ("TensorFlow Lite Micro refuses this format." in card) == (quantize in ("float16", "dynamic"))


def test_float32_loses_nothing_and_int8_little(bundles: dict[str, Bundle]) -> None:
    exact, quantized = bundles["float32"].manifest, bundles["int8"].manifest
    assert all(entry["drop"]["mean"] == pytest.approx(0.0, abs=1e-4) for entry in exact.parity["episodes"])
    assert exact.parity["cosine"]["p0"] > 0.99999
    assert all(abs(entry["drop"]["mean"]) < 0.03 for entry in quantized.parity["episodes"])
    assert 0.95 < quantized.parity["cosine"]["p1"] < 1.0
    assert exact.encoder_id != quantized.encoder_id
    assert len(bundles["int8"].model) < len(bundles["float32"].model)


@pytest.mark.parametrize("quantize", FORMATS)
@pytest.mark.parametrize("head", ["prototype", "linear"])
def test_a_bundle_can_be_evaluated_and_has_learned(bundles: dict[str, Bundle], quantize: str, head: str) -> None:
    bundle = bundles[quantize]
    protocol = EpisodeProtocol("test", way=5, shot=5, query=5, episodes=100)
    found = evaluate(bundle, bundle.manifest.training["dataset"], protocol, head=head)
    assert found.accuracy.mean > 0.4  # chance is 0.2
    assert (found.head, found.protocol) == (head, protocol)


def test_the_model_card_says_what_it_is_for_people(bundles: dict[str, Bundle]) -> None:
    bundle = bundles["int8"]
    card = (bundle.path / "README.md").read_text()
    assert card.startswith("# int8\n")
    entry = bundle.manifest.parity["episodes"][0]
    for part in (
        "16×16×1", f"{len(bundle.model):,} bytes", bundle.manifest.encoder_id, "patterns.npz", "protonet", "60 episodes",
        f"{100 * entry['quantized']['mean']:.2f} ± {100 * entry['quantized']['ci95']:.2f}",
    ):  # fmt: skip
        assert part in card


def test_manifest_and_card_say_how_it_was_trained(bundles: dict[str, Bundle], finished_run: Path) -> None:
    facts, curve = RunFolder(finished_run).facts(), RunFolder(finished_run).curve()
    assert len(curve) == 20  # of 60 episodes, one in three
    for bundle in bundles.values():
        training = json.loads((bundle.path / "manifest.json").read_text())["training"]
        assert (training["command"], training["host"]) == (facts["command"], facts["host"])
        assert training["validation"] == "6-way 1-shot, 15 queries, frozen batch-norm statistics"
        assert training["curve"] == [{key: row[key] for key in ("episode", "loss", "val_accuracy")} for row in curve]
    card = (bundles["int8"].path / "README.md").read_text()
    assert f"`{' '.join(facts['command'])}` on {facts['host']['platform']}, {facts['host']['cores']} cores" in card
    reached = ", ".join(f"{row['episode']}: {100 * row['val_accuracy']:.2f}" for row in curve)
    assert f"{training['validation']}, in % by episode; the best is exported: {reached}." in card


def test_the_model_card_says_which_run_this_one_began_with(bundles: dict[str, Bundle]) -> None:
    manifest = bundles["int8"].manifest
    assert "It began with" not in model_card("int8", manifest, 1)
    began = replace(manifest, training={**manifest.training, "start": "runs/before"})
    assert "* It began with the encoder of the run `runs/before`.\n" in model_card("int8", began, 1)


def test_manifest_and_model_card_say_that_it_was_fine_tuned(fine_tuned: Bundle) -> None:
    assert fine_tuned.manifest.training["quantize_aware"] == 4
    assert fine_tuned.manifest.quantization == "int8"
    assert "fine-tuned with the rounding of int8 for 4 episodes" in (fine_tuned.path / "README.md").read_text()
    assert fine_tuned.manifest.parity["layers"][0]["layer"]


def test_the_card_claims_only_classes_it_was_calibrated_for(bundles: dict[str, Bundle]) -> None:
    card = (bundles["int8"].path / "README.md").read_text()
    assert "of whom it accepts 5% unless asked otherwise, with 1 to 2 enrolled classes" in card


# --- the request ------------------------------------------------------------------------------------------------------


def test_another_process_gives_the_same_bytes(
    finished_run: Path, bundles: dict[str, Bundle], fine_tuned: Bundle, tmp_path: Path
) -> None:
    """Each seed of Python's hashes gives sets and dictionaries another order."""
    script = """
import sys
from converters import export_bundle
from converters.model_card import model_card
from converters.quantization.formats import FORMATS
export_bundle(sys.argv[1], f"{sys.argv[2]}/tuned.bundle", quantize_aware=4, mirror=True, max_drop=100)
for quantize in FORMATS:
    output = f"{sys.argv[2]}/{quantize}.bundle"
    export_bundle(sys.argv[1], output, quantize=quantize, max_classes=8, max_shots=16, max_drop=100)
"""
    path = os.pathsep.join([str(Path(converters.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": path}
    command = [sys.executable, "-c", script, str(finished_run), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for name, bundle in {**bundles, "tuned": fine_tuned}.items():
        assert contents(tmp_path / f"{name}.bundle") == contents(bundle.path), name


def test_a_zip_holds_the_bytes_of_the_folder_uncompressed(
    bundles: dict[str, Bundle], finished_run: Path, tmp_path: Path
) -> None:
    made = export_bundle(finished_run / "encoder.keras", tmp_path / "deep" / "float32.bundle.zip", **FLOAT)
    assert left_in(tmp_path / "deep", "float32.bundle.zip")
    with zipfile.ZipFile(made.path) as archive:
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        files = {name: archive.read(name) for name in archive.namelist()}
    assert files == contents(bundles["float32"].path)
    assert made.name == "float32"
    assert made.manifest == bundles["float32"].manifest


def test_sizes_of_heads_leave_the_encoder_id(bundles: dict[str, Bundle], finished_run: Path, tmp_path: Path) -> None:
    made = export_bundle(finished_run, tmp_path / "other.bundle", quantize="float32", max_classes=3, max_shots=2)
    assert made.manifest.signatures["train_step"]["inputs"]["onehot"] == [2, 3]
    assert made.manifest.encoder_id == bundles["float32"].manifest.encoder_id


def test_another_dataset_can_be_calibrated_on(bundles: dict[str, Bundle], finished_run: Path, tmp_path: Path) -> None:
    other = save_npz(tmp_path / "other.npz", 20, 8, seed=5)
    made = export_bundle(finished_run, tmp_path / "made.bundle", calibration=other, **SIZES)
    assert made.manifest.parity["dataset"] == other
    assert made.manifest.training["dataset"] == bundles["int8"].manifest.training["dataset"]
    assert made.manifest.encoder_id != bundles["int8"].manifest.encoder_id  # other images give other scales


def test_a_colour_run_becomes_a_bundle(tmp_path: Path, small_conv4: None) -> None:
    config = TrainingConfig(
        save_npz(tmp_path / "own.npz", 15, 8, channels=3), image_size=20, rgb=True, way=3, query=2, episodes=2
    )
    made = export_bundle(train(config, tmp_path / "run").path, tmp_path / "own.bundle", **FLOAT)
    assert made.manifest.input_spec == ImageInput.for_shape((20, 20, 3))
    assert made.manifest.signatures["embed"]["inputs"]["image"] == [1, 20, 20, 3]
    assert made.manifest.rejection is None  # three validation classes are too few


def test_a_release_does_not_change_the_bytes(bundles: dict[str, Bundle]) -> None:
    assert b"edge_meta" in bundles["int8"].model  # the author, in its metadata
    assert __version__.encode() not in bundles["int8"].model


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"quantize": "int4"}, r"There is no quantization 'int4'\. Use one of float32, float16, dynamic, int8, int16x8"),
        ({"max_classes": 1}, "sizes are out of range"),
        ({"max_classes": 10**6}, "sizes are out of range"),
        ({"max_shots": 0}, "sizes are out of range"),
        ({"calibration": "nonsense"}, "There is no dataset 'nonsense'"),
        ({"calibration": "npz:missing.npz"}, "does not exist"),
    ],
)
def test_a_refused_export_writes_nothing(finished_run: Path, tmp_path: Path, settings: dict, error: str) -> None:
    with pytest.raises(EdgeMetaError, match=error):
        export_bundle(finished_run, tmp_path / "new.bundle", **settings)
    assert left_in(tmp_path)


def test_rates_that_a_run_has_learned_go_into_the_bundle(run: Path, tmp_path: Path) -> None:
    (run / "head.json").write_text('{"learning_rates": [0.5, 0.25, 0.125]}')
    made = export_bundle(run, tmp_path / "new.bundle", **FLOAT)
    assert made.manifest.learning_rates == (0.5, 0.25, 0.125)
    assert made.manifest.rates_learned
    (run / "head.json").write_text('{"learning_rates": [0.5, ')
    with pytest.raises(TrainingError, match=r"head\.json is damaged"):
        export_bundle(run, tmp_path / "other.bundle", **FLOAT)


# --- the source -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "says"),
    [("missing", "does not exist"), ("empty", "holds no run"), ("empty/encoder.keras", "does not exist")],
)
def test_a_source_that_is_no_run_is_named(tmp_path: Path, source: str, says: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(EdgeMetaError, match=f"{tmp_path}.* {says}"):
        export_bundle(tmp_path / source, tmp_path / "new.bundle")
    assert not (tmp_path / "new.bundle").exists()


@pytest.mark.parametrize("damage", ["missing", "empty", "cut short", "text"])
def test_a_damaged_encoder_is_named(run: Path, tmp_path: Path, damage: str) -> None:
    encoder = run / "encoder.keras"
    if damage == "missing":
        encoder.unlink()
    else:
        encoder.write_bytes({"empty": b"", "cut short": encoder.read_bytes()[:5000], "text": b"weights"}[damage])
    with pytest.raises(EdgeMetaError, match=r"encoder\.keras is not an encoder that can be read"):
        export_bundle(run, tmp_path / "new.bundle", **SIZES)
    assert left_in(tmp_path, "run")


@pytest.mark.parametrize("field", ["asked", "asked.dataset", "made", "made.input", "made.data", "versions"])
def test_a_run_json_without_a_field_is_damaged(run: Path, tmp_path: Path, field: str) -> None:
    facts = json.loads((run / "run.json").read_text())
    *above, last = field.split(".")
    del (facts[above[0]] if above else facts)[last]
    (run / "run.json").write_text(json.dumps(facts))
    with pytest.raises(TrainingError, match=r"run\.json is damaged"):
        export_bundle(run, tmp_path / "new.bundle", **SIZES)
    assert left_in(tmp_path, "run")


@pytest.mark.parametrize("value", [np.nan, 0.0])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_encoder_that_training_has_spoiled_is_a_clear_error(
    run: Path, tmp_path: Path, trained: keras.Model, value: float
) -> None:
    encoder = keras.models.clone_model(trained)
    encoder.set_weights([np.full_like(weights, value) for weights in trained.get_weights()])
    RunFolder(run).save_encoder(encoder)
    with pytest.raises(EdgeMetaError):
        export_bundle(run, tmp_path / "new.bundle", **FLOAT)
    assert left_in(tmp_path, "run")


# --- the output -------------------------------------------------------------------------------------------------------


@pytest.fixture
def old(bundles: dict[str, Bundle], tmp_path: Path) -> Path:
    """A bundle that stands where the new one should go."""
    return Path(shutil.copytree(bundles["int8"].path, tmp_path / "taken.bundle"))


def test_a_bundle_that_is_there_is_replaced_only_when_asked(
    old: Path, finished_run: Path, bundles: dict[str, Bundle]
) -> None:
    before = contents(old)
    with pytest.raises(ExportError, match=r"taken\.bundle exists\. Use --overwrite"):
        export_bundle(finished_run, old, **FLOAT)
    assert contents(old) == before
    (old / "labels.txt").write_text("left over")
    made = export_bundle(finished_run, old, overwrite=True, **FLOAT)
    assert made.model == bundles["float32"].model
    assert left_in(old, "README.md", "encoder.tflite", "manifest.json")
    assert left_in(old.parent, "taken.bundle")


def test_a_folder_that_is_no_bundle_is_never_replaced(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.png").write_bytes(b"precious")
    with pytest.raises(ExportError, match="photos is not a bundle"):
        export_bundle(finished_run, tmp_path / "photos", overwrite=True, **SIZES)
    assert contents(tmp_path / "photos") == {"mine.png": b"precious"}


@pytest.mark.parametrize("name", ["thesis.txt", "photos.zip"])
def test_a_file_that_is_no_bundle_is_never_replaced(finished_run: Path, tmp_path: Path, name: str) -> None:
    if name == "photos.zip":
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("mine.png", b"precious")
    else:
        (tmp_path / name).write_bytes(b"precious")
    before = (tmp_path / name).read_bytes()
    with pytest.raises(ExportError):
        export_bundle(finished_run, tmp_path / name, overwrite=True, **SIZES)
    assert (tmp_path / name).read_bytes() == before


def test_what_loses_more_than_allowed_is_not_written(finished_run: Path, old: Path, int8_bundle: Bundle) -> None:
    before = contents(old)
    lost = 100 * max(entry["drop"]["mean"] for entry in int8_bundle.manifest.parity["episodes"])
    with pytest.raises(ExportError, match=r"int8 costs .* more than --max-drop .* at conv\d"):
        export_bundle(finished_run, old, max_drop=lost - 0.01, overwrite=True, **SMALL)
    assert contents(old) == before
    assert left_in(old.parent, "taken.bundle")


@pytest.mark.parametrize("stage", ["converting", "calibrating"])
@pytest.mark.parametrize("occupied", [False, True])
def test_an_interrupted_export_leaves_the_old_bundle_or_nothing(
    finished_run: Path, bundles: dict[str, Bundle], tmp_path: Path, stage: str, occupied: bool
) -> None:
    output = tmp_path / "new.bundle"
    if occupied:
        shutil.copytree(bundles["int8"].path, output)

    def interrupt(note: str) -> None:
        if note.startswith(stage):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_bundle(finished_run, output, overwrite=True, on_note=interrupt, **FLOAT)
    assert left_in(tmp_path, *["new.bundle"] * occupied)
    assert not occupied or contents(output) == contents(bundles["int8"].path)


def test_a_converted_file_is_not_quantized_again(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").touch()
    with pytest.raises(ExportError, match=r"model\.tflite is converted already"):
        export_bundle(tmp_path / "model.tflite", tmp_path / "new.bundle", quantize="int8")


def test_another_makers_encoder_is_exported_with_a_dataset(run: Path, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    mine = tmp_path / "mine.keras"
    shutil.copy(run / "encoder.keras", mine)
    with pytest.raises(ExportError, match=r"mine\.keras does not say what it was trained on\. .*--calibration"):
        export_bundle(mine, tmp_path / "mine.bundle")
    dataset = json.loads((run / "run.json").read_text())["asked"]["dataset"]
    made = export_bundle(mine, tmp_path / "mine.bundle", calibration=dataset, **FLOAT)
    assert made.manifest.encoder_id == bundles["float32"].manifest.encoder_id


def test_a_keras_model_that_is_no_encoder_of_images_takes_arrays(tmp_path: Path) -> None:
    inputs = keras.Input((8,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(tmp_path / "text.keras")
    with pytest.raises(EdgeMetaError, match="glyphs holds images; this encoder takes arrays"):
        export_bundle(tmp_path / "text.keras", tmp_path / "new.bundle", calibration="glyphs")
