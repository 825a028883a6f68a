"""Listen with bundles of sound: false accepts an hour against words that are missed, and the real-time factor.

    python benchmarks/listening.py keywords.npz keywords [BUNDLE...] --hours 10

`keywords.npz` is what `keywords/collect_words.py` wrote. Five command words are enrolled by five speakers each. Hours of
strangers are, a quarter each, other words in noise (recordings that `keywords` was not trained on, one every 2.5 s on an
average), talk by machines, music, and noise; see `strangers.py`. Another stream has the command words of other speakers,
one every 3 s, in noise. Both run through the listener as devices do it, at several limits of unknown. A command word is
found if its own label is a hit within 2.5 s.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from strangers import RATE, Samples, minutes, noise

from edge_meta import Classifier
from edge_meta.runtime.listener import Listener
from edge_meta.runtime.results import Prediction
from edge_meta.types import Array

RATES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)  # of strangers, that the bundle's limits let pass
SHOTS, EVERY, WITHIN = 5, 3.0, 2.5  # seconds
BLOCK = 1600


class Sounds(NamedTuple):
    """Shots by word, makers of a minute of strangers by kind, and a stream of words that are asked, one every 3 s."""

    shots: dict[str, list[Samples]]
    strangers: dict[str, Callable[[], Array]]
    asked: Samples
    words: list[str]


def sounds(path: str, generator: np.random.Generator) -> Sounds:
    """Make the streams from the recordings of the test split."""
    data = np.load(path)
    test = data["split"] == "test"
    x, words, speakers = (data[name][test] for name in ("x", "word", "speaker"))
    is_asked = np.char.startswith(words, "command/")
    givers: list[str] = []
    shots: dict[str, list[Samples]] = {}
    for word in np.unique(words[is_asked]):
        rows = generator.permutation(np.flatnonzero(words == word))
        _, first = np.unique(speakers[rows], return_index=True)
        chosen = generator.permutation(rows[first])[:SHOTS]
        shots[str(word)] = list(x[chosen])
        givers.extend(map(str, speakers[chosen]))
    asked = generator.permutation(np.flatnonzero(is_asked & ~np.isin(speakers, givers)))[:300]
    length = round(EVERY * RATE)
    stream = noise(length * len(asked), generator)
    for place, row in enumerate(asked):
        stream[place * length : place * length + RATE] += x[row]
    return Sounds(shots, minutes(x[~is_asked], generator), _int16(stream), [str(words[row]) for row in asked])


def _int16(sound: Array) -> Samples:
    return np.clip(sound, -32768, 32767).astype(np.int16)


def hits(classifier: Classifier, known: dict[bytes, Array], sound: Samples) -> list[tuple[float, str]]:
    """Seconds and label of each hit; embeddings of windows that were met before are in `known`."""

    def classify(window: Samples) -> Prediction:
        key = hashlib.blake2b(window.tobytes(), digest_size=16).digest()
        if key not in known:
            known[key] = classifier.embed(window)
        return classifier.classify_embedding(known[key], 1).best

    listener = Listener(classifier.bundle.manifest.input_spec, classify)
    blocks = (sound[first : first + BLOCK] for first in range(0, len(sound), BLOCK))
    return [(event.time, event.label) for event in listener.events(blocks)]


def missed(found: list[tuple[float, str]], words: list[str]) -> float:
    """The share of words without a hit of their label within the time."""
    right = 0
    for place, word in enumerate(words):
        start = place * EVERY
        right += any(label == word and start < at <= start + WITHIN for at, label in found)
    return 1 - right / len(words)


@click.command()
@click.argument("recordings", metavar="NPZ")
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...")
@click.option("--hours", default=10.0, show_default=True, help="Of strangers, a quarter of each kind.")
def main(recordings: str, bundles: tuple[str, ...], hours: float) -> None:
    """Print the trade-off of each BUNDLE."""
    given = sounds(recordings, np.random.default_rng(0))
    each = max(1, round(60 * hours / len(given.strangers)))
    strangers = {kind: _int16(np.concatenate([make() for _ in range(each)])) for kind, make in given.strangers.items()}
    for path in bundles:
        with tempfile.TemporaryDirectory() as folder:
            known: dict[bytes, Array] = {}
            for rate in RATES:
                with Classifier.load(path, Path(folder) / "store.db", rate) as classifier:
                    if not classifier.labels:
                        for word, shots in given.shots.items():
                            classifier.enroll(word, shots)
                    began = time.perf_counter()
                    false = {kind: 60 / each * len(hits(classifier, known, sound)) for kind, sound in strangers.items()}
                    if rate == RATES[0]:  # later rates know the embeddings
                        seconds = each * 60 * len(strangers)
                        print(f"{classifier.bundle.name}: real-time factor {(time.perf_counter() - began) / seconds:.4f}")
                    lost = missed(hits(classifier, known, given.asked), given.words)
                    hourly = ", ".join(f"{count:.1f} {kind}" for kind, count in false.items())
                    mean = sum(false.values()) / len(false)
                    print(f"  at {rate:5.1%}: {mean:7.1f} false accepts an hour ({hourly}), {lost:.1%} missed", flush=True)


if __name__ == "__main__":
    main()
