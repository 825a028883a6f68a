"""The command line, edge-meta.

Results go to stdout, progress and notes to stderr. Exit codes: 0 done, 1 an error that the user can act on, 2 wrong usage.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from edge_meta import __version__
from edge_meta.errors import EdgeMetaError, EdgeMetaWarning
from edge_meta.text import printable

# Section of the help -> verb -> module of edge_meta.cli that defines it, in the order in which a newcomer needs them. A
# module loads when one of its verbs is called, so that classifying on a board does not pay for what training needs.
SECTIONS = {
    "On a device": {
        "enroll": "device",
        "classify": "device",
        "listen": "listen",
        "watch": "watch",
        "check": "check",
        "adapt": "device",
        "undo": "device",
        "forget": "device",
        "rename": "device",
        "inspect": "inspect",
        "benchmark": "benchmark",
        "serve": "serve",
        "board": "board",
    },
    "Between stores": {
        "merge": "store",
        "migrate": "store",
        "export-store": "store",
        "import-store": "store",
    },
    "On a workstation": {
        "demo": "demo",
        "data": "data",
        "get": "get",
        "train": "train",
        "export": "export",
        "evaluate": "evaluate",
        "compare": "compare",
    },
    "In a shell": {
        "completion": "completion",
    },
}
VERBS = {verb: module for verbs in SECTIONS.values() for verb, module in verbs.items()}


class LazyGroup(click.Group):
    """A group that imports a verb's module when it is needed, and lists the verbs by section."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = load(cmd_name)
        if ctx.resilient_parsing:  # for a shell that completes
            from edge_meta.cli.completion import complete_files

            complete_files(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, verbs in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(verb, load(verb).get_short_help_str(limit=200)) for verb in verbs])

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with usage_errors_printable():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        try:
            with native_output_silenced(), usage_errors_printable(), warnings_as_notes():
                return super().invoke(ctx)
        except EdgeMetaError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(1)


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Print each warning of this package in a line, without the place in the code that Python names."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", EdgeMetaWarning)
        warnings.showwarning = lambda message, *_, **__: click.echo(printable(f"Note: {message}"), err=True)
        yield


@contextmanager
def usage_errors_printable() -> Iterator[None]:
    """Escape control characters in what click says of the arguments, which may be names of files from elsewhere."""
    try:
        yield
    except click.ClickException as error:
        if not isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # the help has lines; not in click 8.1
            vars(error)["message"] = printable(error.message)  # an attribute that click declares final
        raise


def load(verb: str) -> click.Command:
    """Import the module of one of `VERBS`; returns its command."""
    module = importlib.import_module(f"edge_meta.cli.{VERBS[verb]}")
    command: click.Command = getattr(module, verb.replace("-", "_"))
    return command


@contextmanager
def native_output_silenced() -> Iterator[None]:
    """Drop what native libraries print to stderr; Python's own messages still get there.

    TensorFlow reports every GPU driver that it does not find, and interpreters every delegate that they make. To read these
    messages, set TF_CPP_MIN_LOG_LEVEL, as for TensorFlow itself.
    """
    try:
        real = os.dup(2)
    except OSError:  # started without a stderr
        real = None
    if real is None or "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    python_stderr = sys.stderr
    with open(os.devnull, "w") as nowhere, open(real, "w", buffering=1, encoding="utf-8", errors="replace") as messages:
        if python_stderr is sys.__stderr__:
            sys.stderr = messages
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            sys.stderr = python_stderr


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="edge-meta")
def main() -> None:
    """Teach a phone or a board new classes from a handful of examples, on the device.

    \b
    Examples:
      edge-meta enroll omniglot alef alef1.png alef2.png    # show it a thing
      edge-meta classify omniglot what.png                  # ask which thing this is
      edge-meta demo                                        # see everything work, in a few minutes

    Every verb has help with examples, such as edge-meta enroll -h.
    """
