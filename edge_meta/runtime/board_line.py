"""Talk to a board on a serial line, by the line protocol of docs/board.md."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from edge_meta.errors import BackendError, BoardError
from edge_meta.store.board_records import FIRST_RECORD, HEADER_BYTES, Steps

BAUD, TIMEOUT = 115_200, 30.0  # seconds for an answer; a slow core takes five for a letter
LINES_BEFORE = 100  # of a board that has just started, or of a line that was cut off
PIECE = 128  # bytes of flash in a command


class Port(Protocol):
    """A serial port, as pyserial opens it; a line that does not come in time is empty."""

    def write(self, content: bytes, /) -> int | None: ...

    def readline(self) -> bytes: ...


class BoardFlash(NamedTuple):
    """A board's flash: bytes of a sector, sectors, bytes programmed at once, and the sector in use with its generation."""

    sector_bytes: int
    sectors: int
    unit: int
    sector: int
    generation: int


class BoardInfo(NamedTuple):
    """A board's program.

    Attributes:
        steps: of embeddings kept as int8; None if they are float32.
        input_bytes: of an example.
        classes, shots, none, label_bytes: that it holds at most.
        arena_bytes: that its interpreter uses; 0 if it does not tell.
        flash: None if it keeps nothing.
    """

    encoder_id: str
    dim: int
    steps: Steps | None
    input_bytes: int
    classes: int
    shots: int
    none: int
    label_bytes: int
    arena_bytes: int
    flash: BoardFlash | None


class BoardClass(NamedTuple):
    """A class on a board: its id, its label and how many shots it has."""

    id: int
    label: str
    shots: int


class BoardLine:
    """A line to a board.

    Args:
        port: opened.

    Raises:
        BoardError: no board with this protocol answers.
    """

    def __init__(self, port: Port) -> None:
        self._port = port
        self._send("")  # ends what an earlier program may have begun
        self._send("info")
        self.info = self._begin()

    def run(self, command: str) -> list[list[str]]:
        """Run a command; returns the lines of its answer, as words.

        Raises:
            BoardError: the board refuses it, or is silent.
        """
        self._send(command)
        return self._answer(command.split(" ")[0])

    def classes(self) -> tuple[list[BoardClass], int]:
        """List the classes, and count the examples of none."""
        lines = self.run("list")
        classes = [BoardClass(int(line[1]), " ".join(line[4:]), int(line[2])) for line in lines if line[0] == "class"]
        return classes, sum(int(line[1]) for line in lines if line[0] == "none")

    def enroll(self, label: str, example: bytes) -> None:
        """Enroll an example; an empty label is an example of none.

        Args:
            example: its bytes, as the encoder takes them.

        Raises:
            BoardError: it has another number of bytes, or the board is full, or refuses the label.
        """
        if len(example) != self.info.input_bytes:
            raise BoardError(
                f"An example has {len(example):,} bytes, and the board takes {self.info.input_bytes:,}.",
                "Name the bundle that the board's encoder came from.",
            )
        self.run(f"enroll i {example.hex()} {label}" if label else f"none i {example.hex()}")

    def flash(self) -> BoardFlash:
        """The board's flash.

        Raises:
            BoardError: it has none.
        """
        if self.info.flash is None:
            raise BoardError("The board keeps nothing in flash.", "Compile its program with EM_FLASH 1.")
        return self.info.flash

    def read_flash(self, progress: Callable[[int, int], None] = lambda done, of: None) -> bytes:
        """Read all sectors."""
        flash, content = self.flash(), b""
        size = flash.sector_bytes * flash.sectors
        while len(content) < size:
            content += bytes.fromhex(self.run(f"read {len(content)} {min(PIECE, size - len(content))}")[0][1])
            progress(len(content), size)
        return content

    def write_flash(self, sector: bytes, progress: Callable[[int, int], None] = lambda done, of: None) -> None:
        """Write a sector in place of the one in use. That one stays until the new one is whole, so a cut loses nothing.

        Args:
            sector: its header, of a later generation than the one in use, and its records.
        """
        flash = self.flash()
        used = sector.rstrip(b"\xff")
        used = used.ljust(-(-len(used) // flash.unit) * flash.unit, b"\xff")
        places = [*range(FIRST_RECORD, len(used), PIECE), 0, HEADER_BYTES]  # the header makes it count, so it comes last
        self.run("erase")
        for done, at in enumerate(places, 1):
            size = PIECE if at >= FIRST_RECORD else HEADER_BYTES
            self.run(f"program {at} {used[at : at + size].hex()}")
            progress(done, len(places))
        self.run("open")

    def _send(self, command: str) -> None:
        self._port.write(f"{command}\n".encode())

    def _begin(self) -> BoardInfo:
        """Read the answer to `info`, after what the board said before."""
        for _ in range(LINES_BEFORE):
            words = self._line()
            if words[0] == "encoder":
                fields = {line[0]: line[1:] for line in [words, *self._answer("info")]}
                try:
                    return _info(fields)
                except (KeyError, ValueError, struct.error):
                    break
        raise BoardError("What answers on this port is no board with edge_meta_console.c.", "Name another --port.")

    def _answer(self, command: str) -> list[list[str]]:
        before: list[list[str]] = []
        while True:
            words = self._line()
            if words[0] == "ok":
                return before
            if words[0] == "error":
                status = words[-1]
                raise BoardError(f"The board refuses {command}: {status}.", REMEDIES.get(status, "See edge_meta.h."))
            before.append(words)

    def _line(self) -> list[str]:
        line = self._port.readline()
        if not line.endswith(b"\n"):
            raise BoardError("The board does not answer.", "Check --port and the cable, and that no other program uses it.")
        return line.decode(errors="replace").rstrip("\r\n").split(" ")


REMEDIES = {
    "EM_CLASSES_FULL": "Forget a class, or compile its program with more EM_CLASSES.",
    "EM_SHOTS_FULL": "Compile its program with more EM_SHOTS.",
    "EM_NONE_FULL": "Forget the examples of none, or compile its program with more EM_NONE.",
    "EM_LABEL_TOO_LONG": "Use a shorter label, or compile its program with more EM_LABEL_BYTES.",
    "EM_FLASH_FULL": "Forget what is not needed, or give it larger sectors.",
    "EM_FLASH_FAILED": "Restart the board, and look at its flash functions.",
}


@contextmanager
def open_board(port: str) -> Iterator[BoardLine]:
    """Open a line to a board.

    Args:
        port: a device such as /dev/ttyACM0 or COM3, or a URL of pyserial such as socket://HOST:PORT.

    Raises:
        BackendError: pyserial is not installed.
        BoardError: the port cannot be opened, or no board answers.
    """
    try:
        import serial
    except ImportError:
        raise BackendError("Talking to a board needs pyserial.", 'Run: pip install "edge-meta[board]"') from None
    try:
        with serial.serial_for_url(port, BAUD, timeout=TIMEOUT) as opened:
            yield BoardLine(opened)
    except (serial.SerialException, ValueError) as error:
        raise BoardError(f"{port} cannot be used ({error}).", "Check --port, and whether you may use it.") from None


def _info(fields: dict[str, list[str]]) -> BoardInfo:
    dim, int8, scale, zero_point = fields["values"]
    steps = Steps(struct.unpack(">f", bytes.fromhex(scale))[0], int(zero_point) - 128) if int8 == "1" else None
    classes, shots, none, label_bytes = map(int, fields["limits"])
    flash = BoardFlash(*map(int, fields["flash"])) if "flash" in fields else None
    (encoder_id,), (input_bytes,), (arena,) = fields["encoder"], fields["input"], fields["arena"]
    return BoardInfo(encoder_id, int(dim), steps, int(input_bytes), classes, shots, none, label_bytes, int(arena), flash)
