"""An HTML page that needs no other file, shared by all reports."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable

from edge_meta.text import printable

_STYLE = """
:root { color-scheme: light; --ink: #1c2128; --quiet: #59636e; --line: #d8dee4; --right: #1a7f37; --wrong: #cf222e; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 960px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
p { margin: .4rem 0; } .quiet { color: var(--quiet); }
table { border-collapse: collapse; margin: .6rem 0; } th, td { padding: .3rem .9rem; border-bottom: 1px solid var(--line); }
th { text-align: left; font-weight: 600; } td { text-align: right; font-variant-numeric: tabular-nums; }
td:first-child { text-align: left; }
.episode td { padding: 2px; border: 0; } .episode td:first-child { padding-right: 1rem; }
.episode img { width: 48px; height: 48px; image-rendering: pixelated; display: block; border: 3px solid var(--line); }
.episode img.right { border-color: var(--right); } .episode img.wrong { border-color: var(--wrong); }
.pictures img { max-width: 96px; max-height: 96px; border: 3px solid var(--line); margin: 2px; vertical-align: middle; }
.pictures img.right { border-color: var(--right); } .pictures img.wrong { border-color: var(--wrong); }
.pictures td { text-align: left; }
.sound { display: inline-block; margin: 2px; vertical-align: top; }
.sound audio { display: block; width: 168px; height: 32px; }
.pictures .sound img { display: block; width: 158px; height: 64px; max-width: none; margin: 0 2px 2px; }
.matrix { display: block; overflow-x: auto; } .matrix td { text-align: center; padding: .3rem .5rem; }
.matrix th span { writing-mode: vertical-rl; }
figure { margin: 0; } figure > audio { width: 100%; } svg { max-width: 100%; height: auto; }
"""


def escaped(text: str) -> str:
    """Text as HTML: its markup and its control characters are shown as they are written."""
    return html.escape(printable(text))


def page(title: str, sections: Iterable[str]) -> str:
    """Return a whole page of sections."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escaped(title)}</title><style>{_STYLE}</style>{''.join(sections)}</html>\n"
    )


def picture_uri(content: bytes) -> str:
    """Return the content of a PNG, JPEG or SVG file as a data URI."""
    kind = "png" if content.startswith(b"\x89PNG") else "svg+xml" if content.startswith(b"<svg") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def section(title: str, text: str, figure: str) -> str:
    """Return a heading, a paragraph and a figure. All three are HTML already."""
    return f"<h2>{title}</h2><p>{text}</p><figure>{figure}</figure>"
