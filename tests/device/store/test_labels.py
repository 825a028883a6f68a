"""Labels: one form for each, and those of older stores are found by any."""

from __future__ import annotations

from typing import Any

import pytest

from edge_meta.errors import LabelError
from edge_meta.store.labels import LabelForms, usual_form

COMPOSED, DECOMPOSED = "Caf\u00e9", "Cafe\u0301"


@pytest.mark.parametrize("label", [COMPOSED, DECOMPOSED, f" {COMPOSED}", f"{DECOMPOSED}\n", f"\u2003{COMPOSED}\t"])
def test_a_label_has_one_form(label: str) -> None:
    assert usual_form(label) == COMPOSED


@pytest.mark.parametrize("label", ["", " \n", None, 7, b"alef", "two\nlines", "two\rlines", "two\u2028lines"])
def test_a_label_is_one_line_of_text(label: Any) -> None:
    with pytest.raises(LabelError, match=r"Give a label (that is not empty|of one line)\."):
        usual_form(label)


def forms(*labels: str) -> LabelForms:
    return LabelForms(labels, labels.__contains__)


def test_an_enrolled_label_is_found_by_any_of_its_forms() -> None:
    assert forms().name(DECOMPOSED) == COMPOSED
    assert forms(COMPOSED).name(f"{DECOMPOSED} ") == COMPOSED
    assert forms(DECOMPOSED).name(COMPOSED) == DECOMPOSED
    assert forms(" bet").name("bet") == " bet"


def test_of_two_forms_in_one_store_each_is_found_as_it_is() -> None:
    both = forms(DECOMPOSED, COMPOSED, "two\nlines")
    assert [both.name(label) for label in (DECOMPOSED, COMPOSED, "two\nlines")] == [DECOMPOSED, COMPOSED, "two\nlines"]
    assert both.name(f" {COMPOSED}") == COMPOSED


def test_a_label_that_has_gone_is_no_longer_found() -> None:
    labels = [DECOMPOSED]
    found = LabelForms(labels, labels.__contains__)
    assert found.name(COMPOSED) == DECOMPOSED
    labels.clear()
    assert found.name(COMPOSED) == COMPOSED


def test_a_label_can_be_renamed_to_another_form_of_itself() -> None:
    assert forms(DECOMPOSED).renamed(COMPOSED, COMPOSED) == (DECOMPOSED, COMPOSED)
    assert forms(DECOMPOSED, "bet").renamed("bet", COMPOSED) == ("bet", DECOMPOSED)
    assert forms("bet").renamed("bet", " gimel") == ("bet", "gimel")
