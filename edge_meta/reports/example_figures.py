"""Examples as a page shows them: a picture of each, and a player where there is something to hear."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from edge_meta.reports.page import escaped, picture_uri


@dataclass(frozen=True)
class Figures:
    """Figures of examples by their names.

    Attributes:
        pictures: gives the content of a JPEG, PNG or SVG file, small.
        sounds: gives the content of a .wav file; None where there is nothing to hear.
    """

    pictures: Callable[[str], bytes]
    sounds: Callable[[str], bytes] | None = None

    def __call__(self, name: str, told: str, kind: str = "") -> str:
        """Return an example as HTML.

        Args:
            told: about it, for those who point at it or do not see it.
            kind: `right` or `wrong` draws a border of that colour.
        """
        told = escaped(told)
        picture = f'<img class="{kind}" src="{picture_uri(self.pictures(name))}" alt="{told}" title="{told}">'
        if self.sounds is None:
            return picture
        return f'<span class="sound">{picture}{player(self.sounds(name), told)}</span>'


def player(content: bytes, told: str) -> str:
    """Return the content of a .wav file as something to play, with a description that is HTML already."""
    uri = f"data:audio/wav;base64,{base64.b64encode(content).decode()}"
    return f'<audio controls src="{uri}" aria-label="{told}"></audio>'
