"""Cut recordings of words said five times: how many are cut right, and the accuracy against shots recorded one by one.

    python benchmarks/said_five_times.py speech_commands/ keywords

The folder holds one subfolder of recordings of a second for each word; `_silence_` is left out. Five of them, with pauses
of 0.3 to 1.2 s and noise between -70 and -45 dB of full scale, make a recording. It is cut right if each of the five gives
one sound, and there is no other. Then five words are enrolled by their recordings, and, beside that, by the same five takes
one by one; both answer the same takes of other speakers.
"""

from __future__ import annotations

import tempfile
import wave
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from edge_meta import Classifier
from edge_meta.evaluation.interval import Share
from edge_meta.inputs import AudioInput
from edge_meta.inputs.audio_files import read_audio
from edge_meta.inputs.folders import list_labels
from edge_meta.inputs.pauses import Cut, read_cut

RATE, TIMES, WORDS, ASKED = 16000, 5, 5, 10
MOST = 60  # takes of a word that are used

Samples = NDArray[np.int16]


def joined(takes: list[Samples], generator: np.random.Generator) -> tuple[Samples, list[tuple[float, float]]]:
    """One recording of several takes, and the seconds at which each begins and ends."""
    parts: list[NDArray[np.float64]] = []
    spans, at = [], 0
    for take in takes:
        pause = round(generator.uniform(0.3, 1.2) * RATE)
        spans.append(((at + pause) / RATE, (at + pause + len(take)) / RATE))
        parts += [np.zeros(pause), take.astype(np.float64)]
        at += pause + len(take)
    sound = np.concatenate([*parts, np.zeros(RATE // 2)])
    sound += generator.normal(0, 32768 * 10 ** (generator.uniform(-70, -45) / 20), len(sound))
    return np.clip(sound, -32768, 32767).astype(np.int16), spans


def is_right(cuts: list[Cut], spans: list[tuple[float, float]]) -> bool:
    owners = [[n for n, (start, end) in enumerate(spans) if cut.start < end and cut.end > start] for cut in cuts]
    return owners == [[n] for n in range(len(spans))]


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.argument("bundle")
@click.option("--trials", default=100, show_default=True)
def main(folder: Path, bundle: str, trials: int) -> None:
    """Print how many recordings are cut right, and the accuracies."""
    generator = np.random.default_rng(0)
    listed = {word: listing.examples for word, listing in list_labels(folder, {".flac", ".wav"}, "recording").items()}
    takes = {word: [read_audio(path)[0] for path in paths[:MOST]] for word, paths in listed.items()}
    takes = {word: found for word, found in takes.items() if len(found) >= TIMES + ASKED and not word.startswith("_")}
    right, answers = 0, {"split": 0, "one by one": 0}
    with tempfile.TemporaryDirectory() as scratch, Classifier.load(bundle, Path(scratch) / "store.db") as classifier:
        spec = classifier.bundle.manifest.input_spec
        assert isinstance(spec, AudioInput)
        embedded = {word: np.stack([classifier.embed(take) for take in found]) for word, found in takes.items()}
        for _ in range(trials):
            words = generator.choice(sorted(takes), WORDS, replace=False)
            prototypes: dict[str, list[NDArray[np.float32]]] = {kind: [] for kind in answers}
            asked = []
            for word in words:
                rows = generator.permutation(len(takes[word]))
                recording, spans = joined([takes[word][row] for row in rows[:TIMES]], generator)
                path = Path(scratch) / "recording.wav"
                with wave.open(str(path), "wb") as file:
                    file.setparams((1, 2, RATE, 0, "NONE", ""))
                    file.writeframes(recording.tobytes())
                cuts = read_cut(spec, path)
                right += is_right(cuts, spans)
                prototypes["split"].append(np.mean([classifier.embed(cut.samples) for cut in cuts], axis=0))
                prototypes["one by one"].append(embedded[word][rows[:TIMES]].mean(axis=0))
                asked.append(embedded[word][rows[TIMES : TIMES + ASKED]])
            for kind, means in prototypes.items():
                distances = ((np.concatenate(asked)[:, None] - np.stack(means)) ** 2).sum(axis=2)
                answers[kind] += int((distances.argmin(axis=1) == np.repeat(np.arange(WORDS), ASKED)).sum())
    print(f"{len(takes)} words. Recordings cut right: {Share(right, trials * WORDS)}")
    for kind, count in answers.items():
        print(f"{WORDS}-way accuracy, {TIMES} shots, {kind}: {Share(count, trials * WORDS * ASKED)}")


if __name__ == "__main__":
    main()
