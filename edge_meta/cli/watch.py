"""edge-meta watch."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import click

from edge_meta.cli.answers import answer_fields, answer_line, print_event, print_line, require_enrolled
from edge_meta.cli.common import binary_stdin, runtime_options, store_option
from edge_meta.cli.progress import note
from edge_meta.errors import InputError
from edge_meta.inputs import AudioInput, ImageInput
from edge_meta.inputs.senses import SENSES, require_sense
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.classifier import Classifier
from edge_meta.runtime.results import Event
from edge_meta.runtime.streaming import motion_watcher, watcher

LOOK = 0.5  # seconds from one look at a folder to the next


@click.command()
@click.argument("bundle")
@click.argument("source", required=False, metavar="[FOLDER|VIDEO|TABLE.csv|-]")
@click.option("--camera", type=click.IntRange(min=0), metavar="N", help="Watch this camera, from 0, until Ctrl-C.")
@store_option
@runtime_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each answer, in a line.")
def watch(
    bundle: str, source: str | None, camera: int | None, store: str | None, options: RuntimeOptions, as_json: bool
) -> None:
    """See the enrolled labels in pictures or motions as they come.

    \b
    Examples:
      edge-meta watch objects camera-uploads/
      edge-meta watch objects doorbell.mp4
      edge-meta watch objects --camera 0
      sensors | edge-meta watch gestures - --json

    In a FOLDER, each example is answered as edge-meta classify does, and then each that comes or changes, until Ctrl-C. It
    may be of any bundle's kind.

    In a VIDEO or a camera's pictures, ten a second, a line says when another label is shown: seconds, label, and score. Two
    of three pictures must agree on it. This needs pip install 'edge-meta[video]'.

    Sensor values are a .csv table, or its lines on stdin: the first line names the columns, the encoder's channels and one
    called seconds. Each motion of up to 5 seconds between two moments of stillness is a line, if it is a label.
    """
    if (source is None) is (camera is None):
        raise click.UsageError("Give a FOLDER, a VIDEO, a TABLE.csv, - or --camera N.")
    with Classifier.load(bundle, store, **vars(options)) as classifier:
        try:
            if source is not None and Path(source).is_dir():
                require_enrolled(classifier)
                _answer_folder(classifier, Path(source), as_json)
            else:
                events = _events(classifier, source, camera)
                require_enrolled(classifier)
                if camera is not None:
                    note("Watching. Press Ctrl-C to stop.")
                for event in events:
                    print_event(event, as_json)
        except KeyboardInterrupt:
            note("Stopped.")


def _answer_folder(classifier: Classifier, folder: Path, as_json: bool) -> None:
    from edge_meta.inputs.arrivals import arrivals

    note(f"Watching {folder}. Press Ctrl-C to stop.")
    for path in arrivals(folder, classifier.bundle.manifest.input_spec.suffixes, lambda: time.sleep(LOOK)):
        try:
            fields = answer_fields(str(path), classifier.classify(str(path)))
        except InputError as error:
            note(f"Note: {error.cause}")
        else:
            print_line(answer_line(fields), fields, as_json)


def _events(classifier: Classifier, source: str | None, camera: int | None) -> Iterator[Event]:
    name, spec = classifier.bundle.name, classifier.bundle.manifest.input_spec
    if isinstance(spec, AudioInput):
        raise InputError(f"{name} takes recordings; a stream of sound is listened to.", "Use edge-meta listen.")
    if isinstance(spec, ImageInput):
        return _seen_pictures(classifier, source, camera)
    if camera is not None:
        raise InputError(f"{name} takes {spec.noun}s; a camera gives images.", "Give a TABLE.csv or -.")
    return _seen_motions(classifier, source or "-")


def _seen_pictures(classifier: Classifier, source: str | None, camera: int | None) -> Iterator[Event]:
    from edge_meta.inputs.video import read_camera, read_video

    watching = watcher(classifier)
    if camera is not None:
        return watching.events(read_camera(camera))
    spec, path = classifier.bundle.manifest.input_spec, str(source)
    if path == "-":
        raise InputError("Pictures are not read from stdin.", "Give a FOLDER, a VIDEO or --camera N.")
    if (suffix := Path(path).suffix.lower()) in spec.suffixes:
        raise InputError(f"{path} is one picture, and no video.", "Use edge-meta classify, or give its folder.")
    if suffix not in SENSES["video"]:
        require_sense(path, spec.suffixes, spec.noun)
    return watching.events(read_video(path, lambda sentence: note(f"Note: {sentence}")))


def _seen_motions(classifier: Classifier, source: str) -> Iterator[Event]:
    from edge_meta.inputs.tables import Table, read_table

    spec, name = classifier.bundle.manifest.input_spec, "The stream" if source == "-" else source
    watching = motion_watcher(classifier, name=name)
    if source == "-":
        table = Table(io.TextIOWrapper(binary_stdin(), "utf-8-sig"), name)
    else:
        require_sense(source, spec.suffixes, spec.noun)
        if Path(source).suffix.lower() != ".csv":
            raise InputError(f"{source} holds no times.", "Save it as a .csv table with a column of seconds.")
        table = read_table(source)
    channels = getattr(spec, "channels", ())
    rows = table.timed_rows(channels)
    if lacking := [channel for channel in channels if channel not in table.names]:
        note(f"Note: {name} has no column {', '.join(lacking)}, which counts as zero.")

    def events() -> Iterator[Event]:
        yield from watching.events(([seconds], [values]) for seconds, values in rows)
        note(f"Motions between two moments of stillness: {watching.motions}.")

    return events()
