"""A hook of mkdocs: take into the site the files of the repository that pages link to outside of docs/.

A page links to `../benchmarks/METHODS.md` as GitHub shows it. In the site that file is `repository/benchmarks/METHODS.md`. A
link to a file that is not there stays dead, and `mkdocs build --strict` says so.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)")  # the target of [text](target#anchor), unless it is a URL
FOLDER = "repository"


def on_files(files: Files, config: Any) -> None:
    """Add each file that a page links to, and each that such a file links to."""
    waiting = list(files.documentation_pages())
    while waiting:
        page = waiting.pop()
        for link in LINK.findall(page.content_string):
            path = _in_repository(page.src_uri, link)
            if path is None or path.startswith("docs/") or not (ROOT / path).is_file():
                continue
            if files.get_file_from_path(f"{FOLDER}/{path}") is None:
                added = File.generated(config, f"{FOLDER}/{path}", abs_src_path=str(ROOT / path))
                files.append(added)
                if added.is_documentation_page():
                    waiting.append(added)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links between files of the repository into links between files of the site."""

    def in_site(match: re.Match[str]) -> str:
        path = _in_repository(page.file.src_uri, match[0])
        if path is None:
            return match[0]
        target = path.removeprefix("docs/") if path.startswith("docs/") else f"{FOLDER}/{path}"
        return posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".")

    return LINK.sub(in_site, markdown)


def _in_repository(page: str, link: str) -> str | None:
    """The path, from the repository's top, of what a page of the site links to; None for a link that leads out of it."""
    inside = page.removeprefix(f"{FOLDER}/")
    here = posixpath.dirname(inside if inside != page else f"docs/{page}")
    path = posixpath.normpath(posixpath.join(here, link))
    return None if path.startswith("..") else path
