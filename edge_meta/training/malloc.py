"""Memory that training frees, kept by the process for the next step.

A step's activations are tens of megabytes each. glibc gives blocks of that size back to the kernel, and every step faults
all of its pages in again, zeroed. On a CPU that is a quarter of the time of a Conv4's step.
"""

from __future__ import annotations

import ctypes
import platform

# <malloc.h>
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4

GROWTH = 1 << 28  # bytes that the heap grows by at a time


def keep_freed_memory() -> bool:
    """Make glibc's malloc serve large blocks from its heap, and never shrink it, for the rest of the process.

    Returns:
        True; False where the C library is another, or refuses.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, GROWTH))
    return all(mallopt(ctypes.c_int(parameter), ctypes.c_int(value)) == 1 for parameter, value in settings)
