"""Read .npy files, alone or in an .npz archive, within the size that their container has."""

from __future__ import annotations

from math import prod
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MOST_VALUES = 1 << 26  # of one example


def read_npy(file: IO[bytes], size: int, most_values: int | None = None) -> NDArray[Any]:
    """Read an array whose header claims no more than the file has.

    Args:
        file: at its start, and seekable.
        size: of the file, in bytes.
        most_values: that the array may have; any number unless given.

    Raises:
        ValueError: it is no .npy file, claims more than the file has or more than `most_values`, or holds objects.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"format {version[0]}.{version[1]} is not read")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    count = prod(shape)
    if min(shape, default=0) < 0 or dtype.hasobject or dtype.itemsize == 0:
        raise ValueError("its shape or dtype is not usable")
    if count * dtype.itemsize > size - file.tell():
        raise ValueError(f"its header claims {count:,} values of {dtype}, more than the file has")
    if most_values is not None and count > most_values:
        raise ValueError(f"it has {count:,} values; at most {most_values:,} are read")
    file.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array
