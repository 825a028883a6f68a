"""The verbs of a device: enroll, classify, adapt, forget, rename, undo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import numpy as np

from edge_meta.cli.answers import answer_fields, answer_line
from edge_meta.cli.common import emit, json_option, runtime_options, solver_option, store_option
from edge_meta.cli.examples import Examples, label_and_paths, note_domain
from edge_meta.cli.progress import note
from edge_meta.heads.adapted import Adapted
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.classifier import Classifier
from edge_meta.runtime.store_migration import open_users_store
from edge_meta.store.labels import LabelForms
from edge_meta.store.messages import SCRUB_PENDING
from edge_meta.store.reader import NONE

if TYPE_CHECKING:
    from edge_meta.evaluation.doubtful_shots import Doubt

MOST_ALIKE = 3  # notes of one kind


@click.command()
@click.argument("bundle")
@click.argument("examples", nargs=-1, required=True, metavar="[LABEL] FILE|FOLDER...")
@click.option("--none", is_flag=True, help="Show things that are no label: what lies near them is unknown.")
@click.option("--split", is_flag=True, help="Cut recordings and .csv series at their pauses: what is between two is a shot.")
@click.option("--no-shots", is_flag=True, help="Store only each class's sum and count, not its shots.")
@store_option
@runtime_options
@json_option
def enroll(
    bundle: str,
    examples: tuple[str, ...],
    none: bool,
    split: bool,
    no_shots: bool,
    store: str | None,
    options: RuntimeOptions,
    as_json: bool,
) -> None:
    """Teach BUNDLE the class LABEL from examples, or add examples to it; or teach it a folder of classes.

    \b
    Examples:
      edge-meta enroll omniglot alef alef1.png alef2.png alef3.png
      edge-meta enroll letters.bundle mug photos/mug/ --store kitchen.db
      edge-meta enroll letters.bundle photos/      # each subfolder is a label
      edge-meta enroll sounds.bundle bell bell1.wav bell2.wav
      edge-meta enroll keywords lamp --split five-times.wav
      edge-meta enroll letters.bundle --none photos/others/

    FILEs are images, .wav or .flac recordings, or .npy arrays, as the encoder takes them. If a FILE cannot be read, none is
    added. Only embeddings are stored, never the examples.

    After a LABEL, a FOLDER stands for all examples in it and in its subfolders. A FOLDER alone holds one subfolder per
    label, and all labels are enrolled in one step. What cameras and file managers put beside photos is skipped. Other files
    in a FOLDER that cannot be read are left out, and listed.

    With --none there is no LABEL: the examples are of things that belong to none. They are kept like shots, never answered,
    and no head is fitted to them. Later, an example that lies nearer to one of them than to its label is unknown.

    With --split, say a word several times into one recording, or make a motion several times in one .csv table with a column
    of seconds, with pauses of half a second or more. The result tells where it was cut.

    Notes tell which examples were enrolled before, and which are nearer to another label than to the other shots of theirs:
    the first three of each kind. --json lists all.

    --no-shots is for a new store. Nothing in that store can be adapted, and no single shot can be forgotten.
    """
    from edge_meta.evaluation.doubtful_shots import doubtful_shots, enrolled_shots

    label, paths = (NONE, list(examples)) if none else label_and_paths(examples)
    with Classifier.load(bundle, store, keep_shots=not no_shots, **vars(options)) as classifier:
        given = Examples(classifier, split)
        if label is None:
            files = given.find_labels(paths[0])
        else:
            files = {label if none else classifier.label(label): given.find(paths)}
        named = given.named(files)
        stored = enrolled_shots(classifier.store)
        shots = {label: np.stack([shot for _, shot in found]) for label, found in named.items()}
        done = [classifier.enroll_none_embeddings(shots[NONE])] if none else classifier.enroll_embeddings(shots)
        warnings = doubtful_shots(named, stored, classifier.store.snapshot())
        note_domain(classifier)
    unreadable = given.report()
    _note_doubts(warnings)
    for missing in sorted(set(files) - {each.label for each in done}):
        note(f"Note: {missing} is not enrolled, since no file in it can be read.")
    if label is None:
        labels = [{"label": each.label, "added": each.added, "shots": each.shots} for each in done]
        result = {"labels": labels, "added": sum(each.added for each in done), "classes": done[0].classes}
    else:
        result = done[0]._asdict()
    if split:
        result["cuts"] = [cut._asdict() for cut in given.cuts]
    lines = [f"Cut out: {cut}" for cut in given.cuts]
    lines += [f"{each.label or 'none'}: {each.added} added, {each.shots} shots; {each.classes} classes" for each in done]
    emit({**result, "unreadable": unreadable, "warnings": [doubt._asdict() for doubt in warnings]}, as_json, lines)


def _note_doubts(doubts: Sequence[Doubt]) -> None:
    """Print the first few notes of each kind, and how many more there are."""
    for kind in dict.fromkeys(doubt.kind for doubt in doubts):
        alike = [doubt.cause for doubt in doubts if doubt.kind == kind]
        for cause in alike[:MOST_ALIKE]:
            note(f"Note: {cause}")
        if len(alike) > MOST_ALIKE:
            note(f"Note: … and {len(alike) - MOST_ALIKE} more like it; --json lists all.")


@click.command()
@click.argument("bundle")
@click.argument("files", nargs=-1, required=True, metavar="FILE|FOLDER...")
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
      edge-meta classify letters.bundle new/ --store kitchen.db
      edge-meta classify omniglot what.png --false-accept 0.01    # rather unknown than wrong

    The score is the softmax over all enrolled labels. An example that is too far from all of them is unknown: its label is
    null in JSON.

    A FOLDER stands for all examples in it and in its subfolders, in the order of their names. Files in it that cannot be
    read are left out, and listed.
    """
    results, nearest = [], []
    with Classifier.load(bundle, store, false_accept, **vars(options)) as classifier:
        given = Examples(classifier)
        found = given.find(files)
        for file, embedding in given.embedded(found, given.progress(len(found))):
            result = classifier.classify_embedding(embedding, top_k)
            nearest.append((str(result.top[0].label), result.top[0].distance))
            results.append(answer_fields(file, result))
        given.require(bool(results))
        note_domain(classifier, nearest)
    unreadable = given.report()
    emit({"results": results, "unreadable": unreadable}, as_json, map(answer_line, results))


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
    """The result in people's words: whether the head has changed, and how many held-out shots it gets right."""
    steps = f"{done.steps} of {done.steps_allowed}" if done.changed else f"at most {done.steps_allowed}"
    by = f"by {steps} steps" if done.steps_allowed else f"by {done.solver}"
    fitted = f"to {done.shots} shots of {done.classes} labels {by}"
    if done.held_out_accuracy_before is None or done.held_out_accuracy_after is None:
        state = f"Adapted {fitted}" if done.changed else "Not adapted"
        return f"{state}: no label has two shots, so none could be held out to judge by. Enroll more shots."
    before, after = (round(share * done.held_out) for share in (done.held_out_accuracy_before, done.held_out_accuracy_after))
    right = f"Right on {after} of {done.held_out} held-out shots"
    better = "" if before == done.held_out else " Try more shots, or another bundle."
    if not done.changed:
        return f"Not adapted: fitting {fitted} did no better. {right}, as before.{better}"
    if after == before:
        surer = f"surer (loss {done.held_out_loss_before:.4f} → {done.held_out_loss_after:.4f})"
        return f"Adapted {fitted}. {right}, as before, but {surer}.{better}"
    return f"Adapted {fitted}. {right}, {before} before."


@click.command()
@click.argument("bundle")
@click.argument("label", required=False)
@click.option("--none", is_flag=True, help="Remove the examples of none in place of a LABEL.")
@click.option("--shot", metavar="ID", help="Remove only this shot; edge-meta inspect --shots lists their ids.")
@store_option
@json_option
def forget(bundle: str, label: str | None, none: bool, shot: str | None, store: str | None, as_json: bool) -> None:
    """Remove LABEL, or one shot of it, for good.

    \b
    Examples:
      edge-meta forget omniglot alef
      edge-meta forget omniglot alef --shot 5f0c9a...
      edge-meta forget omniglot --none

    edge-meta undo does not bring it back. An adapted head, which was fitted to it, goes as well; to examples of none, no
    head was fitted. Its bytes are written over
    before the command ends. If another program reads the store for longer than 10 seconds, or the disk is full, that is left
    to the next change or opening, and the result says so.
    """
    if none == (label is not None):
        raise click.UsageError("Give either a LABEL or --none.")
    with open_users_store(Bundle.open(bundle), store) as opened:
        if label is None:
            done = opened.forget_none(shot)
        else:
            label = LabelForms(known := opened.snapshot().labels, known.__contains__).name(label)
            done = opened.forget(label, shot)
        classes = len(opened.snapshot().labels)
    emit(
        {
            "label": label or NONE, "removed": done.shots, "classes": classes, "head_reset": done.head_reset,
            "scrub_pending": done.scrub_pending,
        },
        as_json,
        [
            f"{label or 'none'}: {done.shots} shots removed; {classes} classes",
            *["The adapted head went with them; adapting starts anew."] * done.head_reset,
            *[SCRUB_PENDING] * done.scrub_pending,
        ],
    )  # fmt: skip


@click.command()
@click.argument("bundle")
@click.argument("old")
@click.argument("new")
@store_option
@json_option
def rename(bundle: str, old: str, new: str, store: str | None, as_json: bool) -> None:
    """Give the label OLD the name NEW.

    \b
    Example:
      edge-meta rename omniglot alef aleph

    Its shots and an adapted head stay. Merging takes the new name to other stores; what they enroll to OLD in the meantime
    stays there. edge-meta undo gives the old name back.
    """
    with open_users_store(Bundle.open(bundle), store) as opened:
        old, new = LabelForms(known := opened.snapshot().labels, known.__contains__).renamed(old, new)
        shots = opened.rename(old, new)
        classes = len(opened.snapshot().labels)
    emit(
        {"old": old, "label": new, "shots": shots, "classes": classes}, as_json,
        [f"{old} is {new}: {shots} shots; {classes} classes"],
    )  # fmt: skip


@click.command()
@click.argument("bundle")
@store_option
@json_option
def undo(bundle: str, store: str | None, as_json: bool) -> None:
    """Take back the last enroll, adapt or rename.

    \b
    Example:
      edge-meta undo omniglot

    Call it again to take back the one before.
    """
    with open_users_store(Bundle.open(bundle), store) as opened:
        undone = opened.undo()
        classes = len(opened.snapshot().labels)
    owner = {None: "several labels", NONE: "none"}.get(undone.label, undone.label)
    removed = f"{undone.shots} shots of {owner}"
    if undone.action == "adapt":
        removed = "the adapted last layer"
    elif undone.action == "rename":
        removed = f"the label is {undone.label} again"
    lines = [f"Undone: {undone.action} ({removed}); {classes} classes", *[SCRUB_PENDING] * undone.scrub_pending]
    emit({**vars(undone), "classes": classes}, as_json, lines)
