"""Acknowledgements of alerts in a compacted Kafka topic, which the processes of several hosts share.

Each process has the whole topic in memory. A change is written, and answered when this process has read it back, so
that the answer has it. Of changes at the same moment the last one in the topic counts. A value has the acknowledgement
and when it was made or renewed; a tombstone is an undo.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
from msgspec import Struct

from consumer.runtime.compacted import NO_CONTENTS, CompactedTopic
from web import wire
from web.publish.publisher import Producer

from .acknowledged import (
    MAX_AGE_MS,
    MAX_KEPT,
    NOTHING,
    AlertSpan,
    Milliseconds,
    SharedAcknowledgement,
    StoredAcknowledgements,
    acknowledged,
    renewed,
)

log = logging.getLogger("greenwave.web.acknowledgements")

MAX_SHOWN_KEY = 80
"""Bytes of a key that are logged."""


class KeptAcknowledgement(Struct, frozen=True):
    """The value of a record: an acknowledgement, and when it was made or renewed, in epoch milliseconds."""

    acknowledgement: SharedAcknowledgement
    renewed: Milliseconds


ByKey = Mapping[bytes, KeptAcknowledgement]


class AcknowledgementTopic:
    """The topic. Its methods raise NotCurrent and SourceError; any thread may call them."""

    def __init__(
        self,
        topic: CompactedTopic,
        producer: Callable[[], Producer],
        timeout: float,
        now_ms: Callable[[], int] | None = None,
        max_kept: int = MAX_KEPT,
    ) -> None:
        self._topic = topic
        self._producer = producer
        self._timeout = timeout
        self._now_ms = now_ms or (lambda: int(time.time() * 1000))
        self._max_kept = max_kept
        self._known: tuple[int, ByKey, StoredAcknowledgements] = NO_CONTENTS.version, {}, NOTHING
        self._foreign = 0

    def read(self) -> StoredAcknowledgements:
        """Return what is in the topic."""
        return self._read()[1]

    def acknowledge(self, alerts: Sequence[AlertSpan], name: str, note: str | None) -> None:
        """Keep that alerts were seen. Without a note, one that is acknowledged already stays as it is."""
        now = self._now_ms()
        self._change(alerts, lambda before, alert: acknowledged(before, alert, name, note, now), now)

    def renew(self, alerts: Sequence[AlertSpan]) -> None:
        """Keep that acknowledged alerts last. What is not acknowledged stays so."""
        self._change(alerts, renewed, self._now_ms())

    def undo(self, alerts: Sequence[AlertSpan]) -> None:
        """Remove acknowledgements."""
        self._read()  # while nothing can be read, nothing is written
        self._write({_key(each): None for each in alerts})

    def _change(
        self,
        alerts: Sequence[AlertSpan],
        change: Callable[[SharedAcknowledgement | None, AlertSpan], SharedAcknowledgement | None],
        now: int,
    ) -> None:
        kept, _ = self._read()
        changed: dict[bytes, KeptAcknowledgement] = {}
        for alert in alerts:
            key = _key(alert)
            before = changed.get(key) or kept.get(key)
            after = change(before.acknowledgement if before else None, alert)
            if after is not None:
                changed[key] = KeptAcknowledgement(after, now)
        if changed:
            removed = dict.fromkeys(self._too_old_or_too_many(kept, changed, now))
            self._write({**{key: wire.json_bytes(value) for key, value in changed.items()}, **removed})

    def _too_old_or_too_many(self, kept: ByKey, changed: ByKey, now: int) -> list[bytes]:
        """Return the keys to remove after a change: those not renewed for MAX_AGE_MS, and the oldest of too many."""
        others = {key: each for key, each in kept.items() if key not in changed}
        too_many = max(0, len(others) + len(changed) - self._max_kept)
        return [
            key
            for number, (key, each) in enumerate(others.items())
            if number < too_many or each.renewed < now - MAX_AGE_MS
        ]

    def _write(self, records: Mapping[bytes, bytes | None]) -> None:
        written = self._producer().write(self._topic.name, list(records.items()), self._timeout)
        self._topic.wait_for(max(offset for _, offset in written), self._timeout)

    def _read(self) -> tuple[ByKey, StoredAcknowledgements]:
        """Return what is kept by key, the one that was written last at the end, and as it is shown."""
        version, kept, shown = self._known  # replaced as a whole
        contents = self._topic.read()
        if contents.version != version:
            found = ((key, _decoded(key, value)) for key, value in contents.values.items())
            kept = {key: each for key, each in found if each is not None}
            self._note_foreign(contents.values.keys() - kept.keys())
            newest = [each.acknowledgement for each in list(kept.values())[-self._max_kept :]]
            newest.sort(key=lambda each: (-each.at, each.segment_id))
            shown = StoredAcknowledgements((self._topic.name, contents.version), newest)
            self._known = contents.version, kept, shown
        return kept, shown

    def _note_foreign(self, keys: Collection[bytes]) -> None:
        """Log how many values another program has written, when that changes."""
        if keys and len(keys) != self._foreign:
            text = "%s has %d values that are no acknowledgements, such as that with the key %r"
            log.warning(text, self._topic.name, len(keys), min(keys)[:MAX_SHOWN_KEY])
        self._foreign = len(keys)


def _key(alert: AlertSpan | SharedAcknowledgement) -> bytes:
    return f"{alert.kind}:{alert.segment_id}".encode()


def _decoded(key: bytes, value: bytes) -> KeptAcknowledgement | None:
    """Return a value; None for one that another program has written."""
    try:
        kept = msgspec.json.decode(value, type=KeptAcknowledgement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return kept if _key(kept.acknowledgement) == key else None
