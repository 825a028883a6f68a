"""Memory between training steps: kept by the process, where the C library would give it back to the kernel.

A step's activations are tens of megabytes each. glibc maps and unmaps blocks of that size one by one, so that every step
faults all of its pages in again, zeroed: a quarter of a Conv4's step on a CPU.
"""

from __future__ import annotations

import ctypes
import platform

# <malloc.h>
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4

GROWTH = 1 << 28  # bytes that the heap grows by at a time


def keep_freed_memory() -> bool:
    """Let glibc's malloc serve large blocks from its heap, and never shrink it, for the whole process from now on.

    Returns:
        Whether it did; False where the C library is another.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, GROWTH))
    return all(mallopt(ctypes.c_int(parameter), ctypes.c_int(value)) == 1 for parameter, value in settings)
