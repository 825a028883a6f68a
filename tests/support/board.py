"""For tests of the board's library: compile it with a driver, and talk to that."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.targets.board_config import LIBRARY, config
from converters.targets.integer import End
from edge_meta.heads.rejection import Rejection
from edge_meta.types import Array

DRIVER, CUTS = (Path(__file__).parent / f"board_{name}.c" for name in ("driver", "cuts"))
OLDER_FLASH = Path(__file__).with_name("board_older_flash.hex")  # a sector that firmware without examples of none wrote
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Wdouble-promotion", "-Wshadow", "-Werror"]
SANITIZERS = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
ENCODER_ID = "0123456789abcdef" * 2
COMPILERS = [compiler for compiler in ("gcc", "clang") if shutil.which(compiler)]


@dataclass(frozen=True)
class Said:
    """The answer to a command.

    Attributes:
        status: `EM_OK` or the error's name.
        lines: before it, as words.
    """

    status: str
    lines: list[list[str]]


@dataclass(frozen=True)
class Driver:
    """A compiled driver.

    Attributes:
        output: of the encoder whose values are kept as int8; None for float32.
    """

    program: Path
    output: End | None

    def run(
        self,
        commands: Sequence[str],
        flash: Path | None = None,
        sector: int = 4096,
        sectors: int = 2,
        cut: int | None = None,
    ) -> tuple[list[Said], str, int]:
        """Run commands.

        Args:
            flash: the file that is the flash.
            cut: the power fails after as many bytes, opening included.

        Returns:
            The answers, the line about opening the flash, and the exit code: 3 if the power failed.
        """
        arguments = [] if flash is None else [str(flash), str(sector), str(sectors)]
        environment = dict(os.environ) if cut is None else {**os.environ, "CUT": str(cut)}
        done = subprocess.run(
            [self.program, *arguments], input="\n".join([*commands, ""]), env=environment,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 3), done.stderr
        lines = done.stdout.splitlines()
        opened = lines.pop(0) if lines and lines[0].startswith("opened") else ""
        answers: list[Said] = []
        before: list[list[str]] = []
        for line in lines:
            words = line.split(" ")
            if words[0] in ("ok", "error"):
                answers.append(Said("EM_OK" if words[0] == "ok" else words[1], before))
                before = []
            else:
                before.append(words)
        return answers, opened, done.returncode

    def quantized(self, values: Array) -> Array:
        """Embeddings (…, D) as the board keeps them, in float32."""
        return values if self.output is None else self.output.values(self.output.quantized(values))

    def hex(self, values: Array) -> str:
        """An embedding (D,) as commands take it."""
        stored = values.astype("<f4") if self.output is None else self.output.quantized(values)
        return f"e {stored.tobytes().hex()}"


class DriverPort:
    """A driver as a serial port, for `BoardLine`."""

    def __init__(self, driver: Driver, flash: Path, sector: int = 4096) -> None:
        self._process = subprocess.Popen(
            [driver.program, flash, str(sector), "2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )

    def write(self, content: bytes, /) -> int | None:
        assert self._process.stdin is not None
        return self._process.stdin.write(content)

    def readline(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def __enter__(self) -> DriverPort:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()


def compiled(
    folder: Path,
    compiler: str = "gcc",
    dim: int = 16,
    output: End | None = None,
    rejection: Rejection | None = None,
    flags: Sequence[str] = (),
    main: Path = DRIVER,
) -> Driver:
    """Compile the library and a program into a folder, without any warning."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "edge_meta_config.h").write_text(config(ENCODER_ID, dim, output, rejection, 4))
    command = [compiler, *WARNINGS, "-O1", "-DEM_NO_TFLM", *flags, f"-I{folder}", f"-I{LIBRARY}"]
    subprocess.run([*command, *sorted(LIBRARY.glob("*.c")), main, "-lm", "-o", folder / "driver"], check=True)
    return Driver(folder / "driver", output)


def bits(number: float) -> str:
    """A float as the commands take it."""
    return f"{int(np.float32(number).view(np.uint32)):08x}"


def floats(words: Sequence[str]) -> Array:
    """Floats as answers have them."""
    return np.array([int(word, 16) for word in words], np.uint32).view(np.float32)
