"""edge-meta completion, and what a shell completes: verbs, options, their values, shipped bundles, files."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class
from click.types import StringParamType

from edge_meta.cli.common import emit, json_option
from edge_meta.errors import EdgeMetaError

PROGRAM, VARIABLE = "edge-meta", "_EDGE_META_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
def completion(shell: str, as_json: bool) -> None:
    """Print the script by which SHELL completes verbs, options, bundles and files.

    \b
    Examples:
      edge-meta completion bash > ~/.local/share/bash-completion/completions/edge-meta
      edge-meta completion zsh > "${fpath[1]}/_edge-meta"
      edge-meta completion fish > ~/.config/fish/completions/edge-meta.fish

    Make the folder first if it is not there, and start a new shell.
    """
    made_by = get_completion_class(shell)
    if made_by is None:
        raise EdgeMetaError(f"This click has no completion for {shell}.", "Update click.")
    script = made_by.source_template % made_by(click.Command(PROGRAM), {}, PROGRAM, VARIABLE).source_vars()
    if as_json:
        emit({"shell": shell, "script": script}, as_json, [])
    else:
        click.echo(script)


class FileName(StringParamType):
    """Text that may be the name of a file, or one of some names.

    Args:
        names: to complete beside files.
    """

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        names = [CompletionItem(name) for name in self._names if name.startswith(incomplete)]
        return [CompletionItem(incomplete, "file"), *names]


def complete_files(command: click.Command) -> None:
    """Let a shell complete texts of a command as names of files, and its BUNDLE as a shipped one's name, too."""
    from edge_meta.runtime.bundle import shipped

    for parameter in command.params:
        if type(parameter.type) is StringParamType:
            parameter.type = FileName(shipped() if parameter.name in ("bundle", "bundles") else [])
