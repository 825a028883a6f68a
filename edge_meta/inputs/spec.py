"""What every kind of input offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError


class InputSpec(ABC):
    """What an encoder takes.

    Attributes:
        noun: what messages call an example.
        suffixes: of the files that `read` takes, in lower case, with their dot.
        shape: of an example as `read` gives it; encoder.tflite takes (1, *shape).
        tensor_dtype: in which encoder.tflite takes it.
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
        """One example, a path or an array, as an array of `shape`.

        Raises:
            InputError: it is not what the encoder takes.
        """

    @abstractmethod
    def normalize(self, example: NDArray[Any]) -> NDArray[Any]:
        """What `read` gave, as the values that encoder.tflite takes; further axes may stand in front."""

    @abstractmethod
    def synthetic(self, rng: np.random.Generator, count: int) -> NDArray[Any]:
        """Random examples (count, *shape), for measuring and for trying an encoder."""

    @abstractmethod
    def to_manifest(self) -> dict[str, Any]: ...

    def read_all(self, examples: Any) -> list[NDArray[Any]]:
        """Several examples, an array of n or a sequence of paths and arrays, each as `read` gives it."""
        if isinstance(examples, (str, Path)):
            raise InputError(f"{str(examples)!r} is one path.", f"Pass a list of paths, or one array of n {self.noun}s.")
        if isinstance(examples, np.ndarray):
            self._check_stack(examples)
        elif not isinstance(examples, Iterable):
            raise InputError(
                f"{type(examples).__name__} is not a list of {self.noun}s.", "Pass an array or a list of paths."
            )
        return [self.read(example) for example in examples]

    def _check_stack(self, stack: NDArray[Any]) -> None:
        """Raises InputError when an array is not several examples."""
        if stack.ndim != 1 + len(self.shape):
            raise InputError(
                f"An array of shape {stack.shape} is not (n, {', '.join(map(str, self.shape))}).",
                f"Pass several {self.noun}s stacked on a first axis; for a single one, array[None].",
            )
