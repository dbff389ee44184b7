"""Acknowledgements of alerts, kept in an SQLite file that all processes of one host share.

Each call opens the file, so no lock is held while it is read or written, and a fork or a restart changes nothing. There
is one row per segment and kind of alert. Each change counts a version up, by which processes notice those of others.
"""

import math
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from consumer.errors import StoreError

from .acknowledged import (
    MAX_AGE_MS,
    MAX_KEPT,
    NOTHING,
    AlertSpan,
    SharedAcknowledgement,
    StoredAcknowledgements,
    acknowledged,
    renewed,
)

BUSY_SECONDS = 5.0
"""How long a change waits while another program has the file locked; it holds a slot in the meantime."""
READ_BUSY_SECONDS = 0.5
"""How long reading waits then: it takes one of the few threads that are there for short requests."""
LOCKED_SECONDS = 2.0
"""How long the file is left alone after that, so that those who ask don't wait one after the other."""
APPLICATION_ID = 0x4757414B

_SCHEMA = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    "CREATE TABLE about (id TEXT NOT NULL, version INTEGER NOT NULL)",
    """
    CREATE TABLE acknowledgements (
        segment TEXT, kind TEXT, since INTEGER NOT NULL, until INTEGER NOT NULL,
        name TEXT NOT NULL, note TEXT NOT NULL, at INTEGER NOT NULL, renewed INTEGER NOT NULL,
        PRIMARY KEY (segment, kind)
    ) WITHOUT ROWID
    """,
)


class AcknowledgementStore:
    """The file. Its methods raise sqlite3.Error and StoreError; any thread may call them."""

    def __init__(self, path: str, now_ms: Callable[[], int] | None = None, max_kept: int = MAX_KEPT) -> None:
        self._path = path
        self._now_ms = now_ms or (lambda: int(time.time() * 1000))
        self._max_kept = max_kept
        self._kept = NOTHING
        self._locked_until = -math.inf

    def read(self) -> StoredAcknowledgements:
        """Return what is in the file; from memory if it has not changed."""
        kept = self._kept  # replaced as a whole
        with self._opened("BEGIN", READ_BUSY_SECONDS) as connection:
            if _is_new(connection):
                return NOTHING
            version = connection.execute("SELECT id, version FROM about").fetchone()
            if version != kept.version:
                rows = connection.execute(
                    "SELECT segment, kind, since, until, name, note, at FROM acknowledgements ORDER BY at DESC, segment"
                )
                self._kept = kept = StoredAcknowledgements(version, [SharedAcknowledgement(*row) for row in rows])
        return kept

    def acknowledge(self, alerts: Sequence[AlertSpan], name: str, note: str | None) -> None:
        """Keep that alerts were seen. Without a note, one that is acknowledged already stays as it is."""
        now = self._now_ms()
        with self._changed(now) as connection:
            for alert in alerts:
                _put(connection, acknowledged(_at(connection, alert), alert, name, note, now), now)

    def renew(self, alerts: Sequence[AlertSpan]) -> None:
        """Keep that acknowledged alerts last. What is not acknowledged stays so."""
        now = self._now_ms()
        with self._changed(now) as connection:
            for alert in alerts:
                if (row := renewed(_at(connection, alert), alert)) is not None:
                    _put(connection, row, now)

    def undo(self, alerts: Sequence[AlertSpan]) -> None:
        """Remove acknowledgements."""
        with self._changed(self._now_ms()) as connection:
            connection.executemany(
                "DELETE FROM acknowledgements WHERE segment = ? AND kind = ?",
                [(each.segment_id, each.kind) for each in alerts],
            )

    @contextmanager
    def _changed(self, now: int) -> Iterator[sqlite3.Connection]:
        """Give a transaction, and complete it within the bounds."""
        with self._opened("BEGIN IMMEDIATE", BUSY_SECONDS) as connection:
            if _is_new(connection):
                for each in _SCHEMA:
                    connection.execute(each)
                connection.execute("INSERT INTO about VALUES (?, 0)", (uuid.uuid4().hex,))
            yield connection
            connection.execute("DELETE FROM acknowledgements WHERE renewed < ?", (now - MAX_AGE_MS,))
            connection.execute(
                "DELETE FROM acknowledgements WHERE (segment, kind) IN (SELECT segment, kind FROM acknowledgements "
                f"ORDER BY renewed DESC, segment, kind LIMIT -1 OFFSET {self._max_kept})"
            )
            connection.execute("UPDATE about SET version = version + 1")
            connection.execute("COMMIT")

    @contextmanager
    def _opened(self, begin: str, wait_seconds: float) -> Iterator[sqlite3.Connection]:
        if time.monotonic() < self._locked_until:
            raise StoreError("it was locked a moment ago")
        # What is not committed is rolled back when the connection is closed.
        with closing(sqlite3.connect(self._path, wait_seconds, isolation_level=None)) as connection:
            try:
                connection.execute(begin)
                yield connection
            except sqlite3.OperationalError as error:
                if (
                    getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
                ):  # 0 for errors of Python's module
                    self._locked_until = time.monotonic() + LOCKED_SECONDS
                raise


def _is_new(connection: sqlite3.Connection) -> bool:
    """Tell whether a file is empty. Raises StoreError if it is another database."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application == APPLICATION_ID:
        return False
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables or application:
        raise StoreError("it is another SQLite database")
    return True


def _at(connection: sqlite3.Connection, alert: AlertSpan) -> SharedAcknowledgement | None:
    row = connection.execute(
        "SELECT segment, kind, since, until, name, note, at FROM acknowledgements WHERE segment = ? AND kind = ?",
        (alert.segment_id, alert.kind),
    ).fetchone()
    return SharedAcknowledgement(*row) if row else None


def _put(connection: sqlite3.Connection, row: SharedAcknowledgement, now: int) -> None:
    values = (row.segment_id, row.kind, row.since, row.until, row.name, row.note, row.at, now)
    connection.execute("INSERT OR REPLACE INTO acknowledgements VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
