"""Freed memory stays with the process: a block of tens of megabytes is faulted in once, and not at each allocation."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

import edge_meta

# The module is run from its file: importing its package loads TensorFlow, which takes seconds.
FAULTS = """
import resource, runpy, sys
import numpy as np

def faults():
    np.ones(1 << 24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        np.ones(1 << 24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

plain = faults()
assert runpy.run_path(sys.argv[1])["keep_freed_memory"]()
print(plain, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_that_was_freed_is_not_faulted_in_again() -> None:
    module = Path(edge_meta.__file__).parent / "training" / "malloc.py"
    done = subprocess.run([sys.executable, "-c", FAULTS, str(module)], check=True, capture_output=True, text=True)
    plain, kept = map(int, done.stdout.split())
    assert kept < 100
    assert plain > 2 * kept + 100
