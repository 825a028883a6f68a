"""For tests of a board's firmware: compile it with TensorFlow Lite Micro for a Cortex-M4, and run it in QEMU."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from support.board import Said

ROOT = Path(__file__).parents[2]
PORT = Path(__file__).parent / "mps2"
SOURCE = Path(os.environ.get("TFLM_SOURCE", ROOT.parent / "shared" / "tflm"))
TOOLS = ("arm-none-eabi-gcc", "arm-none-eabi-g++", "qemu-system-arm", "make", "xz")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
WHY_NOT = (
    f"{', '.join(MISSING)} is not installed" if MISSING
    else "" if (SOURCE / "tflm_src.tar.xz").exists()
    else "TFLM_SOURCE names no folder with tflm_src.tar.xz, TensorFlow Lite Micro's sources, and qemu/mps2.ld"
)  # fmt: skip
FLASH_BYTES = 16 << 20
COSTS_AT = 15 << 20  # where mps2/port.c notes them
INSTRUCTIONS_A_TICK = 40  # of SysTick, of 25 MHz, at a nanosecond each
CPU = ["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-mthumb"]
FLAGS = ["-Os", "-DTF_LITE_STATIC_MEMORY", "-DNDEBUG", "-ffunction-sections", "-fdata-sections", "-fno-math-errno"]
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
KERNELS = "tensorflow/lite/micro/kernels"
CORE = (
    "tensorflow/compiler/mlir/lite/core/api", "tensorflow/compiler/mlir/lite/schema", "tensorflow/lite/core/api",
    "tensorflow/lite/core/c", "tensorflow/lite/kernels", "tensorflow/lite/kernels/internal",
    "tensorflow/lite/kernels/internal/reference", "tensorflow/lite/micro", "tensorflow/lite/micro/arena_allocator",
    "tensorflow/lite/micro/memory_planner", "tensorflow/lite/micro/tflite_bridge",
)  # fmt: skip


def cross(compiler: str, *arguments: str | Path) -> str:
    """Run a compiler or another tool of the cross toolchain; returns what it prints."""
    command = [f"arm-none-eabi-{compiler}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def library_objects(folder: Path, firmware: Path) -> tuple[Path, list[Path]]:
    """Compile what the firmware registers of TensorFlow Lite Micro, with CMSIS-NN's kernels; returns its tree and objects.

    EDGE_META_TFLM_BUILD names a folder to keep the objects in.
    """
    subprocess.run(["tar", "-xJf", SOURCE / "tflm_src.tar.xz", "-C", folder], check=True)
    tree, out = folder / "tflm", Path(os.environ.get("EDGE_META_TFLM_BUILD", folder / "objects"))
    registered = re.findall(r"resolver\.Add(\w+)\(\)", (firmware / "encoder.h").read_text())
    wanted = {name.upper() for name in registered}
    sources = [path for part in CORE for path in sorted((tree / part).glob("*.cc"))] + [tree / KERNELS / "kernel_util.cc"]
    faster = {path.name: path for path in (tree / KERNELS / "cmsis_nn").glob("*.cc")}
    for path in sorted((tree / KERNELS).glob("*.cc")):
        path = faster.get(path.name, path)
        if wanted & {name.replace("_", "") for name in re.findall(r"Register_(\w+)\(\) \{", path.read_text())}:
            sources.append(path)
            common = tree / KERNELS / f"{path.stem}_common.cc"
            sources += [common] if common.exists() else []
    sources += sorted((tree / "third_party/cmsis_nn/Source").glob("*/*.c"))
    objects = [out / f"{path.relative_to(tree).with_suffix('')}.o" for path in sources]
    command: list[str | Path] = ["make", "-C", tree, "TARGET=cortex-m4", "KERNELS=cmsis_nn", f"OUT={out}", *objects]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tree, objects


def build(folder: Path, firmware: Path) -> Path:
    """Compile the firmware of an exported folder for QEMU's mps2-an386; returns the program."""
    tree, objects = library_objects(folder, firmware)
    own = []
    for source in [*sorted(firmware.glob("*.c")), PORT / "port.c", SOURCE / "qemu" / "startup.c"]:
        own.append(folder / f"{source.stem}.o")
        cross("gcc", *CPU, *FLAGS, *WARNINGS, "-std=c99" if source.parent == firmware else "-std=gnu17", f"-I{firmware}",
              "-c", source, "-o", own[-1])  # fmt: skip
    parts = ("", "/third_party/flatbuffers/include", "/third_party/gemmlowp", "/third_party/ruy")
    includes = [argument for part in parts for argument in ("-isystem", f"{tree}{part}")]
    for source in sorted(firmware.glob("*.cc")):
        own.append(folder / f"{source.stem}.o")
        cross("g++", *CPU, *FLAGS, *WARNINGS, "-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics",
              *includes, f"-I{firmware}", "-c", source, "-o", own[-1])  # fmt: skip
    cross("ar", "rcs", folder / "libtflm.a", *objects)
    cross("g++", *CPU, *FLAGS, "-nostartfiles", "--specs=nano.specs", "--specs=rdimon.specs", "-Wl,--gc-sections",
          "-T", SOURCE / "qemu" / "mps2.ld", *own, folder / "libtflm.a", "-o", folder / "firmware.elf")  # fmt: skip
    return folder / "firmware.elf"


def blank_flash(path: Path) -> Path:
    """Make a file for the board's flash, erased."""
    with path.open("wb") as file:
        file.write(b"\xff" * (1 << 20))
        file.truncate(FLASH_BYTES)
    return path


class Cost(NamedTuple):
    """The cost of a command.

    Attributes:
        stack: bytes.
    """

    instructions: int
    stack: int


@dataclass
class Board:
    """A board in QEMU whose power is on from `with` to its end; the flash is a file.

    Attributes:
        counted: whether each instruction takes a nanosecond of the board's time; it runs slower then.
        ready: the first line that it says.
    """

    program: Path
    flash: Path
    ready: str = ""
    counted: bool = False

    def __enter__(self) -> Board:
        options = ["-icount", "shift=0"] if self.counted else []
        self._process = _emulator(self.program, self.flash, "stdio", options)
        self.ready = self._line()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def send(self, command: str) -> None:
        """Send a command and wait for nothing."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def run(self, command: str) -> Said:
        """Run a command."""
        self.send(command)
        before: list[list[str]] = []
        while True:
            words = self._line().split(" ")
            if words[0] in ("ok", "error"):
                return Said("EM_OK" if words[0] == "ok" else words[1], before)
            before.append(words)

    def cost(self, command: str) -> Cost:
        """Run a command on a board that is `counted`; returns what it took until its answer began."""
        assert self.run(command).status == "EM_OK"
        with self.flash.open("rb") as file:
            file.seek(COSTS_AT)
            ticks, stack = struct.unpack("<II", file.read(8))
        return Cost(ticks * INSTRUCTIONS_A_TICK, stack)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the board is silent"
        return line.rstrip("\n")


@contextmanager
def serial_board(program: Path, flash: Path) -> Iterator[str]:
    """Run a board in QEMU; gives the name of the serial port that it is on."""
    process = _emulator(program, flash, "pty", [])
    try:
        assert process.stdout is not None
        found = re.search(r"redirected to (\S+)", process.stdout.readline())
        assert found is not None
        yield found[1]
    finally:
        process.kill()
        process.communicate()


def _emulator(program: Path, flash: Path, serial: str, options: list[str]) -> subprocess.Popen[str]:
    """Start QEMU with a serial line."""
    backing = f"memory-backend-file,id=m,mem-path={flash},size=16M,share=on"
    return subprocess.Popen(
        ["qemu-system-arm", "-M", "mps2-an386,memory-backend=m", "-object", backing, "-display", "none",
         "-monitor", "none", "-serial", serial, "-semihosting-config", "enable=on,target=native",
         "-kernel", str(program), *options],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
