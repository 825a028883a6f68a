"""The card of a bundle: the shipped one is what an export writes, with the notice that its data ask for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from converters.model_card import model_card
from edge_meta.runtime.bundle import Bundle

NOTICE = "Copyright (c) 2015 Brenden Lake"


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.open("omniglot")


def test_the_shipped_card_is_what_an_export_writes(shipped: Bundle) -> None:
    card = (shipped.path / "README.md").read_text("utf-8")
    assert card == model_card("omniglot", shipped.manifest, len(shipped.model))
    assert "Permission is hereby granted, free of charge" in card
    assert NOTICE in card


@pytest.mark.parametrize("training", [{"dataset": "folder:photos"}, {}, {"source": "a.tflite", "tensor": "a"}])
def test_other_data_have_no_notice(shipped: Bundle, training: dict[str, str]) -> None:
    assert NOTICE not in model_card("other", replace(shipped.manifest, training=training), 1)
