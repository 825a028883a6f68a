"""Labels, file names and arguments are printed without control characters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from support.device import altered, cli, draw, png

from edge_meta import Classifier

CONTROLS = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *"\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u200e\u200f"}
HOSTILE = "\x1b]0;mine\x07\x1b[2K\rclean\nError: none\x9b1m\u202etxt\u2066\x7f"

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


def assert_clean(result: Result, lines: int) -> None:
    """Require no control character but the ends of so many lines, which end there."""
    printed = result.stdout + result.stderr
    assert not (CONTROLS - {"\n"}) & {*printed}
    assert printed.count("\n") == lines
    assert printed.endswith("\n")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return png(tmp_path_factory.mktemp("images"), "a.png", draw(0))


@given(texts)
def test_a_label_is_printed_without_controls(image: Path, label: str) -> None:
    label = f"x{label}"
    store = image.parent / "label.db"
    store.unlink(missing_ok=True)
    has_lines = len(label.strip().splitlines()) > 1
    assert_clean(cli("enroll", "omniglot", label, image, "--store", store, code=int(has_lines)), 1)
    if has_lines:  # as older versions could
        with Classifier.load("omniglot", store) as classifier:
            classifier.store.enroll(label, classifier.embed(image)[None])
    assert_clean(cli("inspect", "omniglot", "--store", store), 5)
    assert_clean(cli("classify", "omniglot", image, "--store", store), 1)
    assert_clean(cli("forget", "omniglot", f"{label}x", "--store", store, code=1), 1)
    assert_clean(cli("undo", "omniglot", "--store", store), 1)


@given(texts)
def test_a_file_name_is_printed_without_controls(image: Path, name: str) -> None:
    path = image.parent / "no folder" / f"x{name}"
    assert_clean(cli("classify", "omniglot", path, "--store", image.parent / "none.db", code=1), 1)
    assert_clean(cli("inspect", path, code=1), 1)


@pytest.mark.parametrize("arguments", [[HOSTILE], [f"--{HOSTILE}"], ["undo", "omniglot", HOSTILE], ["undo", f"--{HOSTILE}"]])
def test_a_wrong_argument_is_printed_without_controls(arguments: list[str]) -> None:
    result = cli(*arguments, code=2)
    assert not (CONTROLS - {"\n"}) & {*result.stderr}
    assert result.stderr.splitlines()[-1].startswith("Error: ")


def test_texts_of_a_manifest_are_printed_without_controls(tmp_path: Path, image: Path) -> None:
    bundle = altered(tmp_path, lambda fields: fields.update(format=HOSTILE))
    assert_clean(cli("inspect", bundle, code=1), 1)
    bundle = altered(tmp_path, lambda fields: fields["files"].update({HOSTILE: "0"}), name="files.bundle")
    assert_clean(cli("inspect", bundle, code=1), 1)


def test_json_gives_a_label_as_it_is(image: Path, tmp_path: Path) -> None:
    label = "a\x1b[1m\u202eb"
    result = cli("enroll", "omniglot", label, image, "--store", tmp_path / "a.db", "--json")
    assert json.loads(result.stdout)["label"] == label
    assert result.stdout.isascii()


def test_help_and_usage_keep_their_lines() -> None:
    assert cli("--help").stdout.count("\n") > 10
    assert cli("enroll", code=2).stderr.count("\n") >= 3
    assert cli(code=2).stderr.count("\n") > 10
