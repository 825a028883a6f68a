"""The verbs of a device: enroll, classify, adapt, forget, undo."""

from __future__ import annotations

from typing import Any

import click

from edge_meta.cli.common import emit, json_option, runtime_options, solver_option, store_option
from edge_meta.heads.adapted import Adapted
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.classifier import Classifier
from edge_meta.store.messages import SCRUB_PENDING


@click.command()
@click.argument("bundle")
@click.argument("label")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--no-shots", is_flag=True, help="Store only each class's sum and count, not its shots.")
@store_option
@runtime_options
@json_option
def enroll(
    bundle: str,
    label: str,
    files: tuple[str, ...],
    no_shots: bool,
    store: str | None,
    options: RuntimeOptions,
    as_json: bool,
) -> None:
    """Teach BUNDLE the class LABEL from examples, or add examples to it.

    \b
    Examples:
      edge-meta enroll omniglot alef alef1.png alef2.png alef3.png
      edge-meta enroll letters.bundle mug photos/mug/*.jpg --store kitchen.db
      edge-meta enroll sounds.bundle bell bell1.wav bell2.wav

    FILEs are images, .wav or .flac recordings, or .npy arrays, as the encoder takes them. If one of them cannot be read,
    none is added. Only embeddings are stored, never the examples.

    --no-shots is for a new store. Nothing in that store can be adapted, and no single shot can be forgotten.
    """
    with Classifier.load(bundle, store, keep_shots=not no_shots, **vars(options)) as classifier:
        done = classifier.enroll(label, list(files))
    emit(done._asdict(), as_json, [f"{done.label}: {done.added} added, {done.shots} shots; {done.classes} classes"])


@click.command()
@click.argument("bundle")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--top-k", default=3, show_default=True, type=click.IntRange(min=1), help="List this many nearest labels.")
@click.option("--false-accept", type=float, help="Accept this share of strangers as known.  [default: the bundle's]")
@store_option
@runtime_options
@json_option
def classify(
    bundle: str,
    files: tuple[str, ...],
    top_k: int,
    false_accept: float | None,
    store: str | None,
    options: RuntimeOptions,
    as_json: bool,
) -> None:
    """Name the enrolled class of each example, or call it unknown.

    \b
    Examples:
      edge-meta classify omniglot what.png
      edge-meta classify letters.bundle *.png --top-k 5 --json
      edge-meta classify omniglot what.png --false-accept 0.01    # rather unknown than wrong

    The score is the softmax over all enrolled labels. An example that is too far from all of them is unknown: its label is
    null in JSON.
    """
    results = []
    with Classifier.load(bundle, store, false_accept, **vars(options)) as classifier:
        for file in files:
            result = classifier.classify(file, top_k)
            fields: dict[str, Any] = {"file": file, **result.best._asdict(), "known": result.known}
            results.append({**fields, "top": [{"label": near.label, "score": near.score} for near in result.top]})
    lines = []
    for entry in results:
        near = ", ".join(f"{top['label']} {top['score']:.0%}" for top in entry["top"])
        lines.append(f"{entry['file']}: {entry['label'] if entry['known'] else 'unknown'}  (nearest: {near})")
    emit({"results": results}, as_json, lines)


@click.command()
@click.argument("bundle")
@solver_option
@click.option("--steps", type=int, help="Take at most this many gradient steps.  [default: the bundle's]")
@click.option("--learning-rate", type=float, help="Use this rate in all steps.  [default: the bundle's]")
@store_option
@json_option
def adapt(
    bundle: str, solver: str | None, steps: int | None, learning_rate: float | None, store: str | None, as_json: bool
) -> None:
    """Fit the last layer to all enrolled shots, or go back to the prototypes where they do best on shots held out.

    \b
    Examples:
      edge-meta adapt omniglot
      edge-meta adapt letters.bundle --steps 20 --learning-rate 0.01
      edge-meta adapt letters.bundle --solver ridge

    Shots that are held out decide which of the two is better. Only labels with two shots or more can spare one. edge-meta
    undo takes an adaptation back.
    """
    with Classifier.load(bundle, store) as classifier:
        done = classifier.adapt(steps, learning_rate, solver)
    emit(done._asdict(), as_json, [_adaptation(done)])


def _adaptation(done: Adapted) -> str:
    """The result in one line: by which head, judged on which shots, and whether it is kept."""
    fitted = f"{done.solver} on {done.shots} shots of {done.classes} classes"
    if done.steps_allowed:
        fitted = f"{done.steps} of {done.steps_allowed} steps by {fitted}"
    prototypes = "The head is that of the prototypes"
    if done.held_out_loss_after is None:
        nothing = "no label has two shots, so none could be held out to judge by"
        if done.changed:
            return f"{fitted}: loss {done.loss_before:.4f} → {done.loss_after:.4f}; {nothing}"
        return f"{prototypes}: {nothing}."
    if not done.changed:
        return (
            f"{prototypes}: on {done.held_out} held-out shots, {done.solver} did no better "
            f"(loss {done.held_out_loss_before:.4f}, {done.held_out_accuracy_before:.1%} right)."
        )
    return (
        f"{fitted}: on {done.held_out} held-out shots, "
        f"loss {done.held_out_loss_before:.4f} → {done.held_out_loss_after:.4f}, "
        f"{done.held_out_accuracy_before:.1%} → {done.held_out_accuracy_after:.1%} right"
    )


@click.command()
@click.argument("bundle")
@click.argument("label")
@click.option("--shot", metavar="ID", help="Remove only this shot; edge-meta inspect --shots lists their ids.")
@store_option
@json_option
def forget(bundle: str, label: str, shot: str | None, store: str | None, as_json: bool) -> None:
    """Remove LABEL, or one shot of it, for good.

    \b
    Examples:
      edge-meta forget omniglot alef
      edge-meta forget omniglot alef --shot 5f0c9a...

    edge-meta undo does not bring it back. An adapted head, which was fitted to it, goes as well. Its bytes are written over
    before the command ends. If another program reads the store for longer than 10 seconds, or the disk is full, that is left
    to the next change or opening, and the result says so.
    """
    with Bundle.open(bundle).open_store(store) as opened:
        done = opened.forget(label, shot)
        classes = len(opened.snapshot().labels)
    emit(
        {
            "label": label, "removed": done.shots, "classes": classes, "head_reset": done.head_reset,
            "scrub_pending": done.scrub_pending,
        },
        as_json,
        [
            f"{label}: {done.shots} shots removed; {classes} classes",
            *["The adapted head went with them; adapting starts anew."] * done.head_reset,
            *[SCRUB_PENDING] * done.scrub_pending,
        ],
    )  # fmt: skip


@click.command()
@click.argument("bundle")
@store_option
@json_option
def undo(bundle: str, store: str | None, as_json: bool) -> None:
    """Take back the last enroll or adapt.

    \b
    Example:
      edge-meta undo omniglot

    Call it again to take back the one before.
    """
    with Bundle.open(bundle).open_store(store) as opened:
        undone = opened.undo()
        classes = len(opened.snapshot().labels)
    removed = f"{undone.shots} shots of {undone.label}" if undone.action == "enroll" else "the adapted last layer"
    lines = [f"Undone: {undone.action} ({removed}); {classes} classes", *[SCRUB_PENDING] * undone.scrub_pending]
    emit({**vars(undone), "classes": classes}, as_json, lines)
