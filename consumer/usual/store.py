"""The file of the usual speeds: an SQLite database that one process writes, and others read.

    about      speed unit and time zone: what is in the file depends on them
    segments   name, and which intervals of five minutes were counted: the newest, and a bit for each one before it
    samples    by quarter-hour and segment; in this order, since speeds of one time are written together

Samples and counted intervals are written in one transaction. So after any end of a process, each interval of a segment
counts once, whatever is read again: the same records, or records of another topic or partition.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from consumer.errors import StoreError

from .quarters import DAY_QUARTERS, Quarter
from .samples import Sample

APPLICATION_ID = 0x47575553
WINDOW = 288
"""Intervals up to the newest of a segment in which late speeds count: one day."""
MAX_SILENT_INTERVALS = 60 * WINDOW
"""A segment not measured for 60 days before the newest time, or before now, is dropped when the file is opened."""
BUSY_SECONDS = 5.0
WAL_BYTES = 16_777_216

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segments (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, newest INTEGER NOT NULL, seen BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS samples (
    slot INTEGER, segment INTEGER, day INTEGER NOT NULL, fresh INTEGER NOT NULL, speeds BLOB NOT NULL,
    PRIMARY KEY (slot, segment)
) WITHOUT ROWID;
"""


def size_of(path: str) -> int:
    """Return the size of a store and its write-ahead log, in bytes."""
    size = 0
    for each in (path, f"{path}-wal"):
        with suppress(FileNotFoundError):
            size += os.stat(each).st_size
    return size


class Counted(Struct, gc=False):
    """The intervals of a segment that were counted: the `newest`, and by bit n the one n before it."""

    id: int
    newest: int
    seen: int = 1

    def count(self, interval: int, latest: int) -> bool:
        """Count an interval; return whether it was not counted before and is not too old.

        A `newest` after `latest` came of a wrong clock: then counting begins again with an older interval.
        """
        ahead = interval - self.newest
        if ahead > 0:
            self.seen = (self.seen << min(ahead, WINDOW) | 1) & _ALL
            self.newest = interval
            return True
        if ahead <= -WINDOW:
            if self.newest <= latest:
                return False
            self.newest, self.seen = interval, 1
            return True
        bit = 1 << -ahead
        if self.seen & bit:
            return False
        self.seen |= bit
        return True


_ALL = (1 << WINDOW) - 1


class StoreWriter:
    """The store of the process that writes. It holds a lock beside the file until close()."""

    def __init__(self, connection: sqlite3.Connection, lock: int) -> None:
        self._connection = connection
        self._lock = lock

    def segments(self) -> dict[str, Counted]:
        """Return the segments by name."""
        rows = self._connection.execute("SELECT name, id, newest, seen FROM segments")
        return {name: Counted(id_, newest, int.from_bytes(seen)) for name, id_, newest, seen in rows}

    def add(self, speeds: Iterable[tuple[int, Quarter, int]], counted: Mapping[str, Counted]) -> None:
        """Add (segment, quarter-hour, code of a speed), and write what is counted, in one transaction."""
        samples: dict[tuple[int, int], Sample] = {}
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for segment, (slot, day), code in speeds:
                key = (slot, segment)
                sample = samples.get(key) or self._sample(key)
                samples[key] = sample.plus(code, day)
            connection.executemany(
                "INSERT OR REPLACE INTO samples (slot, segment, day, fresh, speeds) VALUES (?, ?, ?, ?, ?)",
                [(*key, each.day, each.fresh, each.speeds) for key, each in sorted(samples.items())],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO segments (name, id, newest, seen) VALUES (?, ?, ?, ?)",
                [(name, each.id, each.newest, each.seen.to_bytes(WINDOW // 8)) for name, each in counted.items()],
            )
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise

    def close(self) -> None:
        """Close the file and release the lock."""
        try:
            self._connection.close()
        finally:
            os.close(self._lock)

    def _sample(self, key: tuple[int, int]) -> Sample:
        row = self._connection.execute(
            "SELECT speeds, day, fresh FROM samples WHERE slot = ? AND segment = ?", key
        ).fetchone()
        return Sample(*row) if row else Sample()


def open_writer(path: str, about: Mapping[str, str], latest: int) -> StoreWriter | None:
    """Open a store for writing; None while another process has it.

    `about` is what its contents depend on, `latest` the last interval that can have been measured by now. Raises
    OSError, sqlite3.Error and StoreError.
    """
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        # The learner's thread uses it, and the thread that stops the learner when that has ended.
        connection = sqlite3.connect(path, BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, about, latest)
        except BaseException:
            connection.close()
            raise
    except BaseException:
        os.close(lock)
        raise
    return StoreWriter(connection, lock)


def _prepare(connection: sqlite3.Connection, about: Mapping[str, str], latest: int) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        raise StoreError("it is another SQLite database")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.executescript(_SCHEMA)
    connection.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", about.items())
    _check(connection, about)
    (newest,) = connection.execute("SELECT max(newest) FROM segments").fetchone()
    # One segment with a time of a wrong clock must not drop the others.
    connection.execute("DELETE FROM segments WHERE newest < ?", (min(newest or 0, latest) - MAX_SILENT_INTERVALS,))
    if connection.execute("SELECT changes()").fetchone()[0]:
        connection.execute("DELETE FROM samples WHERE segment NOT IN (SELECT id FROM segments)")


def _check(connection: sqlite3.Connection, about: Mapping[str, str]) -> None:
    stored = dict(connection.execute("SELECT name, value FROM about"))
    for name, value in about.items():
        if stored.get(name) != value:
            raise StoreError(f"it was written with {name}={stored.get(name)!r}, and {name} is {value!r} now")


class StoreReader:
    """Reads a store that any process writes. Each call opens the file, so it may be used by any thread."""

    def __init__(self, path: str, about: Mapping[str, str]) -> None:
        self._path = Path(path)
        self._about = about

    def at(self, slot: int) -> dict[str, Sample]:
        """Return the samples of all segments in a quarter-hour. Raises sqlite3.Error and StoreError."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT name, speeds, day, fresh FROM samples JOIN segments ON id = segment WHERE slot = ?", (slot,)
            )
            return {name: Sample(*rest) for name, *rest in rows}

    def day(self, segment_id: str, slot: int) -> dict[int, Sample]:
        """Return a segment's samples of the weekday of a quarter-hour by slot. Raises as at()."""
        first = slot - slot % DAY_QUARTERS
        slots = range(first, first + DAY_QUARTERS)
        with self._open() as connection:
            found = connection.execute("SELECT id FROM segments WHERE name = ?", (segment_id,)).fetchone()
            if found is None:
                return {}
            query = f"SELECT slot, speeds, day, fresh FROM samples WHERE segment = ? AND slot IN {tuple(slots)}"
            return {slot: Sample(*rest) for slot, *rest in connection.execute(query, found)}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, BUSY_SECONDS, uri=True)) as connection:
            _check(connection, self._about)
            yield connection
