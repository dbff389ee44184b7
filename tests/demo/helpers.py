"""What several tests of the demo need: waiting for a condition, looking at processes, a broker that never answers."""

import os
import socket
import subprocess
import time
from contextlib import contextmanager


def eventually(condition, seconds=10.0):
    """Wait until a condition holds and return what it returned; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return found


def runs(pid):
    """Tell whether a process runs; one that only waits to be reaped doesn't."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")


def descendants(pid):
    """Return the ids of all processes below one."""
    listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children = {}
    for line in listing.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found, look = [], [pid]
    while look:
        below = children.get(look.pop(), [])
        found += below
        look += below
    return found


@contextmanager
def silent_server():
    """Listen, take connections, and never say a word; give the address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


class Collector:
    """A publisher that keeps what it is given."""

    def __init__(self):
        self.sent = []
        self.flushes = 0

    def send(self, key, value, timestamp_ms=None):
        self.sent.append((key, value, timestamp_ms))

    def flush(self):
        self.flushes += 1
