"""Stop a process without ending it."""

import os
import signal
import time
from pathlib import Path


def stop_process(pid: int) -> None:
    """Send SIGSTOP and wait until every thread has stopped: until then some may still answer a request."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + 30
    while states_of(pid) != {"T"}:
        assert time.monotonic() < deadline, f"process {pid} does not stop: {states_of(pid)}"
        time.sleep(0.005)


def states_of(pid: int) -> set[str]:
    """Return the states of a process' threads, letters as in proc_pid_stat(5); none while a thread ends."""
    try:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):
        return set()
    return {text.rpartition(")")[2].split()[0] for text in texts}
