"""Stop a process without ending it."""

import os
import signal
from pathlib import Path

from tests.consumer.helpers import eventually


def stop_process(pid):
    """Send SIGSTOP and wait until every thread has stopped: until then some may still answer a request."""
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: states_of(pid) == {"T"})


def states_of(pid):
    """Return the states of a process' threads, letters as in proc_pid_stat(5); None while a thread ends."""
    try:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return {text.rpartition(")")[2].split()[0] for text in texts}
