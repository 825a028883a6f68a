"""Pieces of SVG, as text: a device has no matplotlib, and a page with them needs no other file."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge_meta.reports.page import escaped

WIDTH = 720
COLOURS = ("#1f6feb", "#d9730d", "#1a7f37", "#8250df", "#cf222e", "#57606a")
INK, QUIET, LINE = "#1c2128", "#59636e", "#d8dee4"


def drawing(description: str, height: float, parts: Sequence[str], width: float = WIDTH) -> str:
    """Return a whole drawing.

    Args:
        description: the drawing in words, for those who do not see it.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img" '
        f'aria-label="{escaped(description)}" font-family="system-ui, sans-serif" font-size="13">{"".join(parts)}</svg>'
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str = LINE) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def path(points: Sequence[tuple[float, float]], style: str) -> str:
    """Return a line through points in pixels, with attributes for its stroke."""
    return f'<polyline points="{_pairs(points)}" fill="none" {style}/>'


def area(points: Sequence[tuple[float, float]], colour: str) -> str:
    """Return a translucent area inside points in pixels."""
    return f'<polygon points="{_pairs(points)}" fill="{colour}" fill-opacity="0.2"/>'


def dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'


def bar(x: float, y: float, width: float, height: float, colour: str, title: str = "") -> str:
    """Return a rectangle; `title` is shown when one points at it."""
    inside = f"<title>{escaped(title)}</title>" if title else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}">{inside}</rect>'


def text(x: float, y: float, content: str, anchor: str = "start", ink: str = INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{ink}">{escaped(content)}</text>'


def number(value: float) -> str:
    """Write a number with three digits, as people do: 0.25, 47.1, 1,480."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    magnitude = math.floor(math.log10(abs(value)))
    written = f"{round(value, 2 - magnitude):,.{max(0, 2 - magnitude)}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def _pairs(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
