"""edge-meta listen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import click
import numpy as np
from numpy.typing import NDArray

from edge_meta.cli.answers import print_event, require_enrolled
from edge_meta.cli.common import binary_stdin, runtime_options, store_option
from edge_meta.cli.progress import note
from edge_meta.errors import BackendError, InputError
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.classifier import Classifier
from edge_meta.runtime.listener import Listener
from edge_meta.runtime.streaming import listener

BLOCK = 0.05  # seconds of sound that are taken at a time
BAR, QUIETEST = 30, -60.0  # characters of the level's bar, and dB of full scale at which it is empty


@click.command()
@click.argument("bundle")
@click.argument("source", required=False, metavar="[FILE.wav|-]")
@click.option("--microphone", is_flag=True, help="Listen to the microphone, until Ctrl-C; pip install 'edge-meta[live]'.")
@store_option
@runtime_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each hit, in a line.")
def listen(
    bundle: str, source: str | None, microphone: bool, store: str | None, options: RuntimeOptions, as_json: bool
) -> None:
    """Hear the enrolled labels in a stream of sound.

    \b
    Examples:
      edge-meta listen keywords meeting.wav
      edge-meta listen keywords --microphone
      arecord -f S16_LE -r 16000 | edge-meta listen keywords - --json

    A window slides over the sound, and a gate leaves out what is no louder than the noise before it. A label is a hit when
    two of three windows agree on it; then there is none for the length of a window. A hit is a line: seconds from the start
    to the end of the window, label, and score.

    A file may have any sample rate. A stream, -, is a .wav stream at the bundle's own.
    """
    if (source is None) is not microphone:
        raise click.UsageError("Give a FILE.wav, - or --microphone.")
    with Classifier.load(bundle, store, **vars(options)) as classifier:
        heard = listener(classifier)
        require_enrolled(classifier)
        if source is None:
            blocks = _microphone(heard)
        elif source == "-":
            blocks = _stream(binary_stdin(), heard.rate)
        else:
            blocks = _file(Path(source), heard.rate)
        try:
            for event in heard.events(blocks):
                print_event(event, as_json)
        except KeyboardInterrupt:
            note("Stopped.")


def _file(path: Path, rate: int) -> Iterator[NDArray[np.int16]]:
    from edge_meta.inputs.audio_files import read_audio
    from edge_meta.inputs.resampling import resample

    samples, own = read_audio(path)
    samples = resample(samples, own, rate, str(path))
    step = round(BLOCK * rate)
    yield from (samples[first : first + step] for first in range(0, len(samples), step))


def _stream(stdin: IO[bytes], rate: int) -> Iterator[NDArray[np.int16]]:
    from edge_meta.inputs.wav import mono, read_blocks, read_format

    try:
        form = read_format(stdin)
        if form.rate != rate:
            raise InputError(f"The stream has {form.rate} Hz; the bundle takes {rate} Hz.", "Record, or resample, at that.")
        for block in read_blocks(stdin, form, round(BLOCK * rate)):
            yield mono(block)
    except ValueError as error:
        raise InputError(f"The stream is not readable: {error}.", "Pipe a .wav stream into edge-meta.") from None


def _microphone(heard: Listener) -> Iterator[NDArray[np.int16]]:
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # an OSError where PortAudio is missing
        raise BackendError(
            f"The microphone cannot be used ({error}).", 'Install pip install "edge-meta[live]", and PortAudio.'
        ) from None
    size = round(BLOCK * heard.rate)
    try:
        with sounddevice.InputStream(samplerate=heard.rate, channels=1, dtype="int16", blocksize=size) as stream:
            note("Listening. Press Ctrl-C to stop.")
            while True:
                block, lost = stream.read(size)
                if lost:
                    note("Some sound was lost: the machine is too slow, or busy.")
                yield block[:, 0]
                _show(heard.gate.level)
    except sounddevice.PortAudioError as error:
        raise BackendError(f"The microphone cannot be used ({error}).", "Plug one in, and allow its use.") from None


def _show(level: float) -> None:
    """Draw the level as a bar on a terminal."""
    if sys.stderr.isatty():
        filled = round(BAR * min(1.0, max(0.0, 1 - level / QUIETEST)))
        sys.stderr.write(f"\r\x1b[K{'█' * filled}{'·' * (BAR - filled)} {level:.0f} dB\r")
        sys.stderr.flush()
