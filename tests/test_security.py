"""SECURITY.md states the limits that the code has."""

from __future__ import annotations

from pathlib import Path

from edge_meta.datasets import archive
from edge_meta.inputs import array_files, audio_files, image_files
from edge_meta.runtime import bundle
from edge_meta.store import schema_check

ROOT = Path(__file__).parent.parent


def row(page: str, what: str) -> str:
    """The limit of one thing in the table."""
    return next(line for line in page.splitlines() if line.startswith(f"| {what} |"))


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    page = (ROOT / "SECURITY.md").read_text("utf-8")
    assert f"{bundle.LARGEST_BUNDLE >> 20} MiB in all, {bundle.LARGEST_MANIFEST >> 20} MiB" in row(page, "bundle")
    assert f"{schema_check.LARGEST_FILE >> 20} MiB; {schema_check.CHECK_SECONDS:g} s" in row(
        page, "store that is merged or migrated"
    )
    assert f"{image_files.MOST_PIXELS:,} pixels, {image_files.LONGEST_SIDE:,} on a side" in row(page, "image")
    rates = f"{audio_files.LOWEST_RATE:,} to {audio_files.HIGHEST_RATE:,} Hz"
    assert f"{audio_files.MOST_SAMPLES:,} samples; {rates}" in row(page, "recording")
    assert f"{array_files.MOST_VALUES:,} values" in row(page, ".npy file")
    packed = f"above {archive.ANY_RATIO >> 20} MiB, {archive.HIGHEST_RATIO} times"
    assert f"{archive.MOST_BYTES >> 30} GiB unpacked; {packed}" in row(page, ".npz file, archive of a dataset")
    assert f"{archive.MOST_BYTES >> 30} GiB" in row(page, "`folder:` dataset")


def test_the_pages_lead_there() -> None:
    for page in ("CONTRIBUTING.md", "docs/bundle.md", "docs/store.md", "CHANGELOG.md"):
        assert "SECURITY.md" in (ROOT / page).read_text("utf-8")
