"""edge-meta board: teach a board from the desk, over a serial line."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from edge_meta import files
from edge_meta.cli.common import emit, json_option
from edge_meta.cli.progress import Counter, note
from edge_meta.cli.store import shots_of_classes
from edge_meta.errors import BoardError, StoreError
from edge_meta.inputs.folders import list_tree
from edge_meta.runtime.board_line import BoardLine, open_board
from edge_meta.runtime.bundle import Bundle
from edge_meta.store import board as board_store
from edge_meta.store.reader import NONE
from edge_meta.store.store import Store

SQLITE = b"SQLite format 3\0"  # a store's first bytes


port_option = click.option(
    "--port", required=True, help="The serial port, such as /dev/ttyACM0 or COM3; or socket://HOST:PORT."
)


@click.group()
def board() -> None:
    """Teach a board that runs the example firmware, over a serial line; list, back up or restore its classes.

    It takes pip install "edge-meta[board]". The line has 115,200 baud.
    """


@board.command("list")
@port_option
@json_option
def list_classes(port: str, as_json: bool) -> None:
    """List the classes of a board, and how many it holds.

    \b
    Example:
      edge-meta board list --port /dev/ttyACM0
    """
    with open_board(port) as line:
        (classes, none_shots), info = line.classes(), line.info
    lines = [f"encoder {info.encoder_id[:12]}: {len(classes)} of {info.classes} classes, {info.shots} shots each at most"]
    lines += [f"  {each.label}: {each.shots} shots" for each in classes]
    lines += [f"  none of these: {none_shots} shots"] if none_shots else []
    facts = {**info._asdict(), "steps": info.steps and info.steps._asdict(), "flash": info.flash and info.flash._asdict()}
    most = {name: facts.pop(name) for name in ("classes", "shots", "none", "label_bytes")}
    emit({**facts, "most": most, "classes": [each._asdict() for each in classes], "none_shots": none_shots}, as_json, lines)


@board.command()
@click.argument("bundle")
@click.argument("examples", nargs=-1, required=True, metavar="[LABEL] FILE|FOLDER...")
@click.option("--none", is_flag=True, help="Show things that are no label: what lies near them is unknown.")
@port_option
@json_option
def teach(port: str, bundle: str, examples: tuple[str, ...], none: bool, as_json: bool) -> None:
    """Enroll a LABEL on a board from examples; the board embeds them.

    \b
    Examples:
      edge-meta board teach omniglot alef alef1.png alef2.png --port /dev/ttyACM0
      edge-meta board teach omniglot --none others/ --port COM3

    BUNDLE says how FILEs are read; the board's encoder must be of it. All FILEs are read before the first is enrolled.
    """
    label, paths = ("", examples) if none else (examples[0], examples[1:])
    if not paths:
        raise click.UsageError("Name a LABEL, and then at least one FILE or FOLDER.")
    opened = Bundle.open(bundle)
    spec = opened.manifest.input_spec
    found = [
        file for path in paths for file in (list_tree(Path(path), spec.suffixes).examples if Path(path).is_dir() else [path])
    ]
    read = [spec.read(file).tobytes() for file in found]
    counter = Counter(f"{spec.noun}s")
    with open_board(port) as line:
        _require_encoder(line, opened.manifest.encoder_id)
        for done, example in enumerate(read, 1):
            line.enroll(label, example)
            counter(done, len(read))
        classes, none_shots = line.classes()
    shots = none_shots if none else next(each.shots for each in classes if each.label == label)
    result = {"label": None if none else label, "added": len(read), "shots": shots, "classes": len(classes)}
    emit(result, as_json, [f"{label or 'none'}: {len(read)} added, {shots} shots; {len(classes)} classes"])


@board.command()
@click.argument("output", metavar="OUT")
@port_option
@json_option
def backup(port: str, output: str, as_json: bool) -> None:
    """Write the flash of a board to a file, for restore or for import-store --format board.

    \b
    Example:
      edge-meta board backup kitchen.bin --port /dev/ttyACM0

    An OUT that exists is replaced, once all is read and is sound.
    """
    counter = Counter("bytes")
    with open_board(port) as line:
        content, info = line.read_flash(counter), line.info
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "flash"
        raw.write_bytes(content)
        done = board_store.read_board(raw, Path(scratch) / "read.db", info.encoder_id, info.dim)
    try:
        with files.replacing(Path(output), private=True) as file:
            file.write(content)
    except OSError as error:
        raise StoreError(f"{output} cannot be written ({error}).", "Choose another file.") from error
    kept = shots_of_classes(done["shots"], done["classes"], done["none_shots"])
    emit({"file": output, "bytes": len(content), **done}, as_json, [f"{output}: {kept}"])


@board.command()
@click.argument("source", metavar="BACKUP|STORE")
@port_option
@json_option
def restore(port: str, source: str, as_json: bool) -> None:
    """Put what a backup or a store holds on a board, in place of what it knows.

    \b
    Examples:
      edge-meta board restore kitchen.bin --port /dev/ttyACM0
      edge-meta board restore merged.db --port /dev/ttyACM0

    The board keeps its classes until all is written, and after a cut on the way. STORE is a .db file of the board's encoder;
    its shots must be of the board's int8 steps, as those of import-store --format board are.
    """
    counter = Counter("pieces")
    with open_board(port) as line, _store_of(source, line) as store:
        flash, info = line.flash(), line.info
        with tempfile.TemporaryDirectory() as scratch:
            made = Path(scratch) / "flash"
            _require_room(line, store)
            done = board_store.write_board(store, made, info.steps, flash.sector_bytes, flash.unit, flash.generation + 1)
            line.write_flash(made.read_bytes()[: flash.sector_bytes], counter)
        classes, none_shots = line.classes()
    if (len(classes), none_shots) != (done["classes"], done["none_shots"]):
        note("Note: the board lists other classes than were written. Back it up, and compare.")
    emit({"source": source, **done}, as_json, [f"{source}: {shots_of_classes(**done)} on the board"])


def _require_encoder(line: BoardLine, encoder_id: str) -> None:
    if line.info.encoder_id != encoder_id:
        raise BoardError(
            f"The board has encoder {line.info.encoder_id[:12]}, and this is of encoder {encoder_id[:12]}.",
            "Use the bundle that the board's program was made of.",
        )


@contextmanager
def _store_of(source: str, line: BoardLine) -> Iterator[Store]:
    """Open a store, or read a backup into a temporary one."""
    encoder_id, dim = line.info.encoder_id, line.info.dim
    try:
        with open(source, "rb") as file:
            is_store = file.read(len(SQLITE)) == SQLITE
    except OSError as error:
        raise StoreError(f"{source} cannot be read ({error}).", "Name a backup of a board, or a store.") from None
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(source) if is_store else Path(scratch) / "backup.db"
        if not is_store:
            board_store.read_board(source, path, encoder_id, dim)
        with Store(path, encoder_id, dim) as store:
            yield store


def _require_room(line: BoardLine, store: Store) -> None:
    """Raise BoardError if the board's program holds less than the store has."""
    now, info = store.snapshot(), line.info
    for name, count, most in (
        ("classes", len(now.labels), info.classes),
        ("shots of a class", int(now.counts.max(initial=0)), info.shots),
        ("examples of none", int(store.snapshot(NONE).counts.sum()), info.none),
        ("bytes of a label", max((len(label.encode()) for label in now.labels), default=0), info.label_bytes),
    ):
        if count > most:
            raise BoardError(
                f"{store.path} has {count} {name}, and the board's program holds {most}.",
                "Forget some, or compile its program with more.",
            )
