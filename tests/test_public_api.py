"""The names that `edge_meta` exports, on a workstation; tests/device/test_imports.py has a device's."""

from __future__ import annotations

import importlib

import pytest

import edge_meta


@pytest.mark.parametrize("name", edge_meta.__all__)
def test_every_exported_name_resolves(name: str) -> None:
    value = getattr(edge_meta, name)
    assert value.__name__ == name
    assert getattr(importlib.import_module(value.__module__), name) is value
    assert vars(edge_meta)[name] is value  # and is found at once the next time
