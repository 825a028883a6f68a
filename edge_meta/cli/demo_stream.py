"""The live part of the demo on words: half a minute of sound through the listener."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge_meta import files
from edge_meta.cli.demo_senses import Sense
from edge_meta.datasets.spoken import RATE, stream
from edge_meta.evaluation.heard_words import judge_stream
from edge_meta.evaluation.interval import Share
from edge_meta.inputs.wav import write_wav
from edge_meta.reports.example_figures import player
from edge_meta.reports.page import section
from edge_meta.reports.sound_pictures import stream_chart
from edge_meta.runtime.classifier import Classifier

STREAM = "stream.wav"
TIMES, STRANGERS, EVERY = 2, 4, 2.0  # each taught word; strangers, once each; seconds from word to word
FIRST_VOICE = 100  # none of these voices has taught, or was asked


class Live(NamedTuple):
    """The result as it is written, and as a section of the page."""

    facts: dict[str, Any]
    section: str


def listen_to_words(classifier: Classifier, sense: Sense, folder: Path) -> Live:
    """Say the taught words and strangers in a stream, write it into a folder, and listen to it."""
    words = [*sense.taught] * TIMES + sense.strangers[:STRANGERS]
    order = np.random.default_rng(0).permutation(len(words))
    samples, said = stream([(words[at], FIRST_VOICE + number) for number, at in enumerate(order)], EVERY)
    content = write_wav(samples, RATE)
    with files.replacing(folder / STREAM) as file:
        file.write(content)
    hits = list(classifier.stream([samples]))
    heard = judge_stream(said, hits, classifier.labels)
    facts = {
        "file": str(folder / STREAM),
        "seconds": len(samples) / RATE,
        "words": heard.right.out_of,
        "right": heard.right.count,
        "mistaken": heard.mistaken,
        "strangers": {"words": heard.taken.out_of, "accepted": heard.taken.count},
        "other_hits": len(heard.others),
        "hits": [{"time": hit.time, "label": hit.label, "score": hit.score} for hit in hits],
    }
    sentences = " ".join(account_of_stream(facts))
    text = f"{sentences} Each word is of a voice that it had not heard. Green hits are right, red ones are not."
    chart = stream_chart(samples, RATE, heard.words, hits)
    return Live(facts, section("Live", text, f"{chart}{player(content, 'the stream')}"))


def account_of_stream(facts: Mapping[str, Any]) -> Iterator[str]:
    """Sentences that sum up a stream."""
    strangers = facts["strangers"]
    missed = facts["words"] - facts["right"] - facts["mistaken"]
    right, taken = Share(facts["right"], facts["words"]), Share(strangers["accepted"], strangers["words"])
    seconds, mistaken = facts["seconds"], facts["mistaken"]
    yield f"Words heard right in {seconds:.0f} s of sound: {right}; {mistaken} as another, {missed} missed."
    yield f"Strangers heard as a taught word: {taken}. Other hits: {facts['other_hits']}."
