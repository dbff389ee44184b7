"""What an acknowledgement of an alert is, and what a change makes of the one before. Pure.

A file (acknowledgement_store) or a compacted topic (acknowledgement_topic) keeps one per segment and kind of alert.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, Protocol

from msgspec import Meta, Struct

MAX_KEPT = 2_000
"""Most acknowledgements; beyond them those that were neither made nor renewed for the longest time are dropped."""
MAX_AGE_MS = 7 * 86_400_000
"""An acknowledgement that is not renewed for so long is dropped with the next change."""

MAX_TIME_MS = 8_640_000_000_000_000
"""The last time that a browser can show: the largest one of ECMAScript."""

AlertKind = Literal["severe", "drop"]
Milliseconds = Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]


class AlertSpan(Struct, frozen=True, forbid_unknown_fields=True):
    """An alert: its segment and kind, and from when until when it is known, in epoch milliseconds of its data."""

    segment_id: Annotated[str, Meta(min_length=1, max_length=256)]
    kind: AlertKind
    since: Annotated[int, Meta(ge=0)]
    until: Annotated[int, Meta(ge=0)]


class SharedAcknowledgement(Struct, frozen=True):
    """That an alert was seen: by `name`, when by this server's clock in epoch milliseconds, and a note."""

    segment_id: str
    kind: AlertKind
    since: Milliseconds
    until: Milliseconds
    name: str
    note: str
    at: Milliseconds


class StoredAcknowledgements(NamedTuple):
    """The acknowledgements that are kept, the last one first; equal versions mean equal contents."""

    version: tuple[str, int]
    found: Sequence[SharedAcknowledgement]


NOTHING = StoredAcknowledgements(("", 0), ())


class Acknowledgements(Protocol):
    """What keeps acknowledgements. Any thread may call it; its errors are those of the file or of the topic."""

    def read(self) -> StoredAcknowledgements:
        """Return all."""

    def acknowledge(self, alerts: Sequence[AlertSpan], name: str, note: str | None) -> None:
        """Keep that alerts were seen. Without a note, one that is acknowledged already stays as it is."""

    def renew(self, alerts: Sequence[AlertSpan]) -> None:
        """Keep that acknowledged alerts last. What is not acknowledged stays so."""

    def undo(self, alerts: Sequence[AlertSpan]) -> None:
        """Remove acknowledgements."""


def acknowledged(
    before: SharedAcknowledgement | None, alert: AlertSpan, name: str, note: str | None, now_ms: int
) -> SharedAcknowledgement:
    """Return the acknowledgement of an alert, by the one of its segment and kind before."""
    if before is None or before.until < alert.since:
        return SharedAcknowledgement(alert.segment_id, alert.kind, alert.since, alert.until, name, note or "", now_ms)
    said = (before.name, before.note, before.at) if note is None else (name, note, now_ms)
    return SharedAcknowledgement(*_joined(before, alert), *said)


def renewed(before: SharedAcknowledgement | None, alert: AlertSpan) -> SharedAcknowledgement | None:
    """Return the acknowledgement of an alert that lasts; None if it has none."""
    if before is None or before.until < alert.since:
        return None
    return SharedAcknowledgement(*_joined(before, alert), before.name, before.note, before.at)


def _joined(before: SharedAcknowledgement, alert: AlertSpan) -> tuple[str, AlertKind, int, int]:
    return alert.segment_id, alert.kind, min(before.since, alert.since), max(before.until, alert.until)
