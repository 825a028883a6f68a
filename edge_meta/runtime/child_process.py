"""Run Python in a child process that answers with one line of JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

OUTPUT = 1 << 20  # bytes read from the end of each of the child's two streams


class Exit(NamedTuple):
    """The end of a child process.

    Attributes:
        code: as of `subprocess`, so negative for a signal; None if the process could not be started.
        answer: the JSON value of the last whole line on stdout; None if there is none.
        reason: the failure, for a message: the signal, or the last line on stderr, or why there is no process.
    """

    code: int | None
    answer: Any
    reason: str


def run_python(
    *arguments: str, content: bytes = b"", environment: Mapping[str, str] | None = None, seconds: float | None = None
) -> Exit:
    """Run this Python with the arguments, to its end.

    Args:
        content: given to the child as stdin.
        environment: variables besides this process's own.
        seconds: after which the child is ended; unlimited unless given.

    Raises:
        TimeoutError: the child was ended; says after how long.
    """
    command = [sys.executable, *arguments]
    with TemporaryFile() as output, TemporaryFile() as errors:  # files, so that a child's output takes no memory here
        try:
            code = subprocess.run(
                command, input=content, stdout=output, stderr=errors, env={**os.environ, **(environment or {})},
                timeout=seconds, check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"still not done after {seconds:g} s") from None
        except OSError as error:
            return Exit(None, None, str(error))
        return Exit(code, _last_answer(output), _reason(code, errors))


def _last_answer(output: IO[bytes]) -> Any:
    whole = [line for line in _lines(output) if line.endswith("\n")]
    try:
        return json.loads(whole[-1])
    except (IndexError, ValueError):
        return None


def _reason(code: int, errors: IO[bytes]) -> str:
    if code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:  # a signal that has no name
            return f"signal {-code}"
    text = "".join(_lines(errors)).strip()
    return text.splitlines()[-1].strip() if text else f"it ended with code {code} and said nothing"


def _lines(file: IO[bytes]) -> list[str]:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - OUTPUT))
    return file.read().decode(errors="replace").splitlines(keepends=True)
