"""Charts of many values: a histogram, and a map of embeddings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edge_meta.reports import svg
from edge_meta.reports.axes import Frame, LinearAxis, grid
from edge_meta.reports.svg import COLOURS, WIDTH
from edge_meta.types import Array, Array64, Integers

BINS = 20
MAP_HEIGHT = 420


def histogram(description: str, values: Array64, x: str, y: str) -> str:
    """Draw how often values fall into each of up to 20 equal ranges.

    Args:
        description: the chart in words, for those who do not see it.
        values: finite, at least one.
        x, y: what the axes show.
    """
    counts, edges = np.histogram(values, bins=min(BINS, max(1, len(np.unique(values)))))
    frame = Frame(64, 24, WIDTH - 40, 240)
    across = LinearAxis(edges.tolist(), frame.left, frame.right)
    up = LinearAxis([0.0, float(counts.max())], frame.bottom, frame.top)
    parts = grid(frame, across, up, x, y)
    for count, low, high in zip(counts.tolist(), edges[:-1], edges[1:], strict=True):
        left, top = across(float(low)), up(float(count))
        title = f"{svg.number(float(low))} to {svg.number(float(high))}: {count}"
        parts.append(svg.bar(left, top, max(1.0, across(float(high)) - left - 1), up(0.0) - top, COLOURS[0], title))
    return svg.drawing(description, frame.height, parts)


def embedding_map(description: str, embeddings: Array, labels: Integers, names: Mapping[int, str]) -> str:
    """Draw embeddings (n, D) on their two principal components, a colour for each class.

    Args:
        description: the chart in words, for those who do not see it.
        labels: (n,), the class of each.
        names: of the classes that are drawn; embeddings of others are left out.
    """
    kept = np.isin(labels, list(names))
    labels, values = labels[kept], embeddings[kept].astype(np.float64)
    centred = values - values.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    places = centred @ axes.T
    if places.shape[1] < 2:
        places = np.pad(places, ((0, 0), (0, 2 - places.shape[1])))
    across = LinearAxis(places[:, 0].tolist(), 8, WIDTH - 180)
    up = LinearAxis(places[:, 1].tolist(), MAP_HEIGHT - 8, 8)
    parts = []
    for at, (kind, name) in enumerate(names.items()):
        colour = f"hsl({360 * at // len(names)},65%,42%)"
        parts += [svg.dot(across(float(x)), up(float(y)), colour) for x, y in places[labels == kind]]
        parts += [svg.dot(WIDTH - 165, 20 + 18 * at, colour), svg.text(WIDTH - 155, 24 + 18 * at, name)]
    return svg.drawing(description, max(MAP_HEIGHT, 30 + 18 * len(names)), parts)
