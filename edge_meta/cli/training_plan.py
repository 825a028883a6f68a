"""The plan that edge-meta train prints before it trains on the user's own data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_meta.cli.common import given
from edge_meta.cli.progress import note
from edge_meta.datasets.survey import IMAGE, RECORDING, SERIES, Survey, survey

PLURALS = {RECORDING: "recordings", SERIES: "series"}


def planned(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Choose and print the settings that the user of `train` left open; none for other data than the user's own.

    Raises:
        DatasetError, InputError: see `survey` and `plan`.
    """
    from edge_meta.training.plan import plan

    found = survey(settings["dataset"])
    if found is None:
        return {}
    chosen = plan(found, {name: settings[name] for name in given(settings)})
    note(f"Data: {_data(found)}")
    if chosen:
        note(f"Plan: {options(chosen)}")
    return chosen


def options(settings: Mapping[str, Any]) -> str:
    """Write settings as options of the command line."""
    return " ".join(_option(f"--{name.replace('_', '-')}", value) for name, value in settings.items())


def _option(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"--no-{name.removeprefix('--')}"
    return f"{name} {value if isinstance(value, (str, float, int)) else ','.join(value)}"


def _data(found: Survey) -> str:
    counts = found.classes.values()
    if found.sense != IMAGE:
        return f"{len(counts)} classes of {min(counts)} to {max(counts)} {PLURALS[found.sense]}"
    colour = "in colour" if found.colour else "in grey"
    return f"{len(counts)} classes of {min(counts)} to {max(counts)} images, {colour}, about {found.side} pixels a side"
