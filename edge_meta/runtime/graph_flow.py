"""Check the order in which a graph's operators read and write its tensors.

Most mutants of a model that crashed an interpreter broke one of these rules: an operator was left without a tensor that it
needs, wrote over a constant, or read what nothing had written (benchmarks/model_mutations.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

# In BuiltinOperator, and the first of its inputs that it may lack. Custom operators decide for themselves.
FIRST_OPTIONAL = {
    3: 2, 4: 2, 9: 2, 27: 3, 67: 3, 132: 2, 133: 3,  # convolutions, FULLY_CONNECTED and SVDF: the bias
    16: 1, 44: 1, 52: 1, 46: 1, 32: 0,  # LSTM cells and sequences, BIDIRECTIONAL_SEQUENCE_RNN, CUSTOM
}  # fmt: skip


def check_inputs(code: int, inputs: Sequence[int]) -> None:
    """Check that an operator lacks (-1) no input but an optional one.

    Args:
        code: in BuiltinOperator.

    Raises:
        ValueError: it lacks one that it needs.
    """
    if -1 in inputs and inputs.index(-1) < FIRST_OPTIONAL.get(code, len(inputs)):
        raise ValueError(f"operator {code} lacks its input {inputs.index(-1)}")


def check_flow(
    given: Sequence[int],
    constants: Sequence[int],
    steps: Sequence[tuple[Sequence[int], Sequence[int]]],
    taken: Sequence[int],
) -> None:
    """Check that each tensor is written once at most, and before it is read.

    Args:
        given, taken: the graph's inputs and outputs.
        constants: tensors that have a value before the graph runs.
        steps: inputs and outputs of each operator, in the order in which they run; -1 for one that is left out.

    Raises:
        ValueError: one is read before, or written twice, or written over a constant or an input.
    """
    there = {-1, *given, *constants}
    for inputs, outputs in steps:
        if missing := set(inputs) - there:
            raise ValueError(f"tensor {min(missing)} is read before it is written")
        for index in outputs:
            if index in there:
                raise ValueError(f"tensor {index} is written over")
            there.add(index)
    if missing := set(taken) - there:
        raise ValueError(f"the output {min(missing)} is never written")


def check_scales(scales: Sequence[float]) -> None:
    """Check the scales of a quantized tensor; 0 is that of a channel of zeros.

    Raises:
        ValueError: one is negative, not finite, or too small for the arithmetic of interpreters.
    """
    for scale in scales:
        if not (scale == 0 or 2.0**-126 <= scale < math.inf):
            raise ValueError(f"a tensor has the scale {scale}")
