"""Run the two files of Google's speech_embedding one after the other, as openWakeWord does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from edge_meta.types import Array

WINDOW, HOP = 76, 8  # frames of the spectrogram that the network takes at a time, and from one time to the next


def speech_pair(spectrogram: str, network: str, samples: int) -> Callable[[NDArray[np.int16]], Array]:
    """Open the pair; returns a function from a recording, int16 (samples,) at 16 kHz, to the mean embedding, float32 (96,).

    Args:
        spectrogram, network: paths of the .tflite files.
    """
    first, second = Interpreter(spectrogram), Interpreter(network)
    first.resize_tensor_input(first.get_input_details()[0]["index"], [1, samples])
    for interpreter in (first, second):
        interpreter.allocate_tensors()

    def embed(recording: NDArray[np.int16]) -> Array:
        frames = _run(first, recording[None].astype(np.float32))[0, 0] / 10 + 2
        windows = [frames[start : start + WINDOW] for start in range(0, len(frames) - WINDOW + 1, HOP)]
        mean: Array = np.mean([_run(second, window[None, :, :, None]).ravel() for window in windows], axis=0)
        return mean

    return embed


def _run(interpreter: Any, values: Array) -> Array:
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    result: Array = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return result
