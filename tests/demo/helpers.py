"""What several tests of the demo need: waiting for a condition, looking at processes, a broker that never answers."""

import socket
import time
from contextlib import contextmanager

import psutil


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
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def descendants(pid):
    """Return the ids of all processes below one."""
    return [each.pid for each in psutil.Process(pid).children(recursive=True)]


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
        return True
