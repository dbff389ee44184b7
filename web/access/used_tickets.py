"""Tickets that were used: a small table in a file without a name, which the workers of one gunicorn share by fork."""

import fcntl
import os
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

NONCE_BYTES = 16
ENTRY = struct.Struct(f"<{NONCE_BYTES}sd")
"""The nonce of a ticket, and when it expires (epoch seconds)."""
ROWS, ROW_ENTRIES = 4_096, 16
ROW_BYTES = ENTRY.size * ROW_ENTRIES


class TableFull(Exception):
    """A row has no room: far more tickets were used than expire."""


class UsedTickets:
    """The nonces of tickets that were used and have not expired. Any thread and process may use it.

    A nonce has one row, by its first bytes. 65,536 entries take 1.5 MB at most.
    """

    def __init__(self) -> None:
        self._file = _file_without_a_name()
        os.truncate(self._file, ROWS * ROW_BYTES)
        # The lock of the file is between processes, and ends with the process that holds it; this one is for threads.
        self._lock = threading.Lock()

    def add(self, nonce: bytes, expires_at: float, now: float) -> bool:
        """Note that a ticket is used; return False if it was used before. Raises TableFull."""
        start = int.from_bytes(nonce[:4]) % ROWS * ROW_BYTES
        with self._lock, self._locked(start):
            entries = list(ENTRY.iter_unpack(os.pread(self._file, ROW_BYTES, start)))
            if any(used == nonce for used, _ in entries):
                return False
            free = next((index for index, (_, until) in enumerate(entries) if until <= now), None)
            if free is None:
                raise TableFull
            os.pwrite(self._file, ENTRY.pack(nonce, expires_at), start + free * ENTRY.size)
        return True

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    @contextmanager
    def _locked(self, start: int) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX, ROW_BYTES, start)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, ROW_BYTES, start)


def _file_without_a_name() -> int:
    """Return a file in memory. A container need not have a folder that can be written to; macOS has no such files."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("greenwave-tickets")
    file, path = tempfile.mkstemp(prefix="greenwave-tickets-")
    os.unlink(path)
    return file
