"""Answers and events in the words of the command line, and as JSON."""

from __future__ import annotations

import json
from typing import Any

import click

from edge_meta.runtime.classifier import Classifier
from edge_meta.runtime.results import Event, Result
from edge_meta.store.messages import nothing_enrolled
from edge_meta.text import printable


def answer_fields(file: str, result: Result) -> dict[str, Any]:
    """The answer for a file, for JSON."""
    top = [{"label": near.label, "score": near.score} for near in result.top]
    return {"file": file, **result.best._asdict(), "known": result.known, "top": top}


def answer_line(fields: dict[str, Any]) -> str:
    """The same in words."""
    near = ", ".join(f"{top['label']} {top['score']:.0%}" for top in fields["top"])
    return f"{fields['file']}: {fields['label'] if fields['known'] else 'unknown'}  (nearest: {near})"


def require_enrolled(classifier: Classifier) -> None:
    """Raise LabelError if nothing is enrolled, before anybody waits for the first answer."""
    if not classifier.store.snapshot().labels:
        raise nothing_enrolled(classifier.store.path)


def print_event(event: Event, as_json: bool) -> None:
    """Print a hit in a line."""
    print_line(f"{event.time:8.2f} s  {event.label}  {event.score:.0%}", event._asdict(), as_json)


def print_line(text: str, fields: dict[str, Any], as_json: bool) -> None:
    """Print one of many results in a line, control characters escaped: as JSON, or as text."""
    click.echo((json.dumps(fields) if as_json else printable(text)).encode())
