"""The page of a benchmark."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from support.benchmarks import measured
from support.device import python

from edge_meta.benchmarking.baseline import Comparison
from edge_meta.reports.benchmark_page import render


def test_the_page_needs_no_other_file() -> None:
    page = render(measured())
    for title in ("Stages", "Scoring by number of classes", "Cold start", "Side by side"):
        assert f"<h2>{title}</h2>" in page
    drawings = re.findall("<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 4
    for drawing in drawings:
        ElementTree.fromstring(drawing)  # or it is not well-formed
    assert re.findall(r"(?:src|href|url)\s*[=(]|<script|@import", page) == []
    assert all(f">{name}<" in page for name in measured().first.stages)


def test_the_page_escapes_what_it_is_given() -> None:
    result = measured()
    compared = Comparison(1.2, {"embed": 1.25}, [], [])
    first = replace(result.first, bundle="<b>&")
    page = render(replace(result, first=first, warnings=["a < b"], baseline=compared))
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;" in page
    assert "It is &lt;gone&gt;." in page
    assert "a &lt; b" in page
    assert "<td>embed<td>1.25" in page


def test_several_bundles_are_set_beside_each_other() -> None:
    result = measured()
    page = render(replace(result, others=[replace(result.first, bundle="other")]))
    assert ">embed, omniglot<" in page
    assert ">embed, other<" in page


def test_drawing_takes_neither_matplotlib_nor_pillow(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        "-c",
        "import sys\n"
        "from edge_meta.reports import benchmark_page, benchmark_text, demo_page\n"
        "print(*sys.modules.keys() & {'matplotlib', 'PIL', 'tensorflow'})",
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
