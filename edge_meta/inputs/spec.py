"""The interface of all kinds of input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError


class InputSpec(ABC):
    """The specification of an encoder's input.

    Attributes:
        noun: an example's name in messages.
        suffixes: of the files that `read` takes, in lower case, with their dot.
        shape: of an example as `read` returns it; encoder.tflite takes (1, *shape).
        tensor_dtype: of encoder.tflite's input.
    """

    noun: ClassVar[str]
    suffixes: ClassVar[frozenset[str]]

    @property
    def tensor_dtype(self) -> str:
        return "float32"

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]: ...

    @abstractmethod
    def read(self, example: Any) -> NDArray[Any]:
        """Read one example, a path or an array, into an array of `shape`.

        Raises:
            InputError: it is not what the encoder takes.
        """

    @abstractmethod
    def normalize(self, example: NDArray[Any]) -> NDArray[Any]:
        """Turn examples (..., *shape) from `read` into the values that encoder.tflite takes."""

    @abstractmethod
    def synthetic(self, rng: np.random.Generator, count: int) -> NDArray[Any]:
        """Draw random examples (count, *shape), to time or try an encoder."""

    @abstractmethod
    def to_manifest(self) -> dict[str, Any]: ...

    def read_all(self, examples: Any) -> list[NDArray[Any]]:
        """Read several examples: an array (n, ...), or paths and arrays.

        Raises:
            InputError: it is one example, or one of them is not what the encoder takes.
        """
        return [self.read(example) for example in self.several(examples)]

    def several(self, examples: Any) -> Iterable[Any]:
        """Take several examples, without reading them: an array (n, ...), or paths and arrays.

        Raises:
            InputError: it is one example.
        """
        if isinstance(examples, (str, Path)):
            raise InputError(f"{str(examples)!r} is one path.", f"Pass a list of paths, or one array of n {self.noun}s.")
        if isinstance(examples, np.ndarray):
            self._check_stack(examples)
        elif not isinstance(examples, Iterable):
            raise InputError(
                f"{type(examples).__name__} is not a list of {self.noun}s.", "Pass an array or a list of paths."
            )
        several: Iterable[Any] = examples
        return several

    def require_one(self, example: Any) -> None:
        """Raise InputError if an example is several paths."""
        if isinstance(example, (list, tuple)) and example and isinstance(example[0], (str, Path)):
            raise InputError(
                f"A list of {len(example)} path{'s' * (len(example) > 1)} was given where one {self.noun} is taken.",
                "Give one path at a time, in a loop.",
            )

    def _check_stack(self, stack: NDArray[Any]) -> None:
        """Raise InputError if an array is not several examples."""
        if stack.ndim != 1 + len(self.shape):
            raise InputError(
                f"An array of shape {stack.shape} is not (n, {', '.join(map(str, self.shape))}).",
                f"Pass several {self.noun}s stacked on a first axis; for a single one, array[None].",
            )
