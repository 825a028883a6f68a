"""Judge a chain of .tflite files, a spectrogram and the network behind it, on spoken keywords and speakers kept apart.

    python benchmarks/chains.py MELSPECTROGRAM.tflite EMBEDDING.tflite [--json]

The chain is exported without and with --calibration, and judged on Arabic Speech Commands. Keywords are dealt to three
parts, speakers to two, in the order of the SHA-256 of their names: each third of the keywords is judged as spoken by each
half of the speakers, with all other keywords spoken by the other half as calibration data. It prints 5-way accuracies with
95 % intervals, the largest difference of an embedding from that of the files run one after the other, and the time of an
embedding.
Needs `pip install "edge-meta[audio]"`, and the archive in the data folder.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from speech_pair import speech_pair

from converters import ModelOptions, export_bundle
from edge_meta.datasets import cache
from edge_meta.datasets.base import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.interval import Interval
from edge_meta.inputs.audio_files import read_audio
from edge_meta.inputs.resampling import fit
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import open_encoder

ARCHIVE = Path("arabic_speech_commands", "arabic_speech_commands_16k_flac.zip")
SAMPLES = 16000
OF_SPEECH = ModelOptions(sample_rate=16000)
EPISODES, WAY, QUERY = 1000, 5, 10
KEYWORD_PARTS, SPEAKER_PARTS = 3, 2


def dealt(names: Iterator[str], parts: int) -> dict[str, int]:
    """Deal names to parts in the order of their SHA-256, which looks at nothing but the names."""
    order = sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).digest())
    return {name: place % parts for place, name in enumerate(order)}


def recordings() -> tuple[NDArray[np.int16], list[str], list[str]]:
    """All recordings (n, 16000), their keywords and their speakers."""
    found = []
    with zipfile.ZipFile(cache.folder() / ARCHIVE) as archive, tempfile.TemporaryDirectory() as folder:
        for name in archive.namelist():
            if match := re.fullmatch(r"dataset/(\w+)/(\w+)_NO_\w+\.flac", name):
                samples, _ = read_audio(archive.extract(name, folder))
                found.append((match[1], match[2], fit(samples, SAMPLES)))
    found.sort(key=lambda each: each[:2])
    return np.stack([each[2] for each in found]), [each[0] for each in found], [each[1] for each in found]


def largest_difference(bundle: Bundle, files: tuple[str, str], examples: NDArray[np.int16]) -> float:
    """The largest difference from the files run by themselves, as a share of the largest value."""
    embed = speech_pair(*files, SAMPLES)
    wanted = [embed(samples) for samples in examples]
    found = embed_all(open_encoder(bundle), bundle.manifest.input_spec, examples)
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


@click.command()
@click.argument("files", nargs=2)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line for each row.")
def main(files: tuple[str, str], as_json: bool) -> None:
    """Export the chain and judge it."""
    examples, keywords, speakers = recordings()
    keyword_part, speaker_part = dealt(iter(keywords), KEYWORD_PARTS), dealt(iter(speakers), SPEAKER_PARTS)
    part = np.array([keyword_part[keyword] for keyword in keywords])
    half = np.array([speaker_part[speaker] for speaker in speakers])
    pooled: dict[tuple[str, int], list[Any]] = {}

    def show(row: dict[str, Any], text: str) -> None:
        print(json.dumps(row) if as_json else text, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        plain = export_bundle(files, Path(folder, "plain.bundle"), model_options=OF_SPEECH)
        difference = largest_difference(plain, files, examples[:: len(examples) // 50])
        encoder, example = open_encoder(plain), plain.manifest.input_spec.normalize(examples[:1])
        times = []
        for _ in range(200):
            start = time.perf_counter()
            encoder.embed(example)
            times.append(time.perf_counter() - start)
        facts = {"bytes": len(plain.model), "difference": difference, "embed_ms": round(1e3 * float(np.median(times)), 2)}
        show(
            facts,
            f"{facts['bytes']:,} bytes, {facts['embed_ms']} ms an embedding, differs by {difference:.1g} of the largest",
        )
        for judged_part in range(KEYWORD_PARTS):
            for judged_half in range(SPEAKER_PARTS):
                of_others = (part != judged_part) & (half != judged_half)
                data = Path(folder, "others.npz")
                np.savez(
                    data, x=examples[of_others], y=np.array(keywords)[of_others], split=np.full(of_others.sum(), "train")
                )
                made = export_bundle(
                    files, Path(folder, "made.bundle"), model_options=OF_SPEECH, calibration=f"npz:{data}", overwrite=True
                )
                rows = np.flatnonzero((part == judged_part) & (half == judged_half))
                names = sorted({keywords[row] for row in rows})
                labels = np.array([names.index(keywords[row]) for row in rows], np.int32)
                judged = Dataset("keywords", "test", examples[rows], labels, tuple(names), ("",) * len(names))
                for kind, bundle in (("plain", plain), ("calibrated", made)):
                    embeddings = embed_all(open_encoder(bundle), bundle.manifest.input_spec, judged.examples)
                    for shot in (1, 5):
                        values = accuracies(embeddings, EpisodeSampler(judged, WAY, shot, QUERY, seed=0), EPISODES)
                        pooled.setdefault((kind, shot), []).append(values)
                        report(show, {"keywords": judged_part, "speakers": judged_half}, kind, shot, values)
    for (kind, shot), parts in pooled.items():
        report(show, {"keywords": "all", "speakers": "all"}, kind, shot, np.concatenate(parts))


def report(show: Any, where: dict[str, Any], kind: str, shot: int, values: Any) -> None:
    """Print one accuracy."""
    interval = Interval.of(values)
    row = {**where, "export": kind, "way": WAY, "shot": shot, "accuracy": interval.mean, "ci95": interval.ci95}
    place = f"keywords {where['keywords']}, speakers {where['speakers']}"
    show(row, f"{place:28}{kind:12}{WAY}-way {shot}-shot  {100 * interval.mean:.1f} ± {100 * interval.ci95:.1f} %")


if __name__ == "__main__":
    main()
