"""A child process answers with its last line, or its failure has a name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_meta.runtime.child_process import Exit, run_python


def test_the_last_whole_line_is_the_answer() -> None:
    code = "print('{\"first\": 1}'); print('{\"answer\": [7, null]}'); print('{', end='')"
    assert run_python("-c", code)[:2] == (0, {"answer": [7, None]})


def test_the_child_gets_content_and_environment() -> None:
    code = "import json, os, sys; print(json.dumps([sys.stdin.read(), os.environ['COLOUR'], 'PATH' in os.environ]))"
    child = run_python("-c", code, content="für ü".encode(), environment={"COLOUR": "blue", "PYTHONUTF8": "1"})
    assert child.answer == ["für ü", "blue", True]


@pytest.mark.parametrize("said", ["", "no JSON\n", '{"cut": '])
def test_without_a_line_of_json_there_is_no_answer(said: str) -> None:
    assert run_python("-c", f"print({said!r}, end='')") == Exit(0, None, "it ended with code 0 and said nothing")


def test_the_reason_is_the_last_line_on_stderr() -> None:
    child = run_python(
        "-c", "import sys; print('INFO: so far', 'Check failed: 3 > 4\\n', sep='\\n', file=sys.stderr); sys.exit(3)"
    )
    assert child == Exit(3, None, "Check failed: 3 > 4")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
def test_the_reason_is_the_signals_name() -> None:
    child = run_python("-c", "import os, signal; print('1', flush=True); os.kill(os.getpid(), signal.SIGABRT)")
    assert (child.answer, child.reason) == (1, "signal SIGABRT")


def test_output_without_end_is_read_from_its_end() -> None:
    child = run_python("-c", "print('x' * 3_000_000); print(7)")
    assert child.answer == 7


def test_a_child_that_hangs_is_ended() -> None:
    with pytest.raises(TimeoutError, match=r"^still not done after 0\.3 s$"):
        run_python("-c", "import signal; signal.pause()", seconds=0.3)


def test_without_python_the_reason_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nosuch"))
    child = run_python("-c", "")
    assert (child.code, child.answer) == (None, None)
    assert "nosuch" in child.reason
