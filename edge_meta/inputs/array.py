"""Plain arrays as an encoder's input: sensor series, vectors, token ids."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError
from edge_meta.inputs.array_files import MOST_VALUES, read_npy
from edge_meta.inputs.senses import require_sense
from edge_meta.inputs.spec import InputSpec

DTYPES = ("float32", "int32", "int64", "uint8", "int8", "int16")


@dataclass(frozen=True)
class ArrayInput(InputSpec):
    """An array of fixed shape, which the encoder takes as it is.

    Attributes:
        sizes: of an example's axes.
        dtype: one of `DTYPES`; arrays of other dtypes are taken where every value fits.
    """

    noun: ClassVar[str] = "array"
    suffixes: ClassVar[frozenset[str]] = frozenset({".npy"})

    sizes: tuple[int, ...]
    dtype: str = "float32"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.sizes

    @property
    def tensor_dtype(self) -> str:
        return self.dtype

    def __str__(self) -> str:
        return f"{'×'.join(map(str, self.sizes))} {self.dtype} array"

    def read(self, example: Any) -> NDArray[Any]:
        """Read one example, the path of a .npy file or an array of the encoder's shape, in the encoder's dtype.

        Raises:
            InputError: the file is unreadable, or the array is of another shape, or has values that do not fit.
        """
        self.require_one(example)
        require_sense(example, self.suffixes, self.noun)
        return self.checked(*load_array(example))

    def checked(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """The array in the encoder's dtype.

        Args:
            name: of the array, for messages.

        Raises:
            InputError: it is of another shape, or has values that do not fit.
        """
        if array.shape != self.shape:
            raise InputError(
                f"{name} of shape {array.shape} was given; the encoder takes {self.shape}.",
                "Cut it, or pad it, to that shape.",
            )
        kinds = "fiu" if self.dtype == "float32" else "iu"
        if array.dtype.kind not in kinds:
            raise InputError(
                f"{name} of dtype {array.dtype} was given; the encoder takes {self.dtype}.", f"Convert it to {self.dtype}."
            )
        with np.errstate(over="ignore"):
            fitting = array.astype(self.dtype)
        if not np.isfinite(fitting).all() or (self.dtype != "float32" and not np.array_equal(fitting, array)):
            raise InputError(f"{name} has values that are no finite {self.dtype}.", "Clean it before it is enrolled.")
        return fitting

    def normalize(self, example: NDArray[Any]) -> NDArray[Any]:
        return example

    def synthetic(self, rng: np.random.Generator, count: int) -> NDArray[Any]:
        if self.dtype == "float32":
            return rng.standard_normal((count, *self.shape), np.float32)
        # Ids that every vocabulary has.
        return rng.integers(0, 2, (count, *self.shape)).astype(self.dtype)

    def to_manifest(self) -> dict[str, Any]:
        return {"kind": "array", "dtype": self.dtype, "shape": list(self.sizes)}

    @classmethod
    def from_manifest(cls, fields: dict[str, Any]) -> ArrayInput:
        """Read the fields of `to_manifest`.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, of another type, or out of range.
        """
        shape = tuple(int(size) for size in fields["shape"])
        values = 1
        for size in shape:
            values *= size
        if not (1 <= len(shape) <= 6 and min(shape) >= 1 and values <= MOST_VALUES) or fields["dtype"] not in DTYPES:
            raise ValueError("input shape or dtype is out of range")
        return cls(shape, str(fields["dtype"]))


def load_array(example: Any) -> tuple[str, NDArray[Any]]:
    """An example's name in messages, and its values.

    Raises:
        InputError: the file is unreadable, or the rows of a list differ in length.
    """
    if not isinstance(example, (str, Path)):
        try:
            return "An array", np.asarray(example)
        except ValueError:
            raise InputError("An array is a list of rows of different lengths.", "Pass a NumPy array.") from None
    try:
        with open(example, "rb") as file:
            loaded = read_npy(file, os.fstat(file.fileno()).st_size, MOST_VALUES)
    except FileNotFoundError:
        raise InputError(f"{example} does not exist.", "Check the path.") from None
    except IsADirectoryError:
        raise InputError(f"{example} is a folder.", "Name the .npy files in it.") from None
    # A damaged file fails in whichever parser trips over it.
    except Exception as error:
        raise InputError(f"{example} is not a readable .npy file ({error}).", "Save it with numpy.save.") from None
    return str(example), loaded
