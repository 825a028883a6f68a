"""Freed memory stays with the process: a block of tens of megabytes is faulted in once, and not at each allocation."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from edge_meta.training.malloc import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
np.ones(1 << 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(1 << 24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_that_was_freed_is_not_faulted_in_again():
    def faults(how: str) -> int:
        return int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True).stdout)

    kept = faults("keep")
    assert kept < 100
    assert faults("leave") > 2 * kept + 100
