"""Judge a bundle of words on words and speakers that `keywords` was not trained on, beside its teacher.

    python benchmarks/keywords/judge_words.py keywords.npz keywords [BUNDLE...]

Of Arabic Speech Commands, ten words by ten speakers; of Speech Commands, five command words, and 13 others as strangers.
The shots of a word are of different speakers, and a query's speaker gave no shot of the episode. It prints accuracies with
95 % intervals, and of the five command words the share that is right and accepted where 5 % of strangers are: with the
limit on the distance to the nearest prototype that lets just those pass. A bundle runs through the device's runtime. The
teacher is Google's speech_embedding: the mean of its windows, centred by what `keywords` was trained on, at unit length.
Last, the shares of strangers that count as known, and of known words that do not, with the bundle's own limits at 5 %.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets.base import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.episode_heads import prototype_head
from edge_meta.evaluation.interval import Interval
from edge_meta.evaluation.open_set import judge_strangers
from edge_meta.heads.rejection import Rejection
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import open_encoder
from edge_meta.types import Array

EPISODES, QUERIES = 1000, 8
FALSE_ACCEPT = 0.05
OPEN_ROWS, OPEN_EPISODES = (("arabic", 2, 3), ("arabic", 5, 5), ("command", 2, 5)), 500
ROWS = (("arabic", 5, (1, 5)), ("arabic", 10, (1, 5)), ("command", 5, (1, 5, 10)))

Texts = NDArray[np.str_]


def episode(
    words: Texts, speakers: Texts, way: int, shot: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the shots (way, shot) and of the queries (way, QUERIES or fewer, of the same number for each word)."""
    shots, queries = [], []
    names = np.unique(words)
    order = generator.permutation(np.unique(speakers))
    chosen = generator.choice(names, way, replace=False)
    teaching: set[str] = set()
    for name in chosen:
        rows = generator.permutation(np.flatnonzero(words == name))
        _, first = np.unique(speakers[rows], return_index=True)
        by_speaker = {str(speakers[row]): row for row in rows[first]}
        givers = [str(speaker) for speaker in order if str(speaker) in by_speaker][:shot]
        teaching.update(givers)
        shots.append([by_speaker[speaker] for speaker in givers])
    for name in chosen:
        rows = generator.permutation(np.flatnonzero((words == name) & ~np.isin(speakers, list(teaching))))
        queries.append(rows[:QUERIES])
    fewest = min(map(len, queries))
    return np.array(shots), np.stack([rows[:fewest] for rows in queries])


def judge(embeddings: Array, words: Texts, speakers: Texts) -> Iterator[dict[str, Any]]:
    """The rows of one encoder's embeddings of all test recordings."""
    source = np.array([word.split("/")[0] for word in words])
    strangers = embeddings[source == "stranger"]
    for name, way, many in ROWS:
        rows = np.flatnonzero(source == name)
        for shot in many:
            generator, right, accepted = np.random.default_rng(0), [], []
            for _ in range(EPISODES):
                shots, queries = episode(words[rows], speakers[rows], way, shot, generator)
                prototypes = embeddings[rows][shots].mean(axis=1)
                asked = embeddings[rows][queries.ravel()]
                distances = ((asked[:, None] - prototypes) ** 2).sum(axis=-1)
                is_right = distances.argmin(axis=1) == np.repeat(np.arange(way), queries.shape[1])
                right.append(is_right.mean())
                if name == "command":
                    limit = np.quantile(((strangers[:, None] - prototypes) ** 2).sum(axis=-1).min(axis=1), FALSE_ACCEPT)
                    accepted.append((is_right & (distances.min(axis=1) <= limit)).mean())
            interval = Interval.of(np.array(right))
            row = {"words": name, "way": way, "shot": shot, "accuracy": interval.mean, "ci95": interval.ci95}
            if accepted:
                found = Interval.of(np.array(accepted))
                row |= {"right_and_accepted": found.mean, "right_and_accepted_ci95": found.ci95}
            yield row


def line(row: dict[str, Any]) -> str:
    """A row for people."""
    text = f"  {row['words']:8} {row['way']:2}-way {row['shot']:2}-shot  "
    if "accepted" in row:
        return f"{text}{100 * row['accepted']:.1f} % of strangers known, {100 * row['lost']:.1f} % of known lost"
    text += f"{100 * row['accuracy']:.1f} ± {100 * row['ci95']:.1f} %"
    if "right_and_accepted" in row:
        share, half = row["right_and_accepted"], row["right_and_accepted_ci95"]
        text += f", {100 * share:.1f} ± {100 * half:.1f} % right and accepted"
    return text


def judge_unknown(embeddings: Array, words: Texts, rejection: Rejection) -> Iterator[dict[str, Any]]:
    """Rows of strangers among the Arabic words, and among the command words, with the bundle's own limits."""
    for name, way, shot in OPEN_ROWS:
        rows = np.flatnonzero(np.char.startswith(words, name))
        rows = rows[np.argsort(words[rows], kind="stable")]
        names, labels = np.unique(words[rows], return_inverse=True)
        data = Dataset(name, "test", embeddings[rows], labels.astype(np.int32), tuple(names), ("",) * len(names))
        sampler = EpisodeSampler(data, way, shot, QUERIES, seed=0)
        found = judge_strangers(embeddings[rows], sampler, OPEN_EPISODES, prototype_head, rejection, FALSE_ACCEPT, none=0)
        yield {
            "words": name, "way": way, "shot": shot,
            "accepted": found.false_accept.mean, "accepted_ci95": found.false_accept.ci95,
            "lost": found.rejected_known.mean, "lost_ci95": found.rejected_known.ci95,
        }  # fmt: skip


@click.command()
@click.argument("recordings", metavar="NPZ")
@click.argument("bundles", nargs=-1, metavar="BUNDLE...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line for each row.")
def main(recordings: str, bundles: tuple[str, ...], as_json: bool) -> None:
    """Judge the teacher and each BUNDLE."""
    data = np.load(recordings)
    test, words, speakers = data["split"] == "test", data["word"], data["speaker"]
    answers = data["teacher"] - data["teacher"][data["split"] == "train"].mean(axis=0)
    of_teacher = (answers / np.linalg.norm(answers, axis=1, keepdims=True))[test]
    given: list[tuple[str, Array, Rejection | None]] = [("teacher", of_teacher, None)]
    for path in bundles:
        bundle = Bundle.open(path)
        spec, encoder = bundle.manifest.input_spec, open_encoder(bundle, RuntimeOptions())
        embeddings = embed_all(encoder, spec, data["x"][test])
        given.append((f"{bundle.name}, {len(bundle.model):,} bytes", embeddings, bundle.manifest.rejection))
    for name, embeddings, rejection in given:
        if not as_json:
            print(name)
        unknown = judge_unknown(embeddings, words[test], rejection) if rejection is not None else iter(())
        for row in chain(judge(embeddings, words[test], speakers[test]), unknown):
            print(json.dumps({"encoder": name} | row) if as_json else line(row), flush=True)


if __name__ == "__main__":
    main()
