"""Where an encoder's operators run, as far as LiteRT tells it in its log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Programs that are a GPU to Vulkan, and compute on the CPU.
SOFTWARE = re.compile(r"swiftshader|llvmpipe|lavapipe|adapterType=CPU", re.IGNORECASE)

_ADAPTER = re.compile(r"Selected adapter: (.*)")
_ON_GPU = re.compile(r"(\d+) operations will run on the GPU, and the remaining (\d+) operations will run on the CPU")
_ON_NPU = re.compile(r"Partitioned subgraph<0>, selected (\d+) ops, from a total of (\d+) ops")
_REFUSED = re.compile(r"([A-Z][A-Z0-9_]+): (.*)")
_REFUSALS = "Following operations are not supported by GPU delegate:"


@dataclass(frozen=True)
class Placement:
    """Where the operators of an encoder run.

    Attributes:
        accelerator: cpu, gpu or npu.
        device: the GPU as its driver names it; None if it is not told.
        software: whether that GPU is a program that computes on the CPU.
        accelerated: the number of operators that the GPU or NPU runs.
        operators: the number of all.
        refused: operators that the GPU does not take, each with LiteRT's reason. Their neighbours may run on the CPU too.
    """

    accelerator: str
    device: str | None
    software: bool
    accelerated: int
    operators: int
    refused: tuple[str, ...] = ()

    @property
    def on_cpu(self) -> int:
        """The number of operators that the CPU runs."""
        return self.operators - self.accelerated

    @classmethod
    def of(cls, accelerator: str, fully: bool, operators: int, log: Sequence[str], device: str | None = None) -> Placement:
        """Read it from LiteRT's log of one compilation of one subgraph.

        Args:
            fully: whether LiteRT says that the accelerator runs all operators.
            operators: of the subgraph.
            log: lines.
            device: the name of the GPU.
        """
        if accelerator == "cpu":
            return cls("cpu", None, False, 0, operators)
        if accelerator == "npu":
            device = None
        told = _first(_ON_GPU if accelerator == "gpu" else _ON_NPU, log)
        # A GPU's line tells how many are left, an NPU's how many there are.
        accelerated = operators if fully else 0 if told is None else int(told[0])
        if told is not None and not fully:
            operators = int(told[1]) + (accelerated if accelerator == "gpu" else 0)
        return cls(
            accelerator,
            device,
            device is not None and SOFTWARE.search(device) is not None,
            accelerated,
            operators,
            _refused(log),
        )


def device_named(log: Sequence[str]) -> str | None:
    """The name of the GPU, if the log has it: LiteRT tells it once in a process."""
    found = _first(_ADAPTER, log)
    return None if found is None else found[0].strip()


def failure(log: Sequence[str]) -> str:
    """The reason that a log gives for a failed compilation: the most telling of its lines."""
    for pattern in (
        r"Couldn't load Vulkan: (.*)",
        r"(loader_get_json: .*)",
        r"Failed to initialize WebGPU environment: (.*)",
    ):
        found = _first(re.compile(pattern), log)
        if found is not None:
            return found[0].strip().rstrip(".")
    if any("GPU accelerator could not be loaded and registered" in line for line in log):
        return "this ai-edge-litert has no GPU accelerator for this system"
    plugin = _first(re.compile(r"Could not load shared library .*?: (.*)"), log)
    return "it gives no reason" if plugin is None else plugin[0].strip().rstrip(".")


def _first(pattern: re.Pattern[str], log: Sequence[str]) -> tuple[str, ...] | None:
    found = next((match for line in log if (match := pattern.search(line))), None)
    return None if found is None else found.groups()


def _refused(log: Sequence[str]) -> tuple[str, ...]:
    """The lines that follow the heading of refused operators."""
    if _REFUSALS not in "\n".join(log):
        return ()
    start = next(at for at, line in enumerate(log) if _REFUSALS in line)
    found = []
    for line in log[start + 1 :]:
        match = _REFUSED.fullmatch(line)
        if match is None:
            break
        found.append(line.rstrip("."))
    return tuple(found)
