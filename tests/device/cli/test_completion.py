"""Shell completion: the scripts call the program, and the program completes what stands on a line."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from support.device import cli, python, said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_the_program(shell: str) -> None:
    script = cli("completion", shell).stdout
    assert f"_EDGE_META_COMPLETE={shell}_complete" in script
    assert said(cli("completion", shell, "--json")) == {"shell": shell, "script": script.removesuffix("\n")}


def test_a_shell_that_is_not_known_is_wrong_usage() -> None:
    assert "'bash', 'zsh', 'fish'" in cli("completion", "tcsh", code=2).stderr


COMPLETE = "from edge_meta.cli import main; main(prog_name='edge-meta')"


@pytest.mark.parametrize(
    ("line", "wanted", "others"),
    [
        ("edge-meta cl", {"plain,classify"}, {"plain,check"}),
        ("edge-meta classify ", {"plain,omniglot", "plain,objects", "file,"}, set()),
        ("edge-meta classify om", {"plain,omniglot", "file,om"}, {"plain,objects"}),
        ("edge-meta classify omniglot wh", {"file,wh"}, {"plain,omniglot"}),
        ("edge-meta classify omniglot --to", {"plain,--top-k"}, {"plain,--json"}),
        ("edge-meta evaluate omniglot --head l", {"plain,linear"}, {"plain,prototype"}),
    ],
)
def test_what_stands_on_a_line_is_completed(tmp_path: Path, line: str, wanted: set[str], others: set[str]) -> None:
    words = [*shlex.split(line), *[""] * line.endswith(" ")]
    asked = {"_EDGE_META_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    found = set(python(tmp_path, "-c", COMPLETE, **asked).stdout.splitlines())
    assert wanted <= found
    assert not others & found
