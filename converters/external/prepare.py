"""Make one file or folder of an export's source that the conversion takes."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from converters.external.chain import join_chain
from converters.external.file_kinds import check_source
from converters.external.other_formats import CONVERTERS, convert_format
from converters.options import ExportOptions, ModelOptions
from edge_meta.errors import ExportError

Source: TypeAlias = str | Path | Sequence[str | Path]
"""A run or model, or the files of a chain in order."""


@dataclass(frozen=True)
class Prepared:
    """A source that the conversion takes.

    Attributes:
        options: those of the export, with what was found on the way.
        provenance: further fields of the manifest's `training`.
    """

    path: Path
    options: ExportOptions
    provenance: dict[str, Any]


@contextmanager
def prepared(source: Source, options: ExportOptions, on_note: Callable[[str], None]) -> Iterator[Prepared]:
    """Take a run or a model as it is; convert other formats, and join the files of a chain, in a temporary folder.

    Raises:
        ExportError: no such file, none that can be converted, files do not belong together, or an option has no effect.
    """
    paths = [Path(source)] if isinstance(source, (str, Path)) else [Path(each) for each in source]
    model_options = options.model_options or ModelOptions()
    if len(paths) == 1:
        if model_options.between is not None:
            raise ExportError(f"{paths[0]} is one file, and --between is for a chain of several.", "Leave it out.")
        with _one(paths[0], options, on_note) as ready:
            yield ready
        return
    if not paths:
        raise ExportError("There is nothing to export.", "Name a run or a model.")
    joined, found = join_chain(paths, model_options, on_note)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{'+'.join(path.stem for path in paths)}.tflite"
        path.write_bytes(joined)
        yield Prepared(path, replace(options, model_options=found), {"parts": [_facts(each) for each in paths]})


@contextmanager
def _one(source: Path, options: ExportOptions, on_note: Callable[[str], None]) -> Iterator[Prepared]:
    """A run or model as it is, or converted in a child process."""
    check_source(source)
    if source.suffix not in CONVERTERS or source.is_dir():
        if options.converter is not None:
            raise ExportError(f"{source} needs no converter.", "Leave --converter out.")
        yield Prepared(source, options, {})
        return
    with tempfile.TemporaryDirectory() as folder:
        made = convert_format(source, options.converter, Path(folder), on_note)
        yield Prepared(made, options, {"parts": [_facts(source)], "converter": CONVERTERS[source.suffix].package})


def _facts(path: Path) -> dict[str, str]:
    return {"source": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def name_of(source: Source) -> str:
    """The name of a bundle made of a source."""
    return Path(source if isinstance(source, (str, Path)) else source[-1]).stem
