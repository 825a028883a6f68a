"""Run a target's file by TFLite's reference kernels, which compute integers as the format says, on any machine."""

from __future__ import annotations

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edge_meta.types import Array


def run(model: bytes, examples: Array) -> Array:
    """Run a file's first subgraph on examples (n, ...) one by one; returns (n, D)."""
    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    given, taken = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    outputs = []
    for example in examples:
        interpreter.set_tensor(given, example[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(taken)[0])
    return np.array(outputs)
