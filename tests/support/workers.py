"""Several processes that train together, on the loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Timer

DEADLINE = 300.0  # seconds; a process that takes longer is stuck, and is killed


def free_addresses(count: int) -> list[str]:
    """Addresses of this host, host:port, on which nothing listens."""
    listening = [socket.create_server(("localhost", 0)) for _ in range(count)]
    addresses = [f"localhost:{each.getsockname()[1]}" for each in listening]
    for each in listening:
        each.close()
    return addresses


@contextmanager
def started(command: Sequence[object], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process with these variables set; killed at the deadline or the end."""
    plain = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    process = subprocess.Popen(
        list(map(str, command)), env=plain | dict(environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    watchdog = Timer(DEADLINE, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


@contextmanager
def workers(*commands: Sequence[object]) -> Iterator[list[subprocess.Popen[str]]]:
    """`edge-meta` as a worker for each list of arguments."""
    addresses = free_addresses(len(commands))
    with ExitStack() as running:
        yield [
            running.enter_context(
                started(
                    [sys.executable, "-m", "edge_meta", *arguments],
                    {"TF_CONFIG": json.dumps(
                        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
                    )},
                )
            )
            for index, arguments in enumerate(commands)
        ]  # fmt: skip


def outcomes(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each, once all have ended; they are read at once, so that none waits for a reader."""
    with ThreadPoolExecutor() as readers:
        texts = list(readers.map(lambda process: process.communicate(timeout=DEADLINE), processes))
    return [(process.returncode, *text) for process, text in zip(processes, texts, strict=True)]
