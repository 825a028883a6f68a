"""Text made safe to print."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_meta.errors import EdgeMetaError
from edge_meta.reports.page import escaped, page
from edge_meta.text import printable

CONTROLS = ["Cc", "Cs", "Zl", "Zp"]
REORDERING = ["LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"]


@pytest.mark.parametrize(
    ("character", "shown"),
    [
        ("\x1b", r"\x1b"), ("\n", r"\n"), ("\r", r"\r"), ("\x00", r"\x00"), ("\x7f", r"\x7f"), ("\x9b", r"\x9b"),
        ("\u2028", r"\u2028"), ("\u202e", r"\u202e"), ("\u2066", r"\u2066"), ("\u200f", r"\u200f"),
        ("\udcff", r"\udcff"),
    ],
)  # fmt: skip
def test_a_control_character_is_shown_as_an_escape(character: str, shown: str) -> None:
    assert printable(f"a{character}b") == f"a{shown}b"


@pytest.mark.parametrize("text", ["naïve", "מים", "e\u0301", "👩‍👩‍👧", "क्‍ष", "a\\b", "–→µ", "\u3000"])
def test_other_characters_stay(text: str) -> None:
    assert printable(text) == text


@given(st.text(st.characters(categories=[*CONTROLS, "Cf", "L", "N", "So"])))
def test_no_control_character_is_left(text: str) -> None:
    shown = printable(text)
    assert not [each for each in shown if unicodedata.category(each) in CONTROLS]
    assert not [
        each for each in shown if unicodedata.bidirectional(each) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "FSI")
    ]
    assert printable(shown) == shown
    shown.encode()


def test_an_error_is_one_printable_paragraph() -> None:
    error = EdgeMetaError("There is no label 'a\x1b[2J\n'.", "See \u202einspect.")
    assert str(error) == r"There is no label 'a\x1b[2J\n'. See \u202einspect."


def test_a_page_shows_markup_and_controls_as_text() -> None:
    assert escaped("<b>\x1b\udcff") == r"&lt;b&gt;\x1b\udcff"
    page("\udcff\x00", []).encode()
