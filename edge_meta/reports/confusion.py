"""A confusion matrix as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_meta.reports import svg
from edge_meta.types import Integers

SIDE = 30
RIGHT, WRONG = "31,111,235", "207,34,46"


def confusion_matrix(counts: Integers, pictures: Sequence[str]) -> str:
    """Draw a grid with the classes' pictures along both sides: their names are often characters without a font.

    Args:
        counts: (way, way), rows of true classes, columns of nearest labels.
        pictures: a data URI for each class.
    """
    parts = []
    for index, picture in enumerate(pictures):
        at, size = (index + 1) * SIDE, SIDE - 4
        for x, y in ((0, at), (at, 0)):
            parts.append(f'<image href="{picture}" x="{x + 2}" y="{y + 2}" width="{size}" height="{size}"/>')
    totals = counts.sum(axis=1)
    for (row, column), count in np.ndenumerate(counts):
        share = count / totals[row]
        x, y = (column + 1) * SIDE, (row + 1) * SIDE
        fill = f'fill="rgba({RIGHT if row == column else WRONG},{share:.2f})" stroke="{svg.LINE}"'
        parts.append(f'<rect x="{x}" y="{y}" width="{SIDE - 1}" height="{SIDE - 1}" {fill}/>')
        if count:
            parts.append(svg.text(x + SIDE / 2, y + SIDE / 2 + 4, str(count), "middle", "#fff" if share > 0.5 else svg.INK))
    edge = (len(counts) + 1) * SIDE
    return svg.drawing("Confusion matrix", edge, parts, edge)
