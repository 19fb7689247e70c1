"""Several processes of one command on this machine, without a launcher's noise around an error's one line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from hf_unlearn.errors import UnlearningError

# The processes that are left when one fails wait for it: they are given so long to end by themselves.
GRACE = 10.0


def launch(command: str, argv: Sequence[str], num_processes: int) -> int:
    """Run `hf-unlearn COMMAND ARGV` in so many processes that find each other; returns the exit status.

    Each gets the variables that `torchrun` and `accelerate launch` set. When one fails the others are ended.

    Args:
        num_processes: on GPUs at most as many as there are.

    Raises:
        UnlearningError: fewer than one process.
    """
    if num_processes < 1:
        raise UnlearningError(f"num_processes is {num_processes}; expected at least 1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Threads of several processes on the same cores slow each other down by an order of magnitude.
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_processes)))
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(num_processes)}
    processes = []
    for rank in map(str, range(num_processes)):
        environment = {**os.environ, **common, "RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": threads}
        words = [sys.executable, "-m", "hf_unlearn.commands.entry", command, *argv]
        processes.append(subprocess.Popen(words, env=environment))
    try:
        return _wait(processes)
    finally:
        # What ends them tidies up first, if it can.
        for process in processes:
            if process.poll() is None:
                process.terminate()
        ends = time.monotonic() + GRACE
        while any(process.poll() is None for process in processes) and time.monotonic() < ends:
            time.sleep(0.05)
        for process in processes:
            if process.poll() is None:
                process.kill()


def _wait(processes: Sequence[subprocess.Popen]) -> int:
    while any(process.poll() is None for process in processes):
        failed = [process.returncode for process in processes if process.poll() not in (None, 0)]
        if failed:
            ends = time.monotonic() + GRACE
            while any(process.poll() is None for process in processes) and time.monotonic() < ends:
                time.sleep(0.05)
            break
        time.sleep(0.05)
    # The first process is the one that says why; one that was killed has a negative status.
    status = next((process.returncode for process in processes if process.poll() not in (None, 0)), 0)
    return status if status >= 0 else 1
