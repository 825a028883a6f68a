"""A store as a board keeps it in flash: teach on the board, merge on the desk, and back."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_meta import files
from edge_meta.errors import StoreError
from edge_meta.store import board_records as form
from edge_meta.store.board_records import Record, SectorHeader, Steps
from edge_meta.store.exact_sums import Sums
from edge_meta.store.placement import create_atomically
from edge_meta.store.reader import NONE
from edge_meta.store.store import Store
from edge_meta.store.store_check import check_store
from edge_meta.types import Array

MOST_CLASSES, MOST_SHOTS, MOST_LABEL_BYTES, MOST_ORIGINS = 64, 64, 250, 255
OF_NONE = 0  # the class id of examples of none
ANOTHER = "Read the flash again, or use another copy of it."


@dataclass
class Log:
    """The classes and shots that the records of a sector come to.

    Attributes:
        labels: class id → label, in the order of the first shots.
        shots: shot id → class id (of an example of none, `OF_NONE`), origin (16 bytes) and embedding (D,).
        removed: ids of shots that are gone.
        columns: class id → weights (D,) and bias of an adapted head.
        damaged: the places in the file of records that are beyond correction, and left out.
    """

    labels: dict[int, str] = field(default_factory=dict)
    shots: dict[bytes, tuple[int, bytes, Array]] = field(default_factory=dict)
    removed: set[bytes] = field(default_factory=set)
    columns: dict[int, tuple[Array, float]] = field(default_factory=dict)
    damaged: list[int] = field(default_factory=list)


def write_board(
    store: Store, path: str | Path, steps: Steps | None, sector_bytes: int, unit: int = 4, generation: int = 1
) -> dict[str, int]:
    """Write a store as the content of two sectors of flash, whole or not at all; replace a file that is there.

    Args:
        steps: of the board's int8 embeddings; None if the board keeps float32.
        unit: bytes that the flash programs at once.
        generation: of the sector; of two, the later one counts.

    Returns:
        How many `classes`, their `shots`, and `none_shots` there are.

    Raises:
        LabelError: nothing is enrolled.
        StoreError: the store keeps no single shots, or what no board holds; or the file cannot be written.
    """
    with store.everything() as rows:
        check_store(rows)
        if not rows.keeps_shots:
            raise StoreError(f"{store.path} keeps no single shots, and a board needs them.", "Enroll into another --store.")
        if rows.query("SELECT 1 FROM migrated LIMIT 1").fetchone():
            raise StoreError(
                f"{store.path} has migrated shots, for which boards have no limits.", "Enroll again for the board."
            )
        labels = dict(rows.query("SELECT id, label FROM labels WHERE label != '' ORDER BY id").fetchall())
        shots = rows.query(
            "SELECT label_id, origin, shots.id, embedding FROM shots JOIN sums ON sums.id = sum_id "
            "JOIN labels ON labels.id = label_id ORDER BY label = '', label_id, shots.rowid"
        ).fetchall()
        removed = [removed_id for (removed_id,) in rows.query("SELECT id FROM removed ORDER BY id")]
        columns = rows.query("SELECT label_id, weights, bias FROM columns ORDER BY label_id").fetchall()
    numbers = {label_id: number for number, label_id in enumerate(labels, 1)}
    none_shots = sum(label_id not in labels for label_id, *_ in shots)
    origins = {origin: index for index, origin in enumerate(dict.fromkeys(origin for _, origin, _, _ in shots), 1)}
    _check_limits(store, labels, [label_id for label_id, *_ in shots], len(origins))
    log = [Record(form.ORIGIN, ids=(origin,), origin=index) for origin, index in origins.items()]
    for label_id, origin, shot_id, blob in shots:
        stored = blob if steps is None else steps.stored(np.frombuffer(blob, "<f4"))
        if stored is None:
            owner = repr(labels[label_id]) if label_id in labels else "None"
            raise StoreError(
                f"{owner} has an embedding that is not of the board's int8 steps.",
                "Use the board's own bundle, and an encoder that gives them.",
            )
        data = form.text(labels.get(label_id, NONE)) + stored
        log.append(Record(form.SHOT, numbers.get(label_id, OF_NONE), (shot_id,), data, origins[origin]))
    log += [
        Record(form.REMOVE, ids=tuple(removed[start : start + 4]), flags=form.KEEP_HEAD)
        for start in range(0, len(removed), 4)
    ]
    heads = [
        Record(form.COLUMN, numbers[label_id], data=struct.pack("<f", bias) + weights) for label_id, weights, bias in columns
    ]
    log += [*heads, Record(form.HEAD, len(heads))] if heads else []
    encoder_id, origin = bytes.fromhex(store.encoder_id), os.urandom(16)
    header = SectorHeader(store.dim, steps, len(labels) + 1, generation, encoder_id, origin, sector_bytes, unit)
    parts = [record.encoded() for record in log]
    content = header.encoded() + b"".join(part + bytes(-len(part) % unit) for part in parts)
    if len(content) > sector_bytes:
        raise StoreError(
            f"The store takes {len(content):,} bytes on the board, and a sector has {sector_bytes:,}.",
            "Forget what is not needed, or give the board larger sectors.",
        )
    try:
        with files.replacing(Path(path), private=True) as file:
            file.write(content.ljust(2 * sector_bytes, b"\xff"))
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error}).", "Choose another file.") from error
    return {"classes": len(labels), "shots": len(shots) - none_shots, "none_shots": none_shots}


def read_board(source: str | Path, path: Path, encoder_id: str, dim: int) -> dict[str, Any]:
    """Make a new store at `path` from the content of a board's flash, whole or not at all.

    Returns:
        How many `classes`, their `shots`, and `none_shots` there are, and the places in the file of records beyond
        correction, `damaged`.

    Raises:
        StoreError: there is a store already; or the file is no flash of a board, or of another encoder.
    """
    source = Path(source)
    taken = StoreError(f"There is a store at {path} already.", "Import into another --store, then: edge-meta merge.")
    if path.exists() and (path.is_dir() or path.stat().st_size):
        raise taken
    try:
        content = source.read_bytes()
    except OSError as error:
        raise StoreError(f"{source} cannot be read ({error}).", "Check the path.") from error
    header, log = read_log(content, source)
    if (header.encoder_id.hex(), header.dim) != (encoder_id, dim):
        raise StoreError(f"{source} belongs to another encoder than the bundle.", "Use the bundle of the board's firmware.")
    made: dict[str, Any] = {"damaged": log.damaged}

    def fill(new: Path) -> None:
        with Store(new, encoder_id, dim) as store:
            now = store.restore(_tables(log), source)
            none_shots = len(store.none_shots())
            made.update(classes=len(now.labels), shots=int(now.counts.sum()), none_shots=none_shots)

    if not create_atomically(path, fill):
        raise taken
    return made


def read_log(content: bytes, source: Path) -> tuple[SectorHeader, Log]:
    """The newest sector's header, and what its records come to.

    Raises:
        StoreError: no sector has a header.
    """
    found: tuple[int, SectorHeader] | None = None
    at = 0
    while at + form.FIRST_RECORD <= len(content):
        header = SectorHeader.decoded(content[at : at + form.FIRST_RECORD])
        if header is not None and at % header.sector_bytes:
            header = None  # this is the second copy of a header
        if header is not None and (found is None or header.generation > found[1].generation):
            found = at, header
        at += form.HEADER_BYTES if header is None else header.sector_bytes
    if found is None:
        raise StoreError(f"{source} is not the flash of a board: no sector has a header.", ANOTHER)
    start, header = found
    return header, _replay(content[start : start + header.sector_bytes], header, start)


def _replay(sector: bytes, header: SectorHeader, start: int) -> Log:
    """Go through the records as the board does when it starts."""
    log, half_zeroed, staged = Log(), dict[bytes, int](), dict[int, tuple[Array, float]]()
    origins, found = {0: header.origin}, list(form.records(sector, header.unit))
    if found and (found[-1][1] is None or found[-1][1].data is None):
        found.pop()  # cut off while it was written
    for at, record in found:
        if record is None:
            log.damaged.append(start + at)
            continue
        if record.kind not in (form.COLUMN, form.HEAD):
            staged = {}
        if record.kind == form.ORIGIN:
            origins[record.origin] = record.ids[0]
        elif record.kind == form.REMOVE:
            _remove(log, record)
            for shot_id in record.ids:
                half_zeroed.pop(shot_id, None)
        elif record.kind == form.HEAD:
            if len(staged) == record.of:
                log.columns = {**(log.columns if record.flags & form.SOME_COLUMNS else {}), **staged}
            staged = {}
        elif record.kind == form.SHOT and record.data is None:
            half_zeroed[record.ids[0]] = at
        elif record.data is None:
            if record.of in log.labels:
                log.damaged.append(start + at)
                _rename(log, record)
        elif record.data:
            try:
                _apply(log, record, header, origins, staged)
            except (ValueError, IndexError, KeyError, struct.error):
                log.damaged.append(start + at)
    log.damaged += [start + at for at in half_zeroed.values()]
    log.damaged.sort()
    return log


def _apply(
    log: Log, record: Record, header: SectorHeader, origins: dict[int, bytes], staged: dict[int, tuple[Array, float]]
) -> None:
    assert record.data
    if record.kind == form.SHOT:
        label, rest = form.split_text(record.data)
        size = header.dim * (4 if header.steps is None else 1)
        values = np.frombuffer(rest[:size], "<f4") if header.steps is None else header.steps.values(rest[:size])
        if len(values) != header.dim or not np.isfinite(values).all() or record.ids[0] in log.shots:
            raise ValueError("no shot")
        if record.of == OF_NONE and label != NONE:
            raise ValueError("no example of none")
        if record.of not in log.labels and record.of != OF_NONE:
            log.labels[record.of] = _free_name(log, record.of, label)
        log.shots[record.ids[0]] = (record.of, origins[record.origin], values)
        log.columns.pop(record.of, None)
    elif record.kind == form.RENAME and record.of in log.labels:
        _rename(log, record)
    elif record.kind == form.COLUMN and record.of in log.labels:
        values = np.frombuffer(record.data[: 4 * (header.dim + 1)], "<f4")
        if len(values) != header.dim + 1 or not np.isfinite(values).all():
            raise ValueError("no column")
        staged[record.of] = values[1:], float(values[0])


def _rename(log: Log, record: Record) -> None:
    """Give a class another label, and its shots other ids; without a label, if the record has lost that, "?" and its id."""
    if record.kind != form.RENAME:
        return
    label = form.split_text(record.data)[0] if record.data else ""
    log.labels[record.of] = _free_name(log, record.of, label)
    half = len(record.ids) // 2
    for old, new in zip(record.ids[:half], record.ids[half:], strict=True):
        log.removed.add(old)
        if old in log.shots:
            log.shots = {new if each == old else each: shot for each, shot in log.shots.items()}


def _free_name(log: Log, number: int, label: str) -> str:
    """A class's label; "?" and its id if that is another one's, or none."""
    others = {name for other, name in log.labels.items() if other != number}
    return f"?{number}" if not label.strip() or label in others else label


def _remove(log: Log, record: Record) -> None:
    log.removed.update(record.ids)
    for shot_id in record.ids:
        log.shots.pop(shot_id, None)
    left = {number for number, _, _ in log.shots.values()}
    log.labels = {number: label for number, label in log.labels.items() if number in left}
    kept = log.columns if record.flags & form.KEEP_HEAD else {}
    log.columns = {number: column for number, column in kept.items() if number in left}


def _tables(log: Log) -> dict[str, list[tuple[object, ...]]]:
    """The rows of a store."""
    groups: dict[tuple[int, bytes], list[bytes]] = {}
    for shot_id, (number, origin, _) in log.shots.items():
        groups.setdefault((number, origin), []).append(shot_id)
    labels = {**log.labels, **({OF_NONE: NONE} if any(number == OF_NONE for number, *_ in log.shots.values()) else {})}
    rows = {number: row for row, number in enumerate(labels, 1)}
    sums: list[tuple[object, ...]] = []
    shots: list[tuple[object, ...]] = []
    for (number, origin), ids in groups.items():
        sum_id = os.urandom(16)
        total = Sums.of(np.stack([log.shots[shot_id][2] for shot_id in ids]))
        sums.append((sum_id, rows[number], origin, 1, *total.to_row()))
        shots += [(shot_id, sum_id, None, log.shots[shot_id][2].astype("<f4").tobytes()) for shot_id in ids]
    return {
        "labels": [(rows[number], label) for number, label in labels.items()],
        "sums": sums,
        "shots": shots,
        "columns": [
            (rows[number], weights.astype("<f4").tobytes(), bias) for number, (weights, bias) in log.columns.items()
        ],
        "removed": [(removed,) for removed in sorted(log.removed - log.shots.keys())],
    }


def _check_limits(store: Store, labels: dict[int, str], owners: list[int], origins: int) -> None:
    """Check that a board can hold what a store has."""
    most_shots = max((owners.count(label_id) for label_id in set(owners)), default=0)
    longest = max((len(label.encode()) for label in labels.values()), default=0)
    if any("\0" in label for label in labels.values()):
        raise StoreError(f"{store.path} has a label with a zero character, which ends a board's labels.", "Rename it.")
    for name, count, most in (
        ("labels", len(labels), MOST_CLASSES),
        ("shots of a label, or of none", most_shots, MOST_SHOTS),
        ("bytes of a label", longest, MOST_LABEL_BYTES),
        ("origins", origins, MOST_ORIGINS),
    ):
        if count > most:
            raise StoreError(f"{store.path} has {count} {name}, and a board holds {most} at most.", "Forget some.")
