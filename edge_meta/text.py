"""Text from elsewhere (labels, file names, texts in models), made safe to print."""

from __future__ import annotations

import re

# What a terminal obeys, what ends a line, what reorders the text around it (UAX 9), and lone surrogates, which stand for
# bytes of a file name that are no text. Joiners stay: emoji and some scripts are written with them.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Replace each control character by an escape that shows it, such as \x1b, \n or \u202e; other characters stay."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
