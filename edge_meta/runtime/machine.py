"""Describe the machine that this runs on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def host() -> dict[str, Any]:
    """Describe this machine: cpu, cores, os, python."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "os": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
