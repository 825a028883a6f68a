"""The command line: what scripts rely on, and errors that a user can act on."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.device import altered, bytes_in, cli, complaint, draw, mixed, png, python, said, takes

from edge_meta.cli import VERBS
from edge_meta.runtime.bundle import Bundle


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with images KIND-TAKE.png of three kinds, and a store.db in which kinds 0 and 1 are enrolled."""
    for kind in range(3):
        for take in range(3):
            png(tmp_path, f"{kind}-{take}.png", draw(kind, take))
    for kind, label in enumerate(["alef", "bet"]):
        images = [tmp_path / f"{kind}-{take}.png" for take in range(2)]
        cli("enroll", "omniglot", label, *images, "--store", tmp_path / "store.db")
    return tmp_path


# What scripts rely on


def test_enroll_prints_what_it_did(shop: Path) -> None:
    images = [shop / "0-2.png", shop / "2-0.png"]
    done = said(cli("enroll", "omniglot", "alef", *images, "--store", shop / "store.db", "--json"))
    assert done == {"label": "alef", "added": 2, "shots": 4, "classes": 2, "unreadable": [], "warnings": []}
    text = cli("enroll", "omniglot", "gimel", shop / "2-1.png", "--store", shop / "store.db").stdout
    assert text == "gimel: 1 added, 1 shots; 3 classes\n"


def test_classify_prints_a_result_for_each_file(shop: Path) -> None:
    files = [str(shop / "0-0.png"), str(shop / "1-1.png")]
    results = said(cli("classify", "omniglot", *files, "--store", shop / "store.db", "--json", "--top-k", 2))["results"]
    assert [result["file"] for result in results] == files
    for result, label in zip(results, ["alef", "bet"], strict=True):
        assert set(result) == {"file", "label", "known", "score", "distance", "top"}
        assert (result["label"], result["known"]) == (label, True)
        assert [set(near) for near in result["top"]] == [{"label", "score"}] * 2
        assert result["top"][0] == {"label": label, "score": result["score"]}
        assert sum(near["score"] for near in result["top"]) == pytest.approx(1.0)
    text = cli("classify", "omniglot", *files, "--store", shop / "store.db").stdout.splitlines()
    assert [line.split("  ")[0] for line in text] == [f"{files[0]}: alef", f"{files[1]}: bet"]


def test_unknown_is_null_and_its_nearest_labels_are_listed(tmp_path: Path, shop: Path) -> None:
    bundle = altered(
        tmp_path, lambda fields: fields["rejection"].update(labels=[1], rates=[0.05, 0.1], far=[[[1e-9] * 2]] * 2)
    )
    result = said(cli("classify", bundle, shop / "0-2.png", "--store", shop / "store.db", "--json"))["results"][0]
    assert (result["label"], result["known"], result["top"][0]["label"]) == (None, False, "alef")
    assert ": unknown  (nearest: alef" in cli("classify", bundle, shop / "0-2.png", "--store", shop / "store.db").stdout


def test_inspect_prints_what_the_bundle_is_and_what_is_enrolled(shop: Path, bundle: Bundle) -> None:
    facts = said(cli("inspect", "omniglot", "--store", shop / "store.db", "--json"))
    assert facts.keys() >= {"format", "dim", "metric", "quantization", "classes"}
    assert (facts["format"], facts["dim"], facts["metric"]) == (1, bundle.manifest.dim, "squared_euclidean")
    assert facts["quantization"] == bundle.manifest.quantization
    assert facts["encoder_id"] == bundle.manifest.encoder_id
    assert facts["classes"] == [{"label": "alef", "shots": 2}, {"label": "bet", "shots": 2}]

    with_shots = said(cli("inspect", "omniglot", "--shots", "--store", shop / "store.db", "--json"))["classes"]
    assert [len(entry["ids"]) for entry in with_shots] == [2, 2]
    text = cli("inspect", "omniglot", "--shots", "--store", shop / "store.db").stdout
    assert "alef: 2 shots" in text
    assert all(shot["id"] in text for entry in with_shots for shot in entry["ids"])


@pytest.fixture
def teach(tmp_path: Path) -> Callable[..., list[object]]:
    """teach(name, *images): enroll an array of images for each label, and give the option that names the store."""

    def enroll(name: str, *images: NDArray[np.uint8]) -> list[object]:
        for label, examples in enumerate(images):
            files = [png(tmp_path, f"{name}/{label}-{index}.png", image) for index, image in enumerate(examples)]
            cli("enroll", "omniglot", label, *files, "--store", tmp_path / f"{name}.db")
        return ["--store", tmp_path / f"{name}.db"]

    return enroll


def test_adapt_and_undo_print_what_they_did(teach: Callable[..., list[object]]) -> None:
    store = [*teach("mixed", mixed(0, 2), mixed(1, 2)), "--json"]
    adapted = said(cli("adapt", "omniglot", "--steps", 4, "--learning-rate", 0.1, *store))
    assert set(adapted) == {
        "steps", "shots", "classes", "loss_before", "loss_after", "solver", "changed", "steps_allowed", "held_out",
        "held_out_loss_before", "held_out_loss_after", "held_out_accuracy_before", "held_out_accuracy_after",
    }  # fmt: skip
    assert (adapted["steps"], adapted["shots"], adapted["classes"]) == (4, 12, 2)
    assert (adapted["solver"], adapted["changed"], adapted["steps_allowed"], adapted["held_out"]) == (
        "gradient",
        True,
        4,
        12,
    )
    assert adapted["held_out_loss_after"] < adapted["held_out_loss_before"]
    assert said(cli("inspect", "omniglot", *store))["adapted"] is True
    undone = said(cli("undo", "omniglot", *store))
    assert undone == {"action": "adapt", "label": None, "shots": 0, "classes": 2, "scrub_pending": False}
    assert said(cli("inspect", "omniglot", *store))["adapted"] is False


def test_adapt_in_text_says_what_it_judged_by(teach: Callable[..., list[object]]) -> None:
    def adapted(*arguments: object) -> str:
        return cli("adapt", "omniglot", *arguments).stdout

    store = teach("mixed", mixed(0, 2), mixed(1, 2))
    better = adapted(*store, "--steps", 4, "--learning-rate", 0.1)
    assert re.fullmatch(
        r"Adapted to 12 shots of 2 labels by [1-4] of 4 steps\. Right on \d+ of 12 held-out shots, \d+ before\.\n", better
    )
    assert adapted(*store, "--solver", "ridge").startswith("Adapted to 12 shots of 2 labels by ridge. Right on ")
    worse = adapted(*store, "--learning-rate", 1e30)
    assert re.fullmatch(
        r"Not adapted: fitting to 12 shots of 2 labels by at most \d+ steps did no better\. "
        r"Right on \d+ of 12 held-out shots, as before\. Try more shots, or another bundle\.\n",
        worse,
    )
    nothing = "Not adapted: no label has two shots, so none could be held out to judge by. Enroll more shots.\n"
    assert adapted(*teach("single", takes(0, 1), takes(1, 1))) == nothing


def test_forget_and_undo_print_what_they_did(shop: Path) -> None:
    store = ["--store", shop / "store.db", "--json"]
    shot = said(cli("inspect", "omniglot", "--shots", *store))["classes"][0]["ids"][0]["id"]
    forgotten = said(cli("forget", "omniglot", "alef", "--shot", shot, *store))
    assert forgotten == {"label": "alef", "removed": 1, "classes": 2, "head_reset": False, "scrub_pending": False}
    undone = said(cli("undo", "omniglot", *store))
    assert undone == {"action": "enroll", "label": "bet", "shots": 2, "classes": 1, "scrub_pending": False}
    again = said(cli("forget", "omniglot", "alef", *store))
    assert again == {"label": "alef", "removed": 1, "classes": 0, "head_reset": False, "scrub_pending": False}


def test_rename_and_undo_print_what_they_did(shop: Path) -> None:
    store = ["--store", shop / "store.db"]
    renamed = said(cli("rename", "omniglot", "alef", "aleph", *store, "--json"))
    assert renamed == {"old": "alef", "label": "aleph", "shots": 2, "classes": 2}
    assert said(cli("classify", "omniglot", shop / "0-2.png", *store, "--json"))["results"][0]["label"] == "aleph"
    assert cli("undo", "omniglot", *store).stdout == "Undone: rename (the label is alef again); 2 classes\n"
    assert cli("rename", "omniglot", "alef", "a", *store).stdout == "alef is a: 2 shots; 2 classes\n"


def test_labels_and_file_names_are_any_unicode(tmp_path: Path) -> None:
    image, store = png(tmp_path, "снимок 👴.png", draw(0)), tmp_path / "store.db"
    cli("enroll", "omniglot", "дед 👴 שלום", image, "--store", store)
    result = said(cli("classify", "omniglot", image, "--store", store, "--json"))["results"][0]
    assert (result["file"], result["label"]) == (str(image), "дед 👴 שלום")


# Where things go


def test_without_a_store_option_the_users_data_folder_is_used(tmp_path: Path, data_folder: Path, bundle: Bundle) -> None:
    assert said(cli("inspect", "omniglot", "--json"))["classes"] == []
    assert not data_folder.exists()
    cli("enroll", "omniglot", "alef", png(tmp_path, "image.png", draw(0)))
    facts = said(cli("inspect", "omniglot", "--json"))
    assert facts["classes"] == [{"label": "alef", "shots": 1}]
    assert Path(facts["store"]) == data_folder / "edge_meta" / f"omniglot-{bundle.manifest.encoder_id[:12]}.db"
    assert [file.name for file in (data_folder / "edge_meta").iterdir()] == [Path(facts["store"]).name]


def test_the_shipped_bundle_is_never_written(tmp_path: Path, bundle: Bundle) -> None:
    before, names = bytes_in(bundle.path), sorted(os.listdir(bundle.path))
    cli("enroll", "omniglot", "alef", png(tmp_path, "image.png", draw(0)))
    cli("forget", "omniglot", "alef")
    assert bytes_in(bundle.path) == before
    assert sorted(os.listdir(bundle.path)) == names


# Errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["classify", "nosuch", "0-0.png"], ["no bundle at nosuch", "omniglot"]),
        (["classify", "omniglot", "nosuch.png"], ["nosuch.png does not exist", "path"]),
        (["classify", "omniglot", "text.png"], ["text.png is not a readable image", "PNG"]),
        (["enroll", "omniglot", "alef", "0-0.png", "text.png"], ["text.png", "Remove it"]),
        (["enroll", "omniglot", " ", "0-0.png"], ["not a label"]),
        (
            ["classify", "omniglot", "0-0.png", "--store", "empty.db"],
            ["Nothing is enrolled in empty.db", "edge-meta enroll"],
        ),
        (["classify", "omniglot", "0-0.png", "--store", "text.png"], ["text.png is not a store", "--store"]),
        (["enroll", "omniglot", "alef", "0-0.png", "--store", "text.png/deep.db"], ["text.png", "--store"]),
        (["enroll", "omniglot", "alef", "0-0.png", "--threads", "0"], ["0 threads", "1 or more"]),
        (["adapt", "omniglot", "--store", "empty.db"], ["at least two labels"]),
        (["adapt", "omniglot", "--steps", "0"], ["0 steps"]),
        (["adapt", "omniglot", "--solver", "ridge", "--steps", "5"], ["ridge takes no steps", "gradient"]),
        (["forget", "omniglot", "dalet"], ["'dalet' is not enrolled", "alef, bet"]),
        (["forget", "omniglot", "alef", "--shot", "00"], ["no shot '00'", "inspect"]),
        (["rename", "omniglot", "alef", "bet"], ["'bet' is enrolled already", "another name"]),
        (["rename", "omniglot", "dalet", "d"], ["'dalet' is not enrolled", "alef, bet"]),
        (["undo", "omniglot", "--store", "empty.db"], ["empty.db"]),
        (["evaluate", "omniglot", "--dataset", "nosuch"], ["no dataset 'nosuch'", "npz:PATH"]),
    ],
    ids=lambda value: " ".join(value) if value[0] in VERBS else "",
)
def test_a_users_problem_is_one_paragraph_and_exit_code_1(
    shop: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    monkeypatch.chdir(shop)
    (shop / "text.png").write_text("not an image")
    before = (shop / "store.db").read_bytes()
    if "--store" not in arguments and arguments[0] != "evaluate":
        arguments = [*arguments, "--store", "store.db"]
    message = complaint(cli(*arguments, code=1))
    assert all(word in message for word in words)
    assert (shop / "store.db").read_bytes() == before
    assert not (shop / "empty.db").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["nosuch"], ["enroll"], ["enroll", "omniglot"], ["enroll", "omniglot", "alef"], ["classify", "omniglot"],
        ["classify", "omniglot", "x.png", "--top-k", "0"], ["classify", "omniglot", "x.png", "--backend", "onnx"],
        ["adapt", "omniglot", "--steps", "many"], ["adapt", "omniglot", "--solver", "sgd"],
        ["inspect", "omniglot", "--nosuch"], ["inspect", "omniglot", "--threads", "2"],
        ["inspect", "omniglot", "--backend", "litert"], ["inspect", "omniglot", "--verify", "--no-xnnpack"],
        ["evaluate", "omniglot"],
        ["evaluate", "omniglot", "--dataset", "npz:x.npz", "--head", "cosine"],
        ["evaluate", "omniglot", "--dataset", "npz:x.npz", "--head", "linear", "--steps", "many"],
        ["evaluate", "omniglot", "--dataset", "npz:x.npz", "--within-alphabet", "Latin"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    result = cli(*arguments, code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("Usage: ")


# The real thing


def test_a_process_prints_its_result_and_nothing_else(tmp_path: Path, shop: Path) -> None:
    store = ["--store", shop / "store.db"]
    done = python(tmp_path, "-m", "edge_meta", "classify", "omniglot", shop / "0-0.png", *store, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"][0]["label"] == "alef"
    assert done.stderr == ""
    failed = python(tmp_path, "-m", "edge_meta", "classify", "omniglot", shop / "nosuch.png", *store)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == f"Error: {shop / 'nosuch.png'} does not exist. Check the path.\n"


def test_a_file_name_that_is_not_utf8_can_be_printed(tmp_path: Path, shop: Path) -> None:
    image = os.fsdecode(os.fsencode(shop) + b"/caf\xe9.png")
    os.rename(shop / "0-2.png", image)
    arguments = ["-m", "edge_meta", "classify", "omniglot", image, "--store", shop / "store.db"]
    for options in ([], ["--json"]):
        done = python(tmp_path, *arguments, *options, PYTHONIOENCODING="utf-8")
        assert done.returncode == 0, done.stderr
        assert "alef" in done.stdout
    assert json.loads(done.stdout)["results"][0]["file"] == image


def test_without_a_stderr_results_are_printed_all_the_same(tmp_path: Path, shop: Path) -> None:
    closed = "import os, sys; os.close(2); os.execv(sys.executable, [sys.executable, '-m', 'edge_meta', *sys.argv[1:]])"
    done = python(tmp_path, "-c", closed, "inspect", "omniglot", "--store", shop / "store.db", "--json")
    assert done.returncode == 0
    assert len(json.loads(done.stdout)["classes"]) == 2
