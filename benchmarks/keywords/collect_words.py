"""Collect the recordings that the `keywords` encoder is trained and judged on, with the teacher's answers, into one .npz.

    PYTHONPATH=benchmarks python benchmarks/keywords/collect_words.py --output keywords.npz

Real recordings are those of EDGE_META_DATA: Arabic Speech Commands, the Free Spoken Digits, and Speech Commands' test files.
Synthetic ones are words of Debian's `wamerican`, spoken by `espeak-ng` in several languages' sounds and voices, and by
`flite` (`apt install wamerican espeak-ng flite`). None of Speech Commands' ten command words is spoken by a machine. New
words come from real voices, too: recordings played backwards, and the first half of one word joined to the second half of
another, by the same rule for every speaker.

Words and speakers are dealt to train, val and test in the order of the SHA-256 of their names. Arabic words of val and test
are kept with speakers of val and test only; all of Speech Commands is for judging. The teacher is Google's
speech_embedding: the mean of its three windows in a second. Needs `pip install "edge-meta[audio]"`.
"""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from machine_voices import COMMANDS, HUMAN_VOICES, LANGUAGES, VARIANTS, by_espeak, by_flite, lexicon, spoken
from numpy.typing import NDArray
from speech_pair import speech_pair

from edge_meta.datasets import cache
from edge_meta.inputs.audio_files import read_audio
from edge_meta.inputs.resampling import fit, resample

RATE, SAMPLES = 16000, 16000
SYNTHETIC_WORDS, RENDERINGS = 1500, 12
JOINED = 240  # words made of two halves
SEED = 0


class Recording(NamedTuple):
    """A second of sound: int16 (16000,), the word, the speaker, and the split that both are of."""

    samples: NDArray[np.int16]
    word: str
    speaker: str
    split: str


def dealt(names: Sequence[str], val: int, test: int) -> dict[str, str]:
    """Deal names to splits in the order of their SHA-256, which looks at nothing but the names."""
    order = sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).digest())
    splits = ["test"] * test + ["val"] * val
    return {name: splits[place] if place < len(splits) else "train" for place, name in enumerate(order)}


def of_archive(path: str, pattern: str) -> Iterator[tuple[str, str, NDArray[np.int16]]]:
    """The word, speaker and sound of each recording, of which `pattern` names the first two in its path."""
    with zipfile.ZipFile(cache.folder() / path) as archive, tempfile.TemporaryDirectory() as folder:
        for name in sorted(archive.namelist()):
            if match := re.fullmatch(pattern, name):
                samples, rate = read_audio(archive.extract(name, folder))
                yield match["word"], match["speaker"], fit(resample(samples, rate, RATE), SAMPLES)


def real() -> Iterator[Recording]:
    """The recordings of people."""
    arabic = [*of_archive("arabic_speech_commands/arabic_speech_commands_16k_flac.zip",
                          r"dataset/(?P<word>[^/]+)/(?P<speaker>\d+)_NO_\d+\.flac")]  # fmt: skip
    words, speakers = dealt([word for word, _, _ in arabic], 5, 10), dealt([speaker for _, speaker, _ in arabic], 6, 10)
    for word, speaker, samples in arabic:
        if words[word] == speakers[speaker] or (words[word] == "train" and speakers[speaker] == "val"):
            yield Recording(samples, f"arabic/{word}", f"arabic/{speaker}", words[word])
    for word, speaker, samples in of_archive(
        "spoken_digits/free_spoken_digits.zip", r".*?(?P<word>\d)/(?P<speaker>[a-z]+)_\d+\.flac"
    ):
        yield Recording(samples, f"digit/{word}", f"digit/{speaker}", "train")
    commands = r".*?(?P<word>[a-z]+)/(?P<speaker>[0-9a-f]{8})_nohash_\d+\.flac"
    for word, speaker, samples in of_archive("speech_commands/speech_commands_test_part.zip", commands):
        yield Recording(samples, f"{'command' if word in COMMANDS else 'stranger'}/{word}", f"command/{speaker}", "test")


def derived(people: Sequence[Recording], generator: np.random.Generator) -> Iterator[Recording]:
    """New words in the voices of people: backwards, and of two halves. Speakers and splits stay."""
    for one in people:
        yield one._replace(samples=one.samples[::-1].copy(), word=f"{one.word}/backwards")
    of_speaker: dict[str, dict[str, list[Recording]]] = {}
    for one in people:
        of_speaker.setdefault(one.speaker, {}).setdefault(one.word, []).append(one)
    words = sorted({one.word for one in people})
    for _ in range(JOINED):
        first, second = (words[index] for index in generator.integers(0, len(words), 2))
        for speaker, said in of_speaker.items():
            if first != second and first in said and second in said:
                for _ in range(2):
                    one, other = (said[word][generator.integers(len(said[word]))] for word in (first, second))
                    yield Recording(joined(one.samples, other.samples), f"{first}+{second}", speaker, "train")


def joined(one: NDArray[np.int16], other: NDArray[np.int16]) -> NDArray[np.int16]:
    """The first half of what is heard in one recording, and the second half of what is heard in another."""
    (a, b), (c, d) = heard(one), heard(other)
    begin, end = one[a : (a + b) // 2].astype(np.float32), other[(c + d) // 2 : d].astype(np.float32)
    over = min(320, len(begin), len(end))  # a cross-fade of 20 ms
    ramp = np.linspace(0, 1, over, dtype=np.float32)
    middle = begin[len(begin) - over :] * (1 - ramp) + end[:over] * ramp
    return fit(np.concatenate([begin[: len(begin) - over], middle, end[over:]]).astype(np.int16), SAMPLES)


def heard(samples: NDArray[np.int16]) -> tuple[int, int]:
    """The first and last sample that are louder than a thirtieth of the loudest 20 ms, with 40 ms around."""
    block = 320
    loud = np.abs(samples[: len(samples) // block * block].astype(np.float32)).reshape(-1, block).mean(axis=1)
    above = np.flatnonzero(loud > loud.max() / 30 + 1e-9)
    if not len(above):
        return 0, len(samples)
    return max(0, (above[0] - 2) * block), min(len(samples), (above[-1] + 3) * block)


def synthetic(generator: np.random.Generator) -> Iterator[Recording]:
    """Words spoken by machines: the same spelling in the sounds of two languages is two words."""
    short = [word for word in lexicon() if re.fullmatch("[a-z]{3,9}", word)]
    words = generator.choice(short, SYNTHETIC_WORDS, replace=False)
    tasks: list[tuple[str, str, list[str]]] = []
    for word in words:
        language = LANGUAGES[generator.integers(len(LANGUAGES))]
        human = HUMAN_VOICES if language == "en-us" else ()
        tasks += [(word, voice, by_flite(word, voice)) for voice in human]
        for variant in generator.choice(VARIANTS, RENDERINGS - len(human), replace=False):
            tasks.append((f"{word}@{language}", str(variant), by_espeak(word, language, variant, generator)))
    with ThreadPoolExecutor(2) as pool:
        for (word, voice, _), samples in zip(
            tasks, pool.map(within_a_second, [command for *_, command in tasks]), strict=True
        ):
            if samples is not None:
                yield Recording(samples, f"synthetic/{word.removesuffix('@en-us')}", f"synthetic/{voice}", "train")


def within_a_second(command: list[str]) -> NDArray[np.int16] | None:
    """A second with what a machine says; None if it takes longer."""
    samples = spoken(command, RATE)
    begin, end = heard(samples)
    return fit(samples[begin:end], SAMPLES) if 0.1 * RATE < end - begin <= SAMPLES else None


@click.command()
@click.option("--output", required=True, metavar="NPZ")
def collect(output: str) -> None:
    """Write x, word, speaker, split and teacher."""
    generator = np.random.default_rng(SEED)
    people = [*real()]
    print(f"{len(people):6} recordings of people", flush=True)
    found = [*people, *derived([one for one in people if one.split == "train"], generator)]
    print(f"{len(found) - len(people):6} made of them", flush=True)
    before = len(found)
    for one in synthetic(generator):
        found.append(one)
        if not (len(found) - before) % 2000:
            print(f"{len(found) - before:6} spoken by machines", flush=True)
    folder = cache.folder() / "models"
    spectrogram, network = (str(folder / f"oww_{name}.tflite") for name in ("melspectrogram", "embedding_model"))
    teacher, answers = speech_pair(spectrogram, network, SAMPLES), []
    for number, one in enumerate(found, 1):
        answers.append(teacher(one.samples))
        if not number % 2000:
            print(f"{number:6} of {len(found)} heard by the teacher", flush=True)
    content = io.BytesIO()
    np.savez(content, x=np.stack([one.samples for one in found]), word=np.array([one.word for one in found]),
             speaker=np.array([one.speaker for one in found]), split=np.array([one.split for one in found]),
             teacher=np.stack(answers))  # fmt: skip
    Path(output).write_bytes(content.getbuffer())


if __name__ == "__main__":
    collect()
