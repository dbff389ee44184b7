"""What several tests of the demo need: looking at processes, a publisher that keeps what it is given."""

import psutil


def runs(pid):
    """Tell whether a process runs; one that only waits to be reaped doesn't."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def descendants(pid):
    """Return the ids of all processes below one."""
    return [each.pid for each in psutil.Process(pid).children(recursive=True)]


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
