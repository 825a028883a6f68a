"""Labels as people give them: one form for a text that Unicode can write in several, and one line without blanks around.

A store keeps any text as its label, and merges keep labels as they are. So labels get their form where people give them, in
`Classifier` and on the command line. A label that was stored in another form before is found by both.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np

from edge_meta.errors import LabelError
from edge_meta.types import Array


def usual_form(label: str) -> str:
    """A label in Unicode's composed form (NFC), without blanks at its ends.

    Raises:
        LabelError: it is no text, is empty, or has several lines.
    """
    if not isinstance(label, str) or not label.strip():
        raise LabelError(f"{label!r} is not a label.", "Give a label that is not empty.")
    usual = unicodedata.normalize("NFC", label).strip()
    if len(usual.splitlines()) > 1:
        raise LabelError(f"The label {usual[:40]!r} has several lines.", "Give a label of one line.")
    return usual


class LabelForms:
    """The enrolled labels, to be found by any of their forms.

    Args:
        labels: that are enrolled; read when a label of another form is first looked for.
        enrolled: tells whether a text is a label now, to the bit.
    """

    def __init__(self, labels: Sequence[str], enrolled: Callable[[str], object]) -> None:
        self._labels, self._enrolled = labels, enrolled

    def name(self, label: str) -> str:
        """The label as it is enrolled, in this form or another; in its usual form if it is not enrolled.

        Raises:
            LabelError: it is no text, is empty, or has several lines; and no such label is enrolled.
        """
        if isinstance(label, str) and self._enrolled(label):
            return label
        usual = usual_form(label)
        other = self._in_other_forms.get(usual)
        return other if other is not None and not self._enrolled(usual) and self._enrolled(other) else usual

    def by_name(self, shots: Mapping[str, Array]) -> dict[str, Array]:
        """Shots (n, D) of each label by its name; those that were given under several of its forms together.

        Raises:
            LabelError: see `name`.
        """
        parts: dict[str, list[Array]] = {}
        for label, embeddings in shots.items():
            parts.setdefault(self.name(label), []).append(embeddings)
        return {name: part[0] if len(part) == 1 else np.concatenate(part) for name, part in parts.items()}

    def renamed(self, old: str, new: str) -> tuple[str, str]:
        """The label as it is enrolled, and its new one; a label may be renamed to another form of itself.

        Raises:
            LabelError: see `name`.
        """
        old, name = self.name(old), self.name(new)
        return old, usual_form(new) if name == old else name

    @cached_property
    def _in_other_forms(self) -> dict[str, str]:
        """Usual form → label, of the labels that were stored in another form."""
        usual = {label: unicodedata.normalize("NFC", label).strip() for label in reversed(self._labels)}
        return {form: label for label, form in usual.items() if form != label}
