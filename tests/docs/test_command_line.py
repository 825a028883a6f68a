"""The committed reference of the command line is what the program renders."""

from __future__ import annotations

import runpy
from pathlib import Path

from edge_meta.cli import VERBS

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = runpy.run_path(str(DOCS / "generate_command_line.py"))["render"]()


def test_the_committed_page_is_up_to_date() -> None:
    remedy = "Run: python docs/generate_command_line.py > docs/command-line.md"
    assert (DOCS / "command-line.md").read_text("utf-8") == REFERENCE, remedy


def test_every_verb_has_a_section_and_a_link_to_it() -> None:
    for verb in VERBS:
        assert f"\n### edge-meta {verb}\n" in REFERENCE
        assert f"* [{verb}](#edge-meta-{verb}): " in REFERENCE
