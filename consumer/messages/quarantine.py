"""Refused messages: counted by reason, logged at a limited rate, the last ones kept.

Memory is bounded by `entries` times 4 KB: only the beginning of values and keys is kept.
"""

import codecs
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, NamedTuple

from consumer.parsing.refusal import Refusal, RefusalReason, by_reason
from consumer.sources.record import Record
from consumer.times import iso

KEPT_VALUE_BYTES = 512
KEPT_KEY_BYTES = 256
KEPT_DETAIL_CHARACTERS = 1000
LOG_EVERY_SECONDS = 10.0
"""Shortest time between two log lines of one reason, so that a topic of bad messages doesn't fill a disk."""

_log = logging.getLogger("greenwave.quarantine")
_utf8 = codecs.getincrementaldecoder("utf-8")


class _RefusedRecord(NamedTuple):
    """A refused message as it is kept: the beginning of its key and value, not the record itself."""

    topic: str
    partition: int
    offset: int
    refusal: Refusal
    refused_ms: int
    key: bytes | None
    value: bytes | None
    size_bytes: int


class Quarantine:
    """The messages that one process refused. One thread adds; any thread reads."""

    def __init__(
        self,
        entries: int,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._wall = wall
        # Guards the counts and the entries. The state of logging belongs to the thread that adds, so that no reader
        # waits for a log handler.
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._times: dict[str, tuple[float, float]] = {}
        self._entries: deque[_RefusedRecord] = deque(maxlen=entries)
        self._logged_at: dict[str, float] = {}
        self._unlogged: Counter[str] = Counter()

    def add(self, record: Record, refusals: Sequence[Refusal]) -> None:
        """Count, keep and log the refusals of a record; called by one thread."""
        kept, counts, now = self._kept(record, refusals), by_reason(refusals), self._wall()
        with self._lock:
            self._counts.update(counts)
            for reason in counts:
                self._times[reason] = (self._times.get(reason, (now,))[0], now)
            self._entries.extend(kept)
        self._report(record, refusals)

    def snapshot(self) -> dict[str, Any]:
        """Return {total, by_reason: {reason: n}, messages: [newest first]}.

        A message is {topic, partition, offset, index, reason, detail, items (of its array that it stands for), time
        (ISO 8601), key (text or null), value (its first 512 bytes as text, undecodable bytes escaped; null of a
        tombstone), size_bytes (of the whole value)}.
        """
        with self._lock:
            counts, entries = dict(self._counts), list(self._entries)
        messages = [self._message(entry) for entry in reversed(entries)]
        return {"total": sum(counts.values()), "by_reason": counts, "messages": messages}

    def times_of(self, reason: RefusalReason) -> tuple[str, str] | None:
        """Return when the first and the last refusal of a reason were, in ISO 8601; None without any."""
        with self._lock:
            times = self._times.get(reason)
        return None if times is None else (iso(int(times[0] * 1000)), iso(int(times[1] * 1000)))

    def _kept(self, record: Record, refusals: Sequence[Refusal]) -> list[_RefusedRecord]:
        """Return the entries of the last refusals of a record, as many as there is room for."""
        value, key = record.value, record.key
        begin = None if value is None else value[:KEPT_VALUE_BYTES]
        name = None if key is None else key[:KEPT_KEY_BYTES]
        now_ms = int(self._wall() * 1000)
        return [
            _RefusedRecord(
                record.topic,
                record.partition,
                record.offset,
                refusal,
                now_ms,
                name,
                begin,
                len(value or b""),
            )
            for refusal in refusals[-(self._entries.maxlen or 0) :]
        ]

    def _message(self, entry: _RefusedRecord) -> dict[str, Any]:
        return {
            "topic": entry.topic,
            "partition": entry.partition,
            "offset": entry.offset,
            "index": entry.refusal.index,
            "reason": entry.refusal.reason,
            "detail": _one_line(entry.refusal.detail),
            "items": entry.refusal.items,
            "time": iso(entry.refused_ms),
            "key": _text(entry.key),
            "value": _text(entry.value),
            "size_bytes": entry.size_bytes,
        }

    def _report(self, record: Record, refusals: Sequence[Refusal]) -> None:
        """Log the first refusal of each reason, at most once in LOG_EVERY_SECONDS per reason."""
        now = self._clock()
        for reason, count in by_reason(refusals).items():
            if now - self._logged_at.get(reason, float("-inf")) < LOG_EVERY_SECONDS:
                self._unlogged[reason] += count
                continue
            first = next(refusal for refusal in refusals if refusal.reason == reason)
            self._write(record, first, self._unlogged.pop(reason, 0))
            self._logged_at[reason] = now
            self._unlogged[reason] = count - 1

    def _write(self, record: Record, refusal: Refusal, unlogged: int) -> None:
        item = "" if refusal.index is None else f" item {refusal.index}"
        _log.warning(
            "refused (%s): topic=%s partition=%d offset=%d%s: %s%s",
            refusal.reason,
            record.topic,
            record.partition,
            record.offset,
            item,
            _one_line(refusal.detail),
            f" ({unlogged} more of this reason since the last line)" if unlogged else "",
        )


def _text(data: bytes | None) -> str | None:
    """Decode for display; a character that was cut in two is left out."""
    return None if data is None else _utf8("backslashreplace").decode(data)


def _one_line(text: str) -> str:
    text = text[:KEPT_DETAIL_CHARACTERS]
    return text if text.isprintable() else repr(text)[1:-1]
