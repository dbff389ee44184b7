"""A compacted topic of one partition in memory: the last value of each key, read by a thread of its own.

    connecting ── topic is there ── read up to the high watermark ──> current ── silence ──> not current
        ^                                                                └── new topic, lost records: read again

With one partition the order of offsets is that of all changes, so all processes come to the same contents, and the last
write wins. What is not current is not given out: a reader learns why.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from consumer.errors import NotCurrent, SourceError
from consumer.settings import Settings
from consumer.sources.base import Expired, Source, SourceStatus, Truncated
from consumer.sources.record import Partition, Record, Topic

log = logging.getLogger("greenwave.consumer")

MAX_KEYS = 4_000
MAX_BYTES = 16_777_216
"""Most keys, and most bytes of keys and values; beyond them those that were written first are dropped."""
MAX_RECORD_BYTES = 16_384
"""A larger record counts as a removal of its key."""
ABSENT_SECONDS = 0.5
"""Time between two requests for metadata while the broker or the topic is away."""
RETRY_SECONDS = 2.0
"""Longest delay after an error."""
BUSY_SECONDS = 2.0
"""How much longer than a silence of the broker a turn of the thread may take on a busy machine."""
STOP_SECONDS = 1.0

CONNECTING = "Kafka has not answered yet"
SILENT = "Kafka does not answer"
READING = "the topic is being read"
FAILED = "a request to Kafka failed; the server's log says why"


class Contents(NamedTuple):
    """Values by key, the one that was written last at the end. `version` counts changes in this process."""

    version: int
    values: Mapping[bytes, bytes]


NO_CONTENTS = Contents(0, MappingProxyType({}))


class CompactedTopic:
    """The topic that settings name as their only one. Any thread may call it; it never waits but in wait_for()."""

    def __init__(self, settings: Settings, open_source: Callable[[Settings], Source], poll_seconds: float) -> None:
        self.name = settings.topic
        self._settings = settings
        self._partition = Partition(self.name, 0)
        self._open_source = open_source
        self._poll_seconds = poll_seconds
        self._leader_limit = settings.kafka_silence_seconds + settings.kafka_fetch_max_wait_ms / 1000
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="greenwave-compacted", daemon=True)
        self._values: dict[bytes, bytes] = {}  # of the thread alone
        self._bytes = 0
        self._turned_at = time.monotonic()
        """When the leader was last known to answer, and the thread to run."""
        # Notified when the fields below change. The thread replaces them as a whole.
        self._changed = threading.Condition()
        self._missing: str | None = CONNECTING
        self._contents = NO_CONTENTS
        self._next = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for it; one that Kafka holds up longer ends by itself."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    @property
    def missing(self) -> str | None:
        """Why the contents are not known to be current; None when they are."""
        limit = self._settings.kafka_silence_seconds + BUSY_SECONDS
        is_stuck = self._missing is None and time.monotonic() - self._turned_at > limit
        return SILENT if is_stuck else self._missing

    def read(self) -> Contents:
        """Return the contents. Raises NotCurrent."""
        contents, missing = self._contents, self.missing  # in this order: the thread may begin to read again in between
        if missing is not None:
            raise NotCurrent(missing)
        return contents

    def wait_for(self, offset: int, timeout: float) -> None:
        """Wait until the record at an offset is read, `timeout` seconds at most. Raises NotCurrent."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_read(offset) or self._stopping.is_set(), timeout)
            if not self._has_read(offset):
                raise NotCurrent(self.missing or "what was written has not been read yet")

    def _has_read(self, offset: int) -> bool:
        return self._missing is None and self._next > offset

    def _run(self) -> None:
        while not self._stopping.is_set():
            source = None
            try:
                source = self._open_source(self._settings)
                self._follow(source)
            except SourceError as error:
                self._lose(FAILED, str(error))
            except Exception:
                log.exception("reading topic %s failed; it is read again", self.name)
                self._lose(FAILED)
            finally:
                if source is not None:
                    self._close(source)
            self._stopping.wait(random.uniform(RETRY_SECONDS / 2, RETRY_SECONDS))
        self._lose("the process ends")

    def _follow(self, source: Source) -> None:
        """Read a source until stop(). Raises what the source raises."""
        assigned: Topic | None = None
        while not self._stopping.is_set():
            status = source.status()
            missing, topic = self._missing_of(status), status.topics.get(self.name)
            if missing is not None or topic is None:
                assigned = None
                self._lose(missing or f"topic {self.name} does not exist, or may not be read", status.connection_errors)
                source.request_metadata()
                self._stopping.wait(ABSENT_SECONDS)
                continue
            if topic != assigned:
                begin, _ = source.bounds().get(self._partition, (None, None))
                if begin is None:
                    self._stopping.wait(ABSENT_SECONDS)  # it was deleted a moment ago
                    continue
                self._restart(source, begin)
                assigned = topic
            try:
                records = source.poll(self._poll_seconds)
            except (Expired, Truncated):
                assigned = None
                continue
            status = source.status()
            if status.topics.get(self.name) != assigned:
                assigned = None  # the records may be of another topic
                continue
            if (reading := status.readings.get(self._partition)) is None:
                continue
            self._take(records, reading.offset)
            if status.leader_silent_seconds.get(self._partition, 0.0) > self._leader_limit:
                if self._missing != SILENT:
                    self._lose(SILENT, "the leader of its partition is silent")
                    source.forget_high_watermarks()  # what is current is proven by fetches sent since
                continue
            self._turned_at = time.monotonic()
            if reading.high_watermark is not None and reading.offset >= reading.high_watermark:
                self._find_current()

    def _missing_of(self, status: SourceStatus) -> str | None:
        """Return why the topic can't be read now, other than that it is not there; None if it can."""
        if status.last_response is None:
            return CONNECTING
        if time.monotonic() - status.last_response > self._settings.kafka_silence_seconds:
            return SILENT
        topic = status.topics.get(self.name)
        if topic is not None and topic.partitions != 1:
            return f"topic {self.name} has {topic.partitions} partitions; allowed: 1"
        return None

    def _restart(self, source: Source, begin: int) -> None:
        """Read the topic from its first offset."""
        self._lose(READING)
        self._values, self._bytes = {}, 0
        with self._changed:
            self._contents, self._next = Contents(self._contents.version + 1, NO_CONTENTS.values), begin
        source.assign({self._partition: begin})

    def _take(self, records: Iterable[Record], next_offset: int) -> None:
        """Take in records, and note up to where the topic was read."""
        contents, has_changed, left_out = self._contents, False, 0
        for each in records:
            if each.key is None or each.unreadable:
                left_out += 1
                continue
            has_changed = True
            left_out += not self._put(each.key, each.value)
        if left_out:
            text = "topic %s: %d records before offset %d have no key, can't be read, or have more than %d bytes"
            log.warning(text, self.name, left_out, next_offset, MAX_RECORD_BYTES)
        if has_changed:
            contents = Contents(contents.version + 1, MappingProxyType(self._values.copy()))
        if next_offset != self._next or has_changed:
            with self._changed:
                self._contents, self._next = contents, next_offset
                self._changed.notify_all()

    def _put(self, key: bytes, value: bytes | None) -> bool:
        """Keep the value of a key, or remove it without one; return False for one that is too large to be kept."""
        self._remove(key)  # so that the order is that of writing
        if value is None:
            return True
        if len(key) + len(value) > MAX_RECORD_BYTES:
            return False
        self._values[key] = value
        self._bytes += len(key) + len(value)
        while len(self._values) > MAX_KEYS or self._bytes > MAX_BYTES:
            self._remove(next(iter(self._values)))
        return True

    def _remove(self, key: bytes) -> None:
        value = self._values.pop(key, None)
        if value is not None:
            self._bytes -= len(key) + len(value)

    def _find_current(self) -> None:
        if self._missing is not None:
            log.info("topic %s: read as a whole, %d keys", self.name, len(self._values))
            with self._changed:
                self._missing = None
                self._changed.notify_all()

    def _lose(self, why: str, detail: str | None = None) -> None:
        """Note, and log if that is new, that the contents are not known to be current."""
        if why != self._missing:
            is_problem = why != READING and not self._stopping.is_set()
            shown = f"{why} ({detail})" if detail else why
            log.log(logging.WARNING if is_problem else logging.INFO, "topic %s: %s", self.name, shown)
            self._missing = why

    def _close(self, source: Source) -> None:
        try:
            source.close()
        except Exception as error:
            log.warning("topic %s: the source did not close cleanly: %s", self.name, error)
