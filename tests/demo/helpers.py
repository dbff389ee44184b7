"""Helpers for tests of the demo: process checks, and a publisher that keeps messages."""

import psutil


def runs(pid):
    """Return whether a process is running; zombies are not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def descendants(pid):
    """Return the process ids of all descendants of a process."""
    return [each.pid for each in psutil.Process(pid).children(recursive=True)]


class Collector:
    """A publisher that keeps its messages."""

    def __init__(self):
        self.sent = []
        self.flushes = 0

    def send(self, key, value, timestamp_ms=None):
        self.sent.append((key, value, timestamp_ms))

    def flush(self):
        self.flushes += 1
        return True
