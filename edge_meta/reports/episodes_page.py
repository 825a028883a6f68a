"""The page of a training run or an evaluation: one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge_meta.datasets import Dataset
from edge_meta.evaluation.interval import Interval
from edge_meta.evaluation.judged_episodes import JudgedEpisodes
from edge_meta.inputs.png import write_png
from edge_meta.reports.accuracy_charts import curve
from edge_meta.reports.page import escaped, page, picture_uri, section
from edge_meta.reports.point_charts import embedding_map, histogram
from edge_meta.reports.svg import COLOURS

MOST_CLASSES, MOST_MISTAKES, MOST_MAPPED = 40, 30, 16  # that are shown

SHOWN_SIDE = 96  # pixels of a picture, at most


def render(
    title: str,
    protocol: str,
    judged: JudgedEpisodes,
    made: Mapping[str, str],
    history: Sequence[Mapping[str, Any]] = (),
    parity: Mapping[str, Any] | None = None,
) -> str:
    """Return the page.

    Args:
        title: the run or the bundle, and its data.
        protocol: of the episodes, in words.
        judged: the answers over them.
        made: name → text of how it was made: the command, versions, the host.
        history: a training run's metrics; none for an evaluation.
        parity: a manifest's parity report, of a bundle that was compared with its float encoder.
    """
    accuracy = Interval.of(judged.accuracies)
    sections = [f"<h1>{escaped(title)}</h1>", f'<p class="quiet">{escaped(f"{accuracy}, {protocol}")}.</p>']
    if history:
        sections.append(
            section("Learning curve", "Loss of the training episodes, and accuracy on validation episodes.", curves(history))
        )
    sections += [
        section(
            "Accuracy of each episode",
            f"From {judged.accuracies.min():.1%} to {judged.accuracies.max():.1%}, median "
            f"{np.median(judged.accuracies):.1%}.",
            histogram("Episodes by their accuracy", 100.0 * judged.accuracies, "accuracy of an episode, %", "episodes"),
        ),
        section("Classes", "The least accurate first. In brackets: 95 % intervals.", _classes(judged)),
    ]
    if judged.mistakes:
        text = "Examples that were taken for another class, the most often mistaken first; beside each, one of that class."
        sections.append(section("Mistakes", text, _mistakes(judged)))
    sections.append(
        section(
            "Map of embeddings",
            f"Two principal components; the {MOST_MAPPED} least accurate classes at most. Classes that overlap here may lie "
            "apart in the dimensions that are left out.",
            _map(judged),
        )
    )
    if parity and parity.get("episodes"):
        text = "Accuracy when it was exported, both on the same episodes of validation classes, and the paired difference."
        sections.append(section("Quantized against float", text, _parity(parity)))
    rows = "".join(f"<tr><td>{escaped(name)}<td>{escaped(text)}" for name, text in made.items())
    sections.append(section("How it was made", "", f"<table>{rows}</table>"))
    return page(f"edge_meta: {title}", sections)


def curves(history: Sequence[Mapping[str, Any]]) -> str:
    """Draw the loss and the validation accuracy of a run, side by side."""
    losses = {row["episode"]: Interval(row["loss"], 0.0) for row in history}
    accuracy = {
        row["episode"]: Interval(100 * row["val_accuracy"], 100 * row["val_ci95"])
        for row in history
        if "val_accuracy" in row
    }
    episodes = "training episodes"
    return curve("Training loss by episodes", losses, episodes, "loss", COLOURS[-1], zero=True) + curve(
        "Validation accuracy by episodes", accuracy, episodes, "validation accuracy, %"
    )


def _worst(judged: JudgedEpisodes) -> list[int]:
    """The classes, the least accurate first."""
    return sorted(judged.queries, key=lambda kind: judged.queries[kind].share or 0.0)


def _classes(judged: JudgedEpisodes) -> str:
    names = judged.data.class_names
    pairs: dict[int, dict[int, int]] = {}
    for mistake in judged.mistakes:
        taken = pairs.setdefault(int(judged.data.labels[mistake.example]), {})
        taken[mistake.taken_for] = taken.get(mistake.taken_for, 0) + mistake.times
    rows = ["<tr><th>class<th>right<th>most often taken for"]
    for kind in _worst(judged)[:MOST_CLASSES]:
        taken = pairs.get(kind, {})
        most = max(taken, key=lambda other: taken[other], default=None)
        other = "" if most is None else escaped(f"{names[most]} ({taken[most]} times)")
        rows.append(f"<tr><td>{escaped(names[kind])}<td>{judged.queries[kind]}<td>{other}")
    return f"<table>{''.join(rows)}</table>"


def _mistakes(judged: JudgedEpisodes) -> str:
    data = judged.data
    rows = ["<tr><th>example<th>taken for<th>is<th>taken for<th>times"]
    for mistake in judged.mistakes[:MOST_MISTAKES]:
        other = int(np.flatnonzero(data.labels == mistake.taken_for)[0])
        names = data.class_names[data.labels[mistake.example]], data.class_names[mistake.taken_for]
        pictures = _picture(data, mistake.example, "wrong"), _picture(data, other, "")
        cells = "".join(f"<td>{cell}" for cell in (*pictures, *map(escaped, names), str(mistake.times)))
        rows.append(f"<tr>{cells}")
    return f'<table class="pictures">{"".join(rows)}</table>'


def _picture(data: Dataset, example: int, kind: str) -> str:
    """The picture of an example; its number where it is no image."""
    pixels = data.examples[example]
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        return f"number {example + 1}"
    name = escaped(data.class_names[data.labels[example]])
    pixels = pixels[:: -(-pixels.shape[0] // SHOWN_SIDE), :: -(-pixels.shape[1] // SHOWN_SIDE)]
    return f'<img class="{kind}" src="{picture_uri(write_png(np.ascontiguousarray(pixels)))}" alt="{name}">'


def _map(judged: JudgedEpisodes) -> str:
    names = {kind: judged.data.class_names[kind] for kind in _worst(judged)[:MOST_MAPPED]}
    labels = judged.data.labels.astype(np.int64)
    return embedding_map("Embeddings on two principal components", judged.embeddings, labels, names)


def _parity(parity: Mapping[str, Any]) -> str:
    rows = ["<tr><th>episodes<th>float32<th>quantized<th>drop"]
    for entry in parity["episodes"]:
        cells = [Interval(entry[key]["mean"], entry[key]["ci95"]) for key in ("float32", "quantized", "drop")]
        rows.append(f"<tr><td>{entry['way']}-way {entry['shot']}-shot" + "".join(f"<td>{cell}" for cell in cells))
    return f"<table>{''.join(rows)}</table>"
