"""Series of any length and with any of the channels become an encoder's input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_meta.errors import InputError
from edge_meta.inputs import ArrayInput, SeriesInput, input_from_manifest
from edge_meta.inputs.tables import MOST_BYTES, Table

SPEC = SeriesInput((8, 3), "float32", ("ax", "ay", "az"))


def test_a_series_is_resampled_on_straight_lines() -> None:
    line = np.linspace(0, 1, 29)[:, None] * [1.0, -2.0, 3.0] + 1
    wanted = np.linspace(0, 1, 8)[:, None] * [1.0, -2.0, 3.0] + 1
    np.testing.assert_allclose(SPEC.read(line), wanted, rtol=1e-6)
    assert SPEC.read(line).dtype == np.float32


def test_a_series_of_the_right_length_stays_as_it_is() -> None:
    series = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    np.testing.assert_array_equal(SPEC.read(series), series)


def test_missing_channels_are_zero() -> None:
    given = SPEC.read(np.ones((4, 2)))
    assert given[:, :2].min() == 1
    assert not given[:, 2].any()


def test_zeros_at_the_end_are_padding() -> None:
    series = np.arange(1.0, 13.0).reshape(4, 3)
    padded = np.concatenate([series, np.zeros((9, 3))])
    np.testing.assert_array_equal(SPEC.read(padded), SPEC.read(series))


def test_a_table_gives_its_columns_by_name(tmp_path: Path) -> None:
    table = tmp_path / "wave.csv"
    table.write_text("time, az ,ax\n" + "".join(f"{row},{10 + row},{row}\n" for row in range(1, 9)))
    given = SPEC.read(table)
    np.testing.assert_array_equal(given, np.stack([np.arange(1, 9), np.zeros(8), np.arange(11, 19)], axis=1))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("time,gx\n0,1\n", "No column of .* is one of the encoder's channels: ax, ay, az"),
        ("ax\n1\nfar\n", "has no number in column 'ax'"),
        ("ax,ay\n1,2\n1\n", "has no number in column 'ay'"),
        ("", "No column"),
        ("ax\n1\n", "fewer than two rows"),
        ("ax\n1\nnan\n2\n", "not finite"),
    ],
)
def test_a_bad_table_is_refused_with_its_cause(tmp_path: Path, text: str, cause: str) -> None:
    table = tmp_path / "bad.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=cause):
        SPEC.read(table)


@pytest.mark.parametrize(
    ("series", "cause"),
    [
        (np.ones((5, 4)), "has 4 columns; the encoder takes 1 to 3: ax, ay, az"),
        (np.zeros((5, 3)), "fewer than two rows"),
        (np.full((5, 3), np.inf), "not finite"),
        (np.ones(5), "of shape"),
    ],
)
def test_a_bad_series_is_refused_with_its_cause(series: np.ndarray, cause: str) -> None:
    with pytest.raises(InputError, match=cause):
        SPEC.read(series)


def test_the_manifest_keeps_the_channels() -> None:
    assert input_from_manifest(SPEC.to_manifest()) == SPEC


@pytest.mark.parametrize("channels", [["ax"], ["ax", "ax", "ay"], ["ax", "ay", "az", "gx"]])
def test_channels_that_are_not_the_shapes_are_refused(channels: list[str]) -> None:
    with pytest.raises(ValueError, match="channels"):
        input_from_manifest(SPEC.to_manifest() | {"channels": channels})


def test_an_array_takes_its_shape_alone_and_no_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="of shape"):
        ArrayInput((8, 3)).read(np.ones((9, 3)))
    assert ".csv" not in ArrayInput.suffixes  # so that a list of labels beside arrays is no example


def test_a_table_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        SPEC.read(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"ax\n\xff\xfe\n")
    with pytest.raises(InputError, match="not a readable table"):
        SPEC.read(tmp_path / "binary.csv")


def test_a_table_that_is_too_large_is_refused_for_its_size(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with open(path, "wb") as file:
        file.truncate(MOST_BYTES)
        file.seek(MOST_BYTES)
        file.write("é".encode())  # which the limit cuts in two
    with pytest.raises(InputError, match="more than 67,108,864 bytes"):
        SPEC.read(path)


@pytest.mark.parametrize("name", ["seconds", "seconds_elapsed", "Time (s)", "t", "time"])
def test_rows_have_the_seconds_of_their_column(name: str) -> None:
    rows = list(Table([f"az,{name},ax", "3,0.5,1", "", "4,0.6,2"], "walk.csv").timed_rows(("ax", "ay", "az")))
    assert [seconds for seconds, _ in rows] == [0.5, 0.6]
    np.testing.assert_array_equal([row for _, row in rows], [[1, 0, 3], [2, 0, 4]])


def test_seconds_go_before_a_time_of_another_unit() -> None:
    ((seconds, _),) = Table(["time,seconds_elapsed,ax", "1700000000000000000,0.25,1"], "log.csv").timed_rows(("ax",))
    assert seconds == 0.25


def test_rows_are_given_as_their_lines_come() -> None:
    lines = iter(["t,ax", "0,1", "1,2"])
    rows = Table(lines, "pipe").timed_rows(("ax",))
    assert next(rows)[0] == 0
    assert next(lines) == "1,2"
