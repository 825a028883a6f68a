"""The files and folders of examples that a command names: find them, embed them, report what cannot be read.

A file that the command names itself must be readable. A folder may hold others: they are left out, and reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
from numpy.typing import NDArray

from edge_meta.cli.progress import Counter, note
from edge_meta.errors import InputError
from edge_meta.inputs import AudioInput, SeriesInput
from edge_meta.inputs.folders import Listing, list_labels, list_tree, no_examples
from edge_meta.inputs.senses import require_sense
from edge_meta.runtime.classifier import Classifier
from edge_meta.runtime.domain_check import DomainCheck
from edge_meta.types import Array


class ExampleFile(NamedTuple):
    """A file to embed, and whether a folder was named in its place."""

    path: str
    in_folder: bool


class Unreadable(NamedTuple):
    """A file in a folder that is no readable example, and why."""

    path: str
    cause: str
    remedy: str


class CutAt(NamedTuple):
    """A sound that was cut out of a recording, or a motion out of a series, from `start` to `end` in seconds."""

    file: str
    start: float
    end: float

    def __str__(self) -> str:
        return f"{self.file} at {self.start:.2f}-{self.end:.2f} s"


class Examples:
    """The examples of one command.

    Args:
        split: cut recordings at their pauses, and tables of series where they are still, so that each sound or motion is an
            example.

    Attributes:
        unreadable: the files in folders that could not be read so far.
        cuts: what was cut out so far.

    Raises:
        InputError: what the encoder takes cannot be split.
    """

    def __init__(self, classifier: Classifier, split: bool = False) -> None:
        self._classifier, self._spec, self._split = classifier, classifier.bundle.manifest.input_spec, split
        self.unreadable: list[Unreadable] = []
        self.cuts: list[CutAt] = []
        if split and not isinstance(self._spec, (AudioInput, SeriesInput)):
            raise InputError(
                f"{classifier.bundle.name} takes {self._spec.noun}s; only recordings and series can be split.",
                "Leave out --split.",
            )

    def find(self, paths: Sequence[str]) -> list[ExampleFile]:
        """List files as they are named, and in place of each folder the files that are in it, at any depth.

        Raises:
            InputError: a folder cannot be listed, or is empty.
        """
        found: list[ExampleFile] = []
        for path in paths:
            if Path(path).is_dir():
                found += self._listed(Path(path), list_tree(Path(path), self._spec.suffixes))
            else:
                found.append(ExampleFile(path, in_folder=False))
        return found

    def find_labels(self, folder: str) -> dict[str, list[ExampleFile]]:
        """List a folder with one subfolder per label: label → its files.

        Raises:
            InputError: see `folders.list_labels`.
            LabelError: see `Classifier.label`.
        """
        files: dict[str, list[ExampleFile]] = {}
        for name, listing in list_labels(Path(folder), self._spec.suffixes, self._spec.noun).items():
            files.setdefault(self._classifier.label(name), []).extend(self._listed(Path(folder) / name, listing))
        return files

    def embedded(self, files: Iterable[ExampleFile], progress: Callable[[], None]) -> Iterator[tuple[str, Array]]:
        """Embed files one by one: the path and the embedding (D,) of each that is read, or of each sound or motion in it.

        Args:
            progress: called after each file.

        Raises:
            InputError: a file that the command names cannot be read.
        """
        for file in files:
            try:
                yield from self._embedded(file.path)
            except InputError as error:
                if not file.in_folder:
                    raise
                self.unreadable.append(Unreadable(file.path, error.cause, error.remedy))
            progress()

    def _embedded(self, path: str) -> list[tuple[str, Array]]:
        if not self._split:
            return [(path, self._classifier.embed(path))]
        found = self._cut(path)
        embedded = [(str(cut), self._classifier.embed(example)) for cut, example in found.items()]
        self.cuts += found
        return embedded

    def _cut(self, path: str) -> dict[CutAt, NDArray[Any]]:
        if isinstance(self._spec, AudioInput):
            from edge_meta.inputs.pauses import read_cut

            return {CutAt(path, cut.start, cut.end): cut.samples for cut in read_cut(self._spec, path)}
        from edge_meta.inputs.motions import read_motions

        require_sense(path, self._spec.suffixes, self._spec.noun)
        motions = read_motions(path, getattr(self._spec, "channels", ()))
        return {CutAt(path, motion.start, motion.end): motion.values for motion in motions}

    def named(self, labels: dict[str, list[ExampleFile]]) -> dict[str, list[tuple[str, Array]]]:
        """Embed all files of each label: label → path and embedding (D,) of each; without labels that have no readable file.

        Raises:
            InputError: a file that the command names cannot be read, or none of all files.
        """
        progress = self.progress(sum(map(len, labels.values())))
        read = {label: list(self.embedded(files, progress)) for label, files in labels.items()}
        self.require(any(read.values()))
        return {label: found for label, found in read.items() if found}

    def progress(self, total: int) -> Callable[[], None]:
        """Count files on a terminal; call it once per file."""
        counter, done = Counter(f"{self._spec.noun}s"), iter(range(1, total + 1))
        return lambda: counter(next(done), total) if total > 1 else None

    def require(self, read: bool) -> None:
        """Raise InputError if no file was read, since none in the folders can be."""
        if not read:
            first, count = self.unreadable[0], len(self.unreadable)
            cause = first.cause if count == 1 else f"None of {count} files can be read; the first: {first.cause}"
            raise InputError(cause, first.remedy)

    def report(self) -> list[dict[str, str]]:
        """Say on stderr which files were left out; returns them for JSON."""
        if self.unreadable:
            count = len(self.unreadable)
            note(f"Note: {count} {'file is' if count == 1 else 'files are'} left out, no readable {self._spec.noun}:")
            for file in self.unreadable:
                note(f"  {file.cause}")
        return [{"path": file.path, "cause": file.cause} for file in self.unreadable]

    def _listed(self, folder: Path, listing: Listing) -> list[ExampleFile]:
        suffixes, noun = self._spec.suffixes, self._spec.noun
        if not listing.examples and not listing.others:
            raise no_examples(folder, suffixes, noun)
        kinds = ", ".join(sorted(suffixes))
        for other in listing.others:
            cause = f"{other} is no {noun} file by its name ({kinds})."
            self.unreadable.append(Unreadable(str(other), cause, f"Convert it to one of {kinds}."))
        return [ExampleFile(str(path), in_folder=True) for path in listing.examples]


def note_domain(classifier: Classifier, nearest: Sequence[tuple[str, float]] = ()) -> None:
    """Say on stderr if the store, or queries, are of another kind than the bundle was calibrated on.

    Args:
        nearest: the nearest label of each query, and its squared distance.
    """
    domain = DomainCheck(classifier.store, classifier.bundle.manifest)
    for sentence in (domain.of_store(), domain.of_queries(nearest)):
        if sentence is not None:
            note(f"Note: {sentence}")


def label_and_paths(arguments: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Split the arguments of enroll into LABEL and what follows; the label is None for one folder alone.

    Raises:
        click.UsageError: one argument that is no folder.
        InputError: the label is a folder, and other folders follow.
    """
    label, paths = arguments[0], arguments[1:]
    if not paths:
        if Path(label).is_dir():
            return None, arguments
        raise click.UsageError(f"{label!r} is no folder, so FILE... must follow it as a LABEL.")
    if Path(label).is_dir():
        for path in paths:
            if Path(path).is_dir() and Path(path).resolve().name != Path(label).name:
                raise InputError(
                    f"{label} is a folder where a LABEL is expected, before the folder {path}.",
                    "Give one folder that holds a subfolder per label, or a LABEL and then what shows it.",
                )
    return label, paths
