"""Words and sentences spoken by machines: Debian's `espeak-ng` and `flite` (`apt install wamerican espeak-ng flite`)."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_meta.inputs.audio_files import read_audio
from edge_meta.inputs.resampling import resample

COMMANDS = frozenset({"yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"})
"""Words of Speech Commands to judge by; no machine says them."""

LANGUAGES = ("en-us", "en-gb", "en-us", "en-us", "de", "es", "fr-fr", "it", "pl", "tr", "sv", "ar", "hi", "fa")
VARIANTS = tuple(f"m{number}" for number in range(1, 9)) + tuple(f"f{number}" for number in range(1, 6)) + (
    "klatt", "klatt2", "klatt3", "klatt4", "steph", "steph2", "Annie", "linda", "michael", "Andy", "norbert", "quincy",
    "rob", "robert", "john", "Lee", "max", "Mike", "zac", "belinda", "anikaRobot", "shelby", "travis", "Storm",
)  # fmt: skip
HUMAN_VOICES = ("awb", "rms", "slt", "kal16")  # of flite, made of recordings


def lexicon() -> list[str]:
    """Words of Debian's wamerican, without COMMANDS."""
    return [word for word in Path("/usr/share/dict/words").read_text().split() if word not in COMMANDS]


def by_espeak(text: str, language: str, variant: str, generator: np.random.Generator) -> list[str]:
    """The command by which espeak-ng says a text, of any pitch and speed; for `spoken`."""
    pitch, speed = generator.integers(15, 85), generator.integers(120, 230)
    voice = f"{language}+{variant}"
    return ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "-g", "0", text, "-w"]


def by_flite(text: str, voice: str) -> list[str]:
    """The command by which flite says a text; for `spoken`."""
    return ["flite", "-voice", voice, "-t", text, "-o"]


def spoken(command: Sequence[str], rate: int) -> NDArray[np.int16]:
    """The sound, int16 (n,), that a program writes to the file that ends its command, at a rate in Hz."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run([*command, file.name], check=True, capture_output=True)
        samples, own = read_audio(file.name)
    return resample(samples, own, rate)
