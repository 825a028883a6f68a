"""The sizes of a board's library: bytes of code, of memory and of stack, and instructions, as measured.

By GCC 12.2 at -Os for a Cortex-M4; instructions and stack by QEMU. tests/converters/test_board_size.py measures them again.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

# Bytes of code and constants of each part, with the limits of "unknown" of the shipped photos.
CODE = {"classes": 3771, "adapt": 2466, "flash": 7542, "names": 304, "console": 2658}
INTERPRETER_CODE = 106_000  # of TensorFlow Lite Micro with CMSIS-NN's kernels: 89,338 for letters, 105,300 for photos
FLOAT_INTERPRETER_CODE = 127_000  # of an encoder with float32 ends: the shipped gestures
STACK = 1900  # the most of a command without the encoder, for embeddings of 256 values
ENCODER_STACK = 1700  # the most of an encoder: 1,452 for letters, 1,660 for photos, 1,428 for gestures
# Instructions of em_classify for each class and value.
CLASSIFY_A_VALUE = 17.0
# Instructions of an encoder for each multiply-accumulate, by the core. With CMSIS-NN and the DSP instructions letters take
# 3.0 and photos 3.6; without, letters take 39.8 and 52.2 with the reference kernels.
EMBED_A_PRODUCT = {
    "Cortex-M0+": 52.2,
    "Cortex-M3": 39.8,
    "Cortex-M4": 3.6,
    "Cortex-M7": 3.6,
    "Cortex-M33": 3.6,
}
# The same for each float32 value of other operators; the shipped gestures take 47 on a Cortex-M4. For cores without a
# floating-point unit nothing was measured: this assumes that they lose as much as with the kernels above.
EMBED_A_FLOAT = {core: 47 * count / EMBED_A_PRODUCT["Cortex-M4"] for core, count in EMBED_A_PRODUCT.items()}
UNIT, LABEL_BYTES, STEPS = 4, 31, 20  # the macros' defaults
POINTER = ctypes.c_uint32

Fields = list[Any]  # as ctypes takes them


@dataclass(frozen=True)
class Choice:
    """The macros that decide how much memory a store takes.

    Attributes:
        dim: values of an embedding.
        int8: whether they are kept as int8, in place of float32.
    """

    dim: int
    int8: bool
    classes: int = 16
    shots: int = 5
    none: int = 8
    adapt: bool = True
    flash: bool = True


def code_bytes(adapt: bool = True, flash: bool = True) -> int:
    """The bytes of code of the library, without the names of statuses and the line protocol."""
    return CODE["classes"] + CODE["adapt"] * adapt + CODE["flash"] * flash


def ram_bytes(choice: Choice) -> int:
    """The bytes of an em_store, and of an em_flash if there is one, on a processor of 32 bits."""
    return ctypes.sizeof(_store(choice)) + (ctypes.sizeof(_flash(choice)) if choice.flash else 0)


def classify_instructions(dim: int, classes: int) -> int:
    """The instructions of em_classify, about; the first one after a change also computes the limits."""
    return round(CLASSIFY_A_VALUE * dim * classes)


def _struct(*fields: Any) -> type[ctypes.Structure]:
    return type("Struct", (ctypes.Structure,), {"_fields_": list(fields)})


def _source() -> type[ctypes.Structure]:
    return _struct(("id", ctypes.c_uint8 * 16), ("record", ctypes.c_uint32, 24), ("origin", ctypes.c_uint32, 8))


def _store(choice: Choice) -> type[ctypes.Structure]:
    """em_store, as edge_meta.h has it."""
    floats = ctypes.c_float * choice.dim
    values = (ctypes.c_int8 if choice.int8 else ctypes.c_float) * choice.dim
    label, source, u8 = ctypes.c_char * (LABEL_BYTES + 1), _source(), ctypes.c_uint8
    column: Fields = [("adapted", u8), ("bias", ctypes.c_float), ("weights", floats)]
    of: Fields = [("id", ctypes.c_uint16), ("shots", u8), ("label", label), ("prototype", floats)]
    of += [("scatter", ctypes.c_float), ("limit", ctypes.c_float), ("shot", values * choice.shots)]
    of += [("source", source * choice.shots)] if choice.flash else []
    of += column if choice.adapt else []
    store: Fields = [
        ("classes", u8),
        ("fresh", u8),
        ("undo", u8),
        ("undo_id", ctypes.c_uint16),
        ("next_id", ctypes.c_uint16),
    ]
    store += [("undo_label", label), ("of", _struct(*of) * choice.classes)]
    if choice.none:
        store += [("nones", u8), ("none", values * choice.none)]
        store += [("none_source", source * choice.none)] if choice.flash else []
    if choice.adapt:
        each = ctypes.c_float * choice.shots * choice.classes
        store += [("slope", ctypes.c_float), ("most", each), ("total", each), ("loss", ctypes.c_float * (STEPS + 1))]
        store += [("right", ctypes.c_uint16 * (STEPS + 1)), ("undo_column", _struct(*column) * choice.classes)]
    return _struct(*store)


def _flash(choice: Choice) -> type[ctypes.Structure]:
    """em_flash, as edge_meta_flash.h has it."""
    shot = 12 + 20 + 4 + LABEL_BYTES + (1 if choice.int8 else 4) * choice.dim + 4
    ids = 12 + max(32 * choice.shots, 16 * choice.none) + 4 + 4 + LABEL_BYTES + 4
    column = 12 + 4 + 4 * choice.dim + 4 if choice.adapt else 0
    u32 = ctypes.c_uint32
    return _struct(
        ("store", POINTER), ("device", POINTER), ("opened", ctypes.c_uint8), ("sector", u32), ("generation", u32),
        ("end", u32), ("origin", ctypes.c_uint8 * 16), ("origins", ctypes.c_uint8), ("counter", u32), ("corrected", u32),
        ("damaged", u32), ("damaged_at", u32), ("torn", u32), ("buffer", ctypes.c_uint8 * (max(shot, ids, column) + UNIT)),
    )  # fmt: skip
