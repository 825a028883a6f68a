"""The command line. Results go to stdout, progress and notes to stderr; exit codes: 0 done, 1 a user's problem, 2 usage."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from edge_meta import __version__
from edge_meta.errors import EdgeMetaError

# Verb -> module of edge_meta.cli that defines it. Modules load when their verb is called, so that classifying on a board
# never pays for what training needs.
VERBS = {
    "train": "train",
    "export": "export",
    "evaluate": "evaluate",
    "enroll": "device",
    "classify": "device",
    "adapt": "device",
    "forget": "device",
    "undo": "device",
    "inspect": "inspect",
    "merge": "store",
    "migrate": "store",
    "export-store": "store",
    "import-store": "store",
    "benchmark": "benchmark",
    "data": "data",
    "demo": "demo",
}


class LazyGroup(click.Group):
    """A group that imports a verb's module when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"edge_meta.cli.{VERBS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            with native_output_hushed():
                return super().invoke(ctx)
        except EdgeMetaError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(1)


@contextmanager
def native_output_hushed() -> Iterator[None]:
    """Drop what native libraries print to stderr, while Python's own messages still get there.

    TensorFlow tells of every GPU driver that it does not find, and interpreters of every delegate that they make. Who wants
    to read that sets TF_CPP_MIN_LOG_LEVEL, as for TensorFlow itself.
    """
    try:
        real = os.dup(2)
    except OSError:  # started without a stderr
        real = None
    if real is None or "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    before = sys.stderr
    with open(os.devnull, "w") as nowhere, open(real, "w", buffering=1, encoding="utf-8", errors="replace") as messages:
        if before is sys.__stderr__:
            sys.stderr = messages
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            sys.stderr = before


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="edge-meta")
def main() -> None:
    """Teach a phone or a board new classes from a handful of examples, on the device.

    \b
    On a workstation:  edge-meta demo                 see everything work, in a few minutes
                       edge-meta train, export        make an encoder, make a bundle of it
    On a device:       edge-meta enroll, classify     show it a thing, ask what a thing is
    """
