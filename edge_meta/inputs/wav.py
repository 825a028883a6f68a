"""Read .wav streams: PCM of 8 to 32 bits, float, A-law and mu-law, in the plain and the extensible form. Write PCM of 16.

The stream is read forwards only, so that a pipe will do. Its header is not trusted: a chunk may claim more than there is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

PCM, FLOAT, A_LAW, MU_LAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
COMPRESSED = {
    2: "Microsoft ADPCM",
    17: "IMA ADPCM",
    49: "GSM",
    80: "MPEG",
    85: "MP3",
    255: "AAC",
    353: "Windows Media Audio",
}
BITS = {PCM: (8, 16, 24, 32), FLOAT: (32, 64), A_LAW: (8,), MU_LAW: (8,)}
NAMES = {PCM: "PCM", FLOAT: "float", A_LAW: "A-law", MU_LAW: "mu-law"}
GUID_END = bytes.fromhex("000000001000800000aa00389b71")  # of an extensible format's sub-format, behind its number

LARGEST = 100.0  # of a float sample; recorders exceed full scale (1.0) a little, integers cast to float exceed it a lot
BLOCK = 1 << 18  # samples of all channels that are decoded at a time
MOST_HEADER = 1 << 16  # bytes of a format chunk
SKIP = 1 << 16  # bytes


@dataclass(frozen=True)
class WavFormat:
    """The format of samples.

    Attributes:
        tag: PCM, FLOAT, A_LAW or MU_LAW.
        bits: of a sample, with the padding that fills its bytes.
        size: of all samples in bytes, as the header claims it.
    """

    tag: int
    channels: int
    rate: int
    bits: int
    size: int

    @property
    def frame(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * self.bits // 8


def read_format(stream: IO[bytes]) -> WavFormat:
    """Read a stream up to its first sample.

    Raises:
        ValueError: it is no .wav stream, or of a format that is not read here.
    """
    start = _whole(stream, 12)
    if len(start) < 12 or start[:4] != b"RIFF" or start[8:] != b"WAVE":
        raise ValueError("it does not start like a .wav file")
    fields = None
    while len(head := _whole(stream, 8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"data":
            if fields is None:
                raise ValueError("its samples come before their format")
            return WavFormat(*fields, size)
        if name == b"fmt ":
            fields = _parsed(_whole(stream, min(size, MOST_HEADER)))
            size = max(0, size - MOST_HEADER) + size % 2
        else:
            size += size % 2
        while size > 0 and (skipped := len(stream.read(min(size, SKIP)))):
            size -= skipped
    raise ValueError("it ends before its first sample")


def read_blocks(stream: IO[bytes], form: WavFormat, frames: int = BLOCK) -> Iterator[NDArray[np.float32]]:
    """Decode the samples that follow `read_format`: blocks (n, channels) in the range of int16, each of up to `frames`.

    Raises:
        ValueError: a float sample is not finite, or is far outside of -1 to 1.
    """
    step, left = max(1, min(frames, BLOCK // form.channels)) * form.frame, form.size
    while left >= form.frame:
        content = _whole(stream, min(step, left))
        left -= len(content)
        if len(content) < form.frame:
            return
        yield decode(content[: len(content) // form.frame * form.frame], form).reshape(-1, form.channels)


def decode(content: bytes, form: WavFormat) -> NDArray[np.float32]:
    """Turn bytes into samples (n,) in the range of int16; channels take turns."""
    if form.tag in (A_LAW, MU_LAW):
        return (_a_law() if form.tag == A_LAW else _mu_law())[np.frombuffer(content, np.uint8)]
    if form.tag == FLOAT:
        values = np.frombuffer(content, f"<f{form.bits // 8}")
        if not np.abs(values).max(initial=0) <= LARGEST:
            raise ValueError("it has samples that are not finite, or far outside of -1 to 1")
        scaled = values * values.dtype.type(32768)
    elif form.bits == 8:
        scaled = (np.frombuffer(content, np.uint8).astype(np.float32) - 128) * 256
    elif form.bits == 24:
        # Each sample becomes the upper three bytes of four.
        wide = np.zeros((len(content) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        scaled = wide.view("<i4")[:, 0] / 65536
    else:
        scaled = np.frombuffer(content, f"<i{form.bits // 8}") / (1 << (form.bits - 16))
    clipped: NDArray[np.float32] = np.clip(scaled, -32768, 32767).astype(np.float32)
    return clipped


def _whole(stream: IO[bytes], size: int) -> bytes:
    """Read `size` bytes, or what is left; a pipe gives them in parts."""
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _parsed(content: bytes) -> tuple[int, int, int, int]:
    """Tag, channels, sample rate in Hz and bits of a format chunk."""
    if len(content) < 16:
        raise ValueError("its format is cut short")
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
    if tag == EXTENSIBLE:
        if len(content) < 40 or content[26:40] != GUID_END:
            raise ValueError("its extensible format is unknown")
        tag = struct.unpack("<H", content[24:26])[0]
    if tag not in BITS:
        name = COMPRESSED.get(tag)
        raise ValueError(f"it is compressed, {name}" if name else f"its format, number {tag}, is unknown")
    bits = (bits + 7) // 8 * 8
    if bits not in BITS[tag]:
        raise ValueError(f"{NAMES[tag]} samples of {bits} bits are not read")
    if channels == 0:
        raise ValueError("it has no channels")
    return tag, channels, rate, bits


def _a_law() -> NDArray[np.float32]:
    """The samples that the 256 codes of A-law stand for (ITU-T G.711)."""
    code = np.arange(256) ^ 0x55
    segment, step = code >> 4 & 7, code & 15
    size = np.where(segment == 0, 16 * step + 8, (16 * step + 264) << np.maximum(segment - 1, 0))
    return np.where(code & 128, size, -size).astype(np.float32)


def _mu_law() -> NDArray[np.float32]:
    """The samples that the 256 codes of mu-law stand for (ITU-T G.711)."""
    code = ~np.arange(256) & 255
    size = ((8 * (code & 15) + 132) << (code >> 4 & 7)) - 132
    return np.where(code & 128, -size, size).astype(np.float32)


def write_wav(samples: NDArray[np.int16], rate: int) -> bytes:
    """Return mono samples (n,) at a rate in Hz as the content of a .wav file."""
    content = samples.astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", PCM, 1, rate, 2 * rate, 2, 16)
    chunks = b"WAVE" + b"".join(
        name + struct.pack("<I", len(body)) + body for name, body in ((b"fmt ", form), (b"data", content))
    )
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def mono(block: NDArray[Any]) -> NDArray[np.int16]:
    """Average the channels of samples (n, channels) in the range of int16, as int16 (n,)."""
    averaged: NDArray[np.int16] = np.rint(block.mean(axis=1)).astype(np.int16)
    return averaged
