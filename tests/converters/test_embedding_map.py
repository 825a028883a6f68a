"""The map from an older encoder: fitted as it should be, kept in the bundle, and worth what the bundle says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.device import cli
from support.workstation import synthetic

from converters.calibration.embedding_map import fit_embedding_map, fit_embedding_maps, require_same_examples
from edge_meta.datasets import load_dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import ExportError
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.classifier import Classifier
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import open_encoder

SIZES = ("--max-classes", "8", "--max-shots", "16")


def test_without_strength_it_is_the_exact_map_where_there_is_one() -> None:
    rng = np.random.default_rng(0)
    before, weights, offset = rng.normal(size=(200, 6)), rng.normal(size=(6, 9)), rng.normal(size=9)
    along = fit_embedding_map(before.astype("f4"), (before @ weights + offset).astype("f4"), 0.0)
    np.testing.assert_allclose(along.weights, weights, atol=1e-5)
    np.testing.assert_allclose(along.offset, offset, atol=1e-5)


@pytest.mark.parametrize("ridge", [1e-4, 0.1, 10.0])
def test_a_map_is_augmented_least_squares(ridge: float) -> None:
    """Ridge regression is least squares with √(ridge · n · s) I as further rows (Hoerl and Kennard 1970)."""
    rng = np.random.default_rng(1)
    before, after = rng.normal(2.0, 3.0, (80, 5)).astype("f4"), rng.normal(-1.0, 1.0, (80, 4)).astype("f4")
    x, y = before - before.mean(axis=0, dtype="f8"), after - after.mean(axis=0, dtype="f8")
    strength = ridge * len(x) * x.var(axis=0).mean()
    rows = np.vstack([x, np.sqrt(strength) * np.eye(5)]), np.vstack([y, np.zeros((5, 4))])
    weights = np.linalg.lstsq(*rows, rcond=None)[0]
    along = fit_embedding_map(before, after, ridge)
    np.testing.assert_allclose(along.weights, weights, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(along.embeddings(before).mean(axis=0), after.mean(axis=0), atol=1e-5)


def test_values_that_never_change_do_no_harm() -> None:
    rng = np.random.default_rng(2)
    before = np.hstack([rng.normal(size=(50, 3)), np.ones((50, 2))]).astype("f4")
    along = fit_embedding_map(before, rng.normal(size=(50, 2)).astype("f4"), 1e-5)
    assert np.isfinite(along.weights).all()
    assert np.isfinite(fit_embedding_map(np.ones((50, 2), np.float32), before[:, :3], 1e-5).weights).all()


@pytest.fixture(scope="module")
def pair(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An older and a newer bundle of one run, of which the newer has a map from the older: mirrored int8 and float32."""
    from click.testing import CliRunner

    from edge_meta.cli import main

    folder = tmp_path_factory.mktemp("pair")
    old, new = folder / "old.bundle", folder / "new.bundle"
    for output, options in ((old, ["--mirror"]), (new, ["--quantize", "float32", "--upgrade-from", old])):
        arguments = ["export", finished_run, "--output", output, *SIZES, *options]
        done = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        if output == new:
            assert f"fitting a map from the encoder of {old} on 360 training images\n" in done.stderr
            assert "by edge-meta migrate: 6-way 5-shot " in done.stdout
    return old, new


def test_kept_accuracy_is_that_of_validation_episodes(pair: tuple[Path, Path]) -> None:
    old, new = map(Bundle.open, pair)
    (record,) = new.manifest.embedding_maps
    assert (record.encoder_id, record.dim) == (old.manifest.encoder_id, old.manifest.dim) == (record.encoder_id, 16)
    data = load_dataset(new.manifest.training["dataset"], "val", new.manifest.input_spec)
    of_old, own = (embed_all(open_encoder(of), of.manifest.input_spec, data.examples).astype("f8") for of in (old, new))
    along = new.maps[record.encoder_id]
    mapped = of_old @ along.weights.astype("f8") + along.offset
    kept = record.accuracy
    right: dict[str, list[np.ndarray]] = {"own": [], "migrated": []}
    for episode in EpisodeSampler(data, kept.way, kept.shot, kept.query, 13).episodes(kept.episodes):
        queries = own[episode.query].reshape(-1, own.shape[1])
        for name, support in (("own", own), ("migrated", mapped)):
            prototypes = support[episode.support].mean(axis=1)
            nearest = ((queries[:, None] - prototypes) ** 2).sum(axis=2).argmin(axis=1)
            right[name].append(np.mean(nearest == np.repeat(np.arange(kept.way), kept.query)))
    assert kept.own == pytest.approx(np.mean(right["own"]), abs=2e-4)
    assert kept.migrated == pytest.approx(np.mean(right["migrated"]), abs=2e-4)
    lost = np.subtract(right["own"], right["migrated"])
    assert kept.lost == pytest.approx(lost.mean(), abs=2e-4)
    assert kept.ci95 == pytest.approx(1.96 * lost.std(ddof=1) / len(lost) ** 0.5, rel=0.05)
    assert kept.lost < 0.01


def test_a_migrated_store_answers_as_the_new_bundle_does(pair: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = pair
    data = load_dataset(Bundle.open(new).manifest.training["dataset"], "test", Bundle.open(new).manifest.input_spec)
    of_class = [data.examples[data.labels == label] for label in range(5)]
    with Classifier.load(old, tmp_path / "old.db") as classifier, Classifier.load(new, tmp_path / "own.db") as own:
        for label, images in enumerate(of_class):
            classifier.enroll(str(label), images[:10])
            own.enroll(str(label), images[:10])
        answers = [own.classify(image).top[0].label for images in of_class for image in images[10:]]
    cli("migrate", new, tmp_path / "old.db", "--store", tmp_path / "new.db")
    with Classifier.load(new, tmp_path / "new.db") as classifier:
        migrated = [classifier.classify(image).top[0].label for images in of_class for image in images[10:]]
    assert np.mean(np.array(migrated) == np.array(answers)) > 0.9


def test_a_bundle_for_another_target_keeps_the_map(pair: tuple[Path, Path], tmp_path: Path) -> None:
    cli("export", pair[1], "--target", "web", "--output", tmp_path / "web.bundle")
    made, came = Bundle.open(tmp_path / "web.bundle"), Bundle.open(pair[1])
    assert made.manifest.embedding_maps == came.manifest.embedding_maps
    assert {name: along.to_bytes() for name, along in made.maps.items()} == {
        name: along.to_bytes() for name, along in came.maps.items()
    }


def test_unusable_older_encoders_are_refused(pair: tuple[Path, Path]) -> None:
    old, new = map(Bundle.open, pair)
    name = new.manifest.training["dataset"]
    for older, of, data, said in (
        ([old], old, name, "the new one"),
        ([old, old], new, name, "named twice"),
        ([old], new, None, "--calibration"),
    ):
        with pytest.raises(ExportError, match=said):
            fit_embedding_maps(older, of.model, of.manifest, data, lambda note: None)


def test_other_examples_at_another_size_are_refused() -> None:
    data = synthetic(5, 4)
    fewer = replace(data, examples=data.examples[:-1], labels=data.labels[:-1])
    renamed = replace(data, class_names=(*data.class_names[:-1], "another"))
    require_same_examples(data, replace(data, examples=data.examples[:, ::2, ::2]))
    for other in (fewer, renamed):
        with pytest.raises(ExportError, match=r"synthetic has other examples.* Name another dataset with --calibration"):
            require_same_examples(data, other)


def test_json_has_what_the_manifest_says(pair: tuple[Path, Path], finished_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "again.zip"
    result = cli("export", finished_run, "--output", output, *SIZES, "--upgrade-from", pair[0], "--json")
    wanted = [record.to_manifest() for record in Bundle.open(output).manifest.embedding_maps]
    assert json.loads(result.stdout)["upgrades"] == json.loads(json.dumps(wanted))
    card = (pair[1] / "README.md").read_text("utf-8")
    assert f"Stores of encoder `{Bundle.open(pair[0]).manifest.encoder_id}` can be migrated" in card
