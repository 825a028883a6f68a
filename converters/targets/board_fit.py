"""Tell how much of a board an encoder and its classes take, and which boards have that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from converters.targets import board_size, tflm
from converters.targets.board_size import Choice
from converters.targets.boards import BOARDS, Board
from converters.targets.integer import IntegerEncoder
from converters.tflite.model import ModelFile, OperatorInfo
from edge_meta.runtime.bundle import Bundle

CLASSES, SHOTS = (5, 16, 64), (1, 5, 20)  # of the table
SCRATCH = 1.25  # times the arena that reference kernels need; CMSIS-NN's scratch memory comes on top
OTHER_RAM = 4096  # of the program: the interpreter, the C library, its own
LESS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("EM_ADAPT 0", {"adapt": False}),
    ("EM_ADAPT 0, EM_CLASSES 5", {"adapt": False, "classes": 5}),
    ("EM_ADAPT 0, EM_FLASH 0, EM_CLASSES 5", {"adapt": False, "flash": False, "classes": 5}),
)


@dataclass(frozen=True)
class Encoder:
    """An encoder as a board has it.

    Attributes:
        model_bytes: of the file, all of it in flash.
        arena_bytes: that the interpreter needs, scratch memory of CMSIS-NN included; on an Ethos-U, Vela's estimate of SRAM.
        products: multiply-accumulates of one example.
        floats: float32 values that other operators compute.
        interpreter_code: bytes of TensorFlow Lite Micro's code.
        choice: the defaults for its embeddings.
        npu: the Ethos-U that it is compiled for, as `config`, and Vela's estimates of an inference; None for a CPU.
    """

    model_bytes: int
    arena_bytes: int
    products: int
    floats: int
    interpreter_code: int
    choice: Choice
    npu: dict[str, Any] | None = None

    @classmethod
    def of(cls, bundle: Bundle) -> Encoder:
        """Measure the encoder of a bundle; of one for boards, the export has done so.

        Raises:
            ExportError: TensorFlow Lite Micro does not run it.
            BackendError: tflite-micro is not installed, and the bundle is not for boards.
        """
        target = bundle.manifest.target
        if target and target["name"] == "ethos-u":
            estimates = target["vela_estimates"]
            npu = {"config": target["config"]} | {key: estimates[key] for key in ("cycles", "milliseconds", "clock_mhz")}
            choice = Choice(bundle.manifest.dim, int8="output" in target and bundle.manifest.normalization is None)
            code = board_size.FLOAT_INTERPRETER_CODE if target["float_on_cpu"] else board_size.INTERPRETER_CODE
            return cls(len(bundle.model), int(estimates["sram_bytes"]), 0, 0, code, choice, npu)
        if target and target["name"] == "tflm":
            model, arena, in_int8 = bundle.model, int(target["arena_bytes"]), "output" in target
        else:
            encoder = tflm.encoder_of(bundle)
            model, arena = encoder.model, tflm.smallest_arena(encoder, bundle.manifest.input_spec.shape)
            in_int8 = isinstance(encoder, IntegerEncoder)
        operators = ModelFile.parse(model).subgraphs[0]
        choice = Choice(bundle.manifest.dim, int8=in_int8 and bundle.manifest.normalization is None)
        code = board_size.INTERPRETER_CODE if in_int8 else board_size.FLOAT_INTERPRETER_CODE
        products, floats = sum(map(_products, operators)), sum(map(_floats, operators))
        return cls(len(model), round(SCRATCH * arena), products, floats, code, choice)

    def flash_bytes(self, choice: Choice) -> int:
        """The bytes of program and constants; the sectors for the classes come on top."""
        code = board_size.code_bytes(choice.adapt, choice.flash)
        return self.model_bytes + self.interpreter_code + code + board_size.CODE["names"]

    def ram_bytes(self, choice: Choice) -> int:
        """The bytes of memory, stack included."""
        stack = max(board_size.STACK, board_size.ENCODER_STACK)
        return self.arena_bytes + board_size.ram_bytes(choice) + stack + OTHER_RAM

    def instructions(self, core: str) -> int:
        """The instructions of embedding an example, about."""
        return round(self.products * board_size.EMBED_A_PRODUCT[core] + self.floats * board_size.EMBED_A_FLOAT[core])


def facts(bundle: Bundle, boards: Iterable[Board] = BOARDS) -> dict[str, Any]:
    """The facts for `edge-meta inspect --board`; sizes in bytes.

    Args:
        boards: to say of each whether it has enough.

    Raises:
        ExportError, BackendError: see `Encoder.of`.
    """
    encoder = Encoder.of(bundle)
    full, npu = encoder.choice, encoder.npu
    least = replace(full, adapt=False, flash=False, none=0)
    return {
        "model_bytes": encoder.model_bytes,
        "arena_bytes": encoder.arena_bytes,
        "code_bytes": {"classes": board_size.code_bytes(False, False), "all": board_size.code_bytes()},
        "interpreter_code_bytes": encoder.interpreter_code,
        "stack_bytes": max(board_size.STACK, board_size.ENCODER_STACK),
        "flash_bytes": encoder.flash_bytes(full),
        "ram_bytes": encoder.ram_bytes(full),
        "stores": [
            {"classes": classes, "shots": shots}
            | {
                name: board_size.ram_bytes(replace(choice, classes=classes, shots=shots))
                for name, choice in (("all", full), ("classes_alone", least))
            }
            for classes in CLASSES
            for shots in SHOTS
        ],
        "instructions": {
            "embed": None if npu else encoder.instructions("Cortex-M4"),
            "classify": board_size.classify_instructions(full.dim, full.classes),
        },
        "npu": npu,
        "boards": [] if npu else [_on(board, encoder) for board in boards],  # none of them has an Ethos-U
    }


def _on(board: Board, encoder: Encoder) -> dict[str, Any]:
    """Say whether a board has enough, and if not, what to leave out, or what it lacks."""
    choices = [("", encoder.choice), *((name, replace(encoder.choice, **less)) for name, less in LESS)]
    fitting = (name for name, choice in choices if _fits(board, encoder, choice))
    leave_out = next(fitting, None)
    least = choices[-1][1]
    lacks = {
        "flash": max(0, encoder.flash_bytes(least) - board.flash_bytes),
        "ram": max(0, encoder.ram_bytes(least) - board.ram_bytes),
    }
    return {
        **board._asdict(),
        "fits": leave_out == "",
        "leave_out": leave_out or None,
        "lacks": {kind: count for kind, count in lacks.items() if count},
        "embed_ms": round(encoder.instructions(board.core) / board.mhz / 1000),
    }


def _fits(board: Board, encoder: Encoder, choice: Choice) -> bool:
    return encoder.flash_bytes(choice) <= board.flash_bytes and encoder.ram_bytes(choice) <= board.ram_bytes


def _products(operator: OperatorInfo) -> int:
    """The multiply-accumulates of an operator; those of other kinds are few."""
    weights = operator.inputs[1].shape if len(operator.inputs) > 1 and operator.inputs[1] is not None else ()
    made = prod(operator.outputs[0].shape)
    if operator.name == "CONV_2D":
        return made * prod(weights[1:])
    if operator.name == "DEPTHWISE_CONV_2D":
        return made * prod(weights[1:3])
    return made * weights[-1] if operator.name == "FULLY_CONNECTED" else 0


def _floats(operator: OperatorInfo) -> int:
    """The float32 values that an operator without multiply-accumulates computes."""
    made = operator.outputs[0]
    return prod(made.shape) if made.dtype == "float32" and not _products(operator) else 0
