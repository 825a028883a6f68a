"""Measure the `objects` bundle on things that fill a fifth of the frame, and whether several views of a photo help.

    python benchmarks/objects/clutter.py objects

Each test photo is pasted, at a random place, on one of Caltech-101's background photos. Prints 5-way 5-shot accuracies in %
with 95 % intervals where nothing, the queries, or shots and queries are cluttered, for three ways to see a photo: whole; its
centre alone; and as the whole, the centre and four corners, of which the one nearest to a prototype counts. Shots are
seen whole, or by their centre.
"""

from __future__ import annotations

import zipfile

import click
import numpy as np
from collect import SOURCES, photos_of
from judge import SETS, SPLITS
from numpy.typing import NDArray
from PIL import Image

from edge_meta.datasets import cache
from edge_meta.datasets.base import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.interval import Interval
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import open_encoder

WAY, SHOT, QUERIES, EPISODES = 5, 5, 10, 500
FRAME = 256  # pixels
SHARE = 0.2  # of the frame's area that the thing fills
VIEW = 0.6  # of the frame's side, in the centre and in the corners
BACKGROUNDS = "101_ObjectCategories/BACKGROUND_Google/"
WHOLE, CENTRE = 0, 1  # views

Pixels = NDArray[np.uint8]


def scaled(pixels: Pixels, side: int) -> Pixels:
    """A photo as a square of `side` pixels."""
    resized: Pixels = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))
    return resized


def backgrounds() -> list[Pixels]:
    """Caltech-101's photos of nothing in particular, as frames."""
    with zipfile.ZipFile(cache.folder() / SOURCES["caltech"].archive) as archive:
        names = sorted(name for name in archive.namelist() if name.startswith(BACKGROUNDS) and name.endswith(".jpg"))
        return [scaled(np.asarray(Image.open(archive.open(name)).convert("RGB")), FRAME) for name in names]


def pasted(pixels: Pixels, frame: Pixels, rng: np.random.Generator) -> Pixels:
    """A frame with a photo at a random place."""
    side = round(FRAME * SHARE**0.5)
    top, left = rng.integers(FRAME - side + 1, size=2)
    made: Pixels = frame.copy()
    made[top : top + side, left : left + side] = scaled(pixels, side)
    return made


def views(pixels: Pixels) -> list[Pixels]:
    """The whole, the centre and the four corners."""
    side = round(FRAME * VIEW)
    far, middle = FRAME - side, (FRAME - side) // 2
    corners = ((middle, middle), (0, 0), (0, far), (far, 0), (far, far))
    return [pixels, *(pixels[top : top + side, left : left + side] for top, left in corners)]


def embeddings_of_views(bundle: Bundle, photos: list[Pixels]) -> NDArray[np.float32]:
    """(photos, views, dim)."""
    spec = bundle.manifest.input_spec
    seen = np.stack([spec.read(view) for photo in photos for view in views(photo)])
    embeddings = embed_all(open_encoder(bundle, RuntimeOptions()), spec, seen)
    return embeddings.reshape(len(photos), -1, embeddings.shape[-1])


def accuracy(
    shots: NDArray[np.float32], queries: NDArray[np.float32], shot_view: int, views: slice, sampler: EpisodeSampler
) -> Interval:
    """Accuracy where prototypes are of one view of the shots and a query is at its nearest view."""
    right = []
    for number in range(EPISODES):
        episode = sampler.episode(number)
        prototypes = shots[episode.support, shot_view].mean(axis=1)  # (way, dim)
        asked = queries[episode.query, views]  # (way, queries, views, dim)
        distances = ((asked[..., None, :] - prototypes) ** 2).sum(axis=-1).min(axis=2)
        right.append(np.mean(distances.argmin(axis=-1) == np.arange(len(prototypes))[:, None]))
    return Interval.of(np.array(right))


@click.command()
@click.argument("bundle", metavar="BUNDLE")
@click.option("--split", default="test", show_default=True, type=click.Choice(SPLITS))
def main(bundle: str, split: str) -> None:
    """Print a line for each dataset, kind of clutter and way to see."""
    opened, rng, frames = Bundle.open(bundle), np.random.default_rng(0), backgrounds()
    ways = (("whole", WHOLE, slice(0, 1)), ("centre", CENTRE, slice(1, 2)), ("six views of queries", WHOLE, slice(0, 6)))
    for name in SETS:
        found = sorted(photos_of(SOURCES[name], split), key=lambda each: each[0])
        names = sorted({label for label, _ in found})
        labels = np.array([names.index(label) for label, _ in found], np.int32)
        data = Dataset(name, split, np.zeros((len(found), 1), np.uint8), labels, tuple(names), ("",) * len(names))
        sampler = EpisodeSampler(data, WAY, SHOT, QUERIES, seed=0)
        clean = embeddings_of_views(opened, [scaled(pixels, FRAME) for _, pixels in found])
        pastes = [pasted(pixels, frames[rng.integers(len(frames))], rng) for _, pixels in found]
        cluttered = embeddings_of_views(opened, pastes)
        for kind, shots, queries in (
            ("none", clean, clean), ("queries", clean, cluttered), ("shots and queries", cluttered, cluttered)
        ):  # fmt: skip
            for way, shot_view, chosen in ways:
                interval = accuracy(shots, queries, shot_view, chosen, sampler)
                print(f"{name:10} clutter: {kind:18} seen: {way:21} {100 * interval.mean:.1f} ± {100 * interval.ci95:.1f}")


if __name__ == "__main__":
    main()
