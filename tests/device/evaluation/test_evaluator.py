"""edge-meta evaluate: its figures are those of the library, and what it cannot do is explained."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.device import altered, cli, complaint, draw, mixed, png, said, takes

from edge_meta.datasets import Dataset, load_dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import InputError
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.episode_heads import EpisodeHead, adapted_head, prototype_head
from edge_meta.evaluation.evaluator import evaluate
from edge_meta.evaluation.interval import Interval
from edge_meta.evaluation.protocol import EpisodeProtocol
from edge_meta.heads.adaptation import AdaptationConfig
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import open_encoder


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[[str], str]:
    """dataset(kind): six classes of four drawn images, the last one a stranger, as npz: or folder: for --dataset."""
    labels = np.repeat([f"class {kind}" for kind in range(6)], 4)

    def make(kind: str) -> str:
        images = np.concatenate(
            [image for kind in range(6) for image in (takes(kind, 3), takes((kind + 1) % 6, 1, first=9))]
        )
        if kind == "npz":
            np.savez(tmp_path / "drawn.npz", x=images, y=labels)
            return f"npz:{tmp_path / 'drawn.npz'}"
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            png(tmp_path, f"drawn/{label}/{index:02}.png", image)
        return f"folder:{tmp_path / 'drawn'}"

    return make


EPISODES = ["--split", "all", "--way", 3, "--shot", 1, "--query", 2, "--episodes", 20]


@pytest.mark.parametrize("kind", ["npz", "folder"])
@pytest.mark.parametrize("head", ["prototype", "linear"])
def test_evaluate_prints_an_accuracy_and_how_it_came_about(
    dataset: Callable[[str], str], bundle: Bundle, kind: str, head: str
) -> None:
    name = dataset(kind)
    done = said(cli("evaluate", "omniglot", "--dataset", name, *EPISODES, "--head", head, "--seed", 7, "--json"))
    accuracy, ci95, backend = done.pop("accuracy"), done.pop("ci95"), done.pop("backend")
    assert done == {
        "dataset": name, "split": "all", "way": 3, "shot": 1, "query": 2, "episodes": 20, "seed": 7, "head": head,
        "solver": "lda" if head == "linear" else None, "steps": None, "within_alphabet": False,
    }  # fmt: skip
    assert 0.4 < accuracy < 1.0
    assert 0.0 < ci95 < 0.5
    assert backend == os.environ.get("EDGE_META_BACKEND", backend)


def test_one_seed_gives_one_accuracy_from_a_folder_or_an_npz(dataset: Callable[[str], str]) -> None:
    def judged(kind: str, seed: int) -> tuple[float, float]:
        options = [*EPISODES, "--seed", seed, "--json", "--way", 6]
        done = said(cli("evaluate", "omniglot", "--dataset", dataset(kind), *options))
        return done["accuracy"], done["ci95"]

    assert judged("npz", 1) == judged("npz", 1) == judged("folder", 1)
    assert judged("npz", 1) != judged("npz", 2)


def test_evaluate_in_text_says_the_interval_and_the_protocol(dataset: Callable[[str], str]) -> None:
    text = cli("evaluate", "omniglot", "--dataset", dataset("npz"), *EPISODES).stdout
    assert "±" in text
    assert "3-way 1-shot, 2 queries, 20 episodes" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--shot", 3], ["class 0 has 4 examples", "shot 3 + query 2 need 5"]),
        (["--way", 7], ["Way 7 needs 7 classes", "has 6"]),
        (["--way", 1], ["way 1"]),
        (["--seed", -1], ["seed -1"]),
        (["--episodes", 1], ["1 episodes give no interval"]),
        (["--split", "test"], ["Way 3 needs 3 classes", "test split"]),
        (["--steps", 5], ["The prototype head takes no steps", "linear head"]),
        (["--steps", 0], ["The prototype head takes no steps"]),
        (["--steps", 5, "--head", "prototype", "--within-alphabet"], ["The prototype head takes no steps"]),
        (["--steps", 0, "--head", "linear"], ["0 steps are not possible", "Use 1 to 100000"]),
        (["--steps", -3, "--head", "linear"], ["-3 steps are not possible"]),
        (["--way", 7, "--within-alphabet"], ["Way 7 needs 7 classes", "has 6"]),
    ],
    ids=str,
)
def test_an_impossible_protocol_is_explained(dataset: Callable[[str], str], options: list[object], words: list[str]) -> None:
    message = complaint(cli("evaluate", "omniglot", "--dataset", dataset("npz"), *EPISODES, *options, code=1))
    assert all(word in message for word in words)


def judged(bundle: Bundle, data: Dataset, head: EpisodeHead, within_group: bool = False, **protocol: int) -> Interval:
    """The result that `evaluate` should find, from its parts."""
    embeddings = embed_all(open_encoder(bundle), bundle.manifest.input_spec, data.examples)
    episodes = protocol.pop("episodes")
    return Interval.of(accuracies(embeddings, EpisodeSampler(data, **protocol, within_group=within_group), episodes, head))


@pytest.fixture
def confusing(tmp_path: Path) -> str:
    """Three classes of twelve images which prototypes confuse."""
    images = np.concatenate([mixed(label, 4) for label in range(3)])
    np.savez(tmp_path / "mixed.npz", x=images, y=np.repeat(["a", "b", "c"], 12))
    return f"npz:{tmp_path / 'mixed.npz'}"


SIX_SHOTS = {"way": 3, "shot": 6, "query": 6, "episodes": 120, "seed": 7}


@pytest.mark.parametrize("steps", [None, 1, 2, 4])
def test_the_linear_head_takes_as_many_steps_as_asked(tmp_path: Path, confusing: str, steps: int | None) -> None:
    folder, name = altered(tmp_path, lambda fields: fields["head"].update(steps=2, learning_rates=[0.1, 1.0])), confusing
    bundle = Bundle.open(folder)
    data = load_dataset(name, "all", bundle.manifest.input_spec)
    rates = {None: (0.1, 1.0), 1: (0.1,), 2: (0.1, 1.0), 4: (0.1, 1.0, 1.0, 1.0)}

    def after(*those: float) -> Interval:
        return judged(bundle, data, adapted_head(AdaptationConfig("gradient", those)), **SIX_SHOTS)

    by_hand = {count: after(*those) for count, those in rates.items()}
    others = [after(0.1, 1.0, 0.1, 1.0), after(0.1, 1.0, 0.1, 0.1)]
    assert len({by_hand[1], by_hand[2], by_hand[4], *others}) == 5, "the data does not tell which steps were taken"

    found = evaluate(bundle, name, EpisodeProtocol("all", **SIX_SHOTS), head="linear", solver="gradient", steps=steps)
    assert found.accuracy == by_hand[steps]
    assert (found.steps, found.head, found.protocol.within_alphabet) == (steps or 2, "linear", False)

    options = [part for key, value in SIX_SHOTS.items() for part in (f"--{key}", value)]
    options += ["--split", "all", "--head", "linear", "--solver", "gradient", *([] if steps is None else ["--steps", steps])]
    done = said(cli("evaluate", folder, "--dataset", name, *options, "--json"))
    assert (done["accuracy"], done["ci95"]) == (by_hand[steps].mean, by_hand[steps].ci95)
    assert (done["steps"], done["head"], done["within_alphabet"]) == (steps or 2, "linear", False)
    text = cli("evaluate", folder, "--dataset", name, *options).stdout
    assert f"linear head by gradient, at most {steps or 2} steps, " in text


def test_unknown_heads_and_steps_without_a_head_are_refused(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="There is no head 'cosine'"):
        evaluate(bundle, "nosuch", head="cosine")
    with pytest.raises(InputError, match="There is no head 'cosine'"):
        evaluate(bundle, "nosuch", head="cosine", steps=5)
    for option in ({"steps": 5}, {"solver": "lda"}):
        with pytest.raises(InputError, match="The prototype head takes no steps and no solver"):
            evaluate(bundle, "nosuch", **option)
    with pytest.raises(InputError, match="There is no solver 'newton'"):
        evaluate(bundle, "nosuch", head="linear", solver="newton")


@pytest.fixture
def alphabets(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Let load_dataset give alphabets of 3, 4 and 1 classes by four drawers, the last of whom errs."""
    groups = ("Greek", "Latin", "Greek", "Latin", "Runes", "Latin", "Greek", "Latin")
    images = np.concatenate([image for kind in range(8) for image in (takes(kind, 3), takes((kind + 2) % 8, 1, first=9))])
    labels = np.repeat(np.arange(8, dtype=np.int32), 4)
    names = tuple(f"{group}/{kind}" for kind, group in enumerate(groups))
    data = Dataset("made", "test", images[..., None], labels, names, groups, np.tile(np.arange(4, dtype=np.int32), 8))
    monkeypatch.setattr("edge_meta.evaluation.evaluator.load_dataset", lambda *_: data)
    return data


ONE_SHOT = {"way": 3, "shot": 1, "query": 1, "episodes": 50, "seed": 2}
ONE_SHOT_OPTIONS = [part for key, value in ONE_SHOT.items() for part in (f"--{key}", value)]


@pytest.mark.parametrize("option", ["--within-alphabet", "--within-group"])
@pytest.mark.parametrize("head", ["prototype", "linear"])
def test_within_an_alphabet_episodes_are_of_one_group(alphabets: Dataset, bundle: Bundle, option: str, head: str) -> None:
    rule = prototype_head if head == "prototype" else adapted_head(AdaptationConfig("lda"))
    expected = judged(bundle, alphabets, rule, within_group=True, **ONE_SHOT)
    anywhere = judged(bundle, alphabets, rule, **ONE_SHOT)
    anyones = judged(bundle, replace(alphabets, authors=None), rule, within_group=True, **ONE_SHOT)
    assert len({expected, anywhere, anyones}) == 3, "the data does not tell how episodes were drawn"

    arguments = ["evaluate", "omniglot", "--dataset", "made", *ONE_SHOT_OPTIONS, "--head", head]
    done = said(cli(*arguments, option, "--json"))
    assert (done["accuracy"], done["ci95"], done["within_alphabet"]) == (expected.mean, expected.ci95, True)
    assert (done["solver"], done["steps"]) == (None if head == "prototype" else "lda", None)
    without = said(cli(*arguments, "--json"))
    assert (without["accuracy"], without["ci95"], without["within_alphabet"]) == (anywhere.mean, anywhere.ci95, False)
    assert f"test classes of made, within one group, {head} head" in cli(*arguments, option).stdout
    assert "within" not in cli(*arguments).stdout


def test_evaluate_text_of_the_prototype_head_has_no_steps(alphabets: Dataset) -> None:
    text = cli("evaluate", "omniglot", "--dataset", "made", *ONE_SHOT_OPTIONS).stdout
    assert "prototype head, " in text
    assert "steps" not in text


def test_a_way_beyond_every_alphabet_is_explained(alphabets: Dataset) -> None:
    arguments = ["evaluate", "omniglot", "--dataset", "made", *ONE_SHOT_OPTIONS, "--way", 5]
    assert "5-way" in cli(*arguments).stdout
    message = complaint(cli(*arguments, "--within-alphabet", code=1))
    assert "Way 5 within one group" in message
    assert "the test split of made, 'Latin', has 4." in message


def test_the_class_that_is_too_small_is_named(dataset: Callable[[str], str], tmp_path: Path) -> None:
    name = dataset("folder")
    for image in sorted((tmp_path / "drawn" / "class 4").iterdir())[1:]:
        image.unlink()
    message = complaint(cli("evaluate", "omniglot", "--dataset", name, *EPISODES, code=1))
    assert "class 4 has 1 examples" in message


def spoilt(kind: str, path: Path) -> None:
    images, labels = np.zeros((8, 28, 28), np.uint8), np.arange(8)
    if kind == "text":
        path.write_bytes(b"not an archive")
    elif kind == "one array":
        with path.open("wb") as file:
            np.save(file, images)
    elif kind == "damaged":
        noise = np.random.default_rng(0).integers(0, 4, (8, 28, 28), np.uint8)
        np.savez_compressed(path, x=noise, y=labels)
        content = path.read_bytes()
        path.write_bytes(content[:300] + bytes(200) + content[500:])
    elif kind != "missing":
        arrays = {
            "other names": {"images": images, "labels": labels},
            "floats": {"x": images / 255.0, "y": labels},
            "flat": {"x": images.reshape(8, -1), "y": labels},
            "fewer labels": {"x": images, "y": labels[:5]},
            "objects": {"x": images, "y": labels.astype(object)},
            "empty": {"x": images[:0], "y": labels[:0]},
        }
        np.savez(path, **arrays[kind])


@pytest.mark.parametrize(
    "kind",
    ["missing", "text", "one array", "damaged", "other names", "floats", "flat", "fewer labels", "objects", "empty"],
)
def test_an_npz_file_that_is_no_dataset_is_explained(tmp_path: Path, kind: str) -> None:
    spoilt(kind, tmp_path / "data.npz")
    message = complaint(cli("evaluate", "omniglot", "--dataset", f"npz:{tmp_path / 'data.npz'}", *EPISODES, code=1))
    assert "data.npz" in message


@pytest.mark.parametrize(
    ("spoil", "named"), [("missing", "photos"), ("no classes", "photos"), ("no images", "empty"), ("bad image", "bad.png")]
)
def test_a_folder_that_is_no_dataset_is_explained(tmp_path: Path, spoil: str, named: str) -> None:
    folder = tmp_path / "photos"
    if spoil != "missing":
        folder.mkdir()
    if spoil in ("no images", "bad image"):
        png(tmp_path, "photos/good/good.png", draw(0))
        (folder / "empty").mkdir()
        (folder / "empty" / "notes.txt").write_text("no image")
    if spoil == "bad image":
        (folder / "empty" / "bad.png").write_text("no image")
    message = complaint(cli("evaluate", "omniglot", "--dataset", f"folder:{folder}", *EPISODES, code=1))
    assert named in message
