"""The doctor: what is set, what the broker says, and what to do about what is wrong.

It asks step by step and stops where nothing further can be known. Each step has a deadline, so an answer comes within
ten seconds, whatever the broker does. Nothing secret is in what it says.
"""

import time
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from consumer.errors import SettingsError, SourceError
from consumer.messages.files import check_files
from consumer.messages.intake import Intake
from consumer.messages.normalise import Normaliser
from consumer.runtime.backlog import last_records, offsets_since, start_offsets
from consumer.settings import SECRETS, Settings, masked, table
from consumer.sources import open_kafka
from consumer.sources.base import Expired, Source
from consumer.sources.record import Record
from consumer.sources.security import security_protocol
from consumer.times import UNKNOWN_MS

from .reach import reach, reach_advertised

_WORD_SECONDS = 3.5
_TOPIC_SECONDS = 1.5
_READ_SECONDS = 2.0

LAST_MESSAGES = 200
"""Messages that are read to see whether they can be."""

_MOST_SHOWN = 200
_CERTIFICATES = frozenset({"kafka_trusted_cert", "kafka_client_cert"})  # public, but a page long

_DEFAULTS = Settings()


class Finding(NamedTuple):
    """One thing looked at: `ok` None is a remark that is neither good nor bad; `advice` says what to do."""

    ok: bool | None
    what: str
    said: str
    advice: str = ""


def examine(settings: Settings, open_source: Callable[[Settings], Source] = open_kafka) -> Iterator[Finding]:
    """Yield the findings one by one, as they are made."""
    yield Finding(None, "settings", _settings(settings))
    usable = yield from _files(settings)
    reached = yield from _brokers(settings)
    if not (usable and reached):
        return
    try:
        source = open_source(settings)
    except SourceError as error:
        yield Finding(False, "Kafka", str(error))
        return
    try:
        yield from _conversation(source, settings)
    except SourceError as error:
        yield Finding(False, "broker", str(error), "look into the broker's log")
    finally:
        source.close()


def _settings(settings: Settings) -> str:
    names = [name.lower() for name, *_ in table()]
    changed = [name for name in names if getattr(settings, name) != getattr(_DEFAULTS, name)]
    return ", ".join(f"{name.upper()}={_shown(name, settings)}" for name in changed) or "all defaults"


def _shown(name: str, settings: Settings) -> str:
    if name in SECRETS | _CERTIFICATES:
        return "(set, not shown)"
    return masked(name, str(getattr(settings, name)))[:_MOST_SHOWN]


def _files(settings: Settings) -> Generator[Finding, None, bool]:
    """Yield a finding when a certificate, key or network can't be used; return whether they can."""
    try:
        network = check_files(settings)
    except SettingsError as error:
        yield Finding(False, "settings", str(error), "correct it; docs/settings.md lists all settings")
        return False
    if settings.network_file:
        skipped = f"; {network.skipped}" if network.skipped else ""
        yield Finding(not skipped, "network", f"{len(network.segments)} segments{skipped}")
    return True


def _brokers(settings: Settings) -> Generator[Finding, None, bool]:
    """Yield a finding per broker; return whether any took a connection."""
    found = reach(settings)
    for broker, reached in found:
        yield Finding(reached.ok, f"broker {broker}", reached.said, reached.advice)
    return any(reached.ok for _, reached in found)


def _conversation(source: Source, settings: Settings) -> Iterator[Finding]:
    if not _until(lambda: source.status().last_response is not None, _WORD_SECONDS, source):
        errors = source.status().connection_errors
        said = f"no answer in the Kafka protocol in {_WORD_SECONDS:g} s" + (f"; {errors}" if errors else "")
        advice = (
            f"check that it is a Kafka broker that isn't stuck, and KAFKA_SECURITY_PROTOCOL "
            f"(now {security_protocol(settings)}) with the KAFKA_SASL_* or KAFKA_SSL_* settings"
        )
        yield Finding(False, "Kafka", said, advice)
        return
    yield Finding(True, "Kafka", "the broker answers")
    if not (yield from _advertised(source, settings)):
        return
    if not _until(lambda: source.status().topic is not None, _TOPIC_SECONDS, source):
        advice = (
            "create it: `flask --app app create-topic`; or correct KAFKA_TOPIC, KAFKA_PREFIX; or give the right to read"
        )
        yield Finding(False, f"topic {settings.topic}", "is not there, or may not be read", advice)
        return
    yield from _topic(source, settings)


def _advertised(source: Source, settings: Settings) -> Generator[Finding, None, bool]:
    """Yield a finding per advertised address that takes no connection; return whether any does."""
    advertised = source.status().brokers
    others = [broker for broker in advertised if broker not in settings.brokers]
    found = reach_advertised(others)
    for broker, reached in found:
        if not reached.ok:
            yield Finding(False, f"broker {broker}", f"the cluster advertises it; {reached.said}", reached.advice)
    return len(others) < len(advertised) or not found or any(reached.ok for _, reached in found)


def _until(true: Callable[[], bool], seconds: float, source: Source) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        source.request_metadata(min(left, 0.2))
    return True


def _topic(source: Source, settings: Settings) -> Iterator[Finding]:
    begins = [begin for begin, _ in source.bounds()]
    ends = _ends(source, begins)
    counts = [end - begin for begin, end in zip(begins, ends, strict=True)]
    spans = ", ".join(f"{index}: {begin} to {end}" for index, (begin, end) in enumerate(zip(begins, ends, strict=True)))
    yield Finding(True, f"topic {settings.topic}", f"{len(ends)} partitions, offsets {spans}")
    if not sum(counts):
        yield Finding(None, "records", "there are none yet", "start a producer, or `flask --app app send-test-events`")
        return
    last = _last(source, begins, ends)
    yield _age(last)
    normalise = Normaliser(settings)
    yield _messages(last, normalise)
    yield from _horizons(last, normalise)
    yield _backlog(source, settings, list(zip(begins, ends, strict=True)))


def _ends(source: Source, begins: list[int]) -> list[int]:
    """Return the ends as a fetch tells them, since a lookup is not exact on every broker (Tansu counts batches)."""
    source.assign(begins)
    deadline = time.monotonic() + _READ_SECONDS
    while time.monotonic() < deadline:
        _poll(source)
        ends = [reading.high_watermark for reading in source.status().readings]
        if None not in ends:
            return [end for end in ends if end is not None]
    raise SourceError(f"a fetch gave no answer in {_READ_SECONDS:g} s")


def _last(source: Source, begins: list[int], ends: list[int]) -> list[Record]:
    """Read the last messages: LAST_MESSAGES of all partitions together, at least one of each that has any."""
    sizes = [end - begin for begin, end in zip(begins, ends, strict=True)]
    counts = last_records(sizes, max(LAST_MESSAGES, len(ends)))
    source.assign([end - count for end, count in zip(ends, counts, strict=True)])
    last: list[Record] = []
    deadline = time.monotonic() + _READ_SECONDS
    while time.monotonic() < deadline:
        last += _poll(source)
        # Not by the records: the end of the log may hold none, but the marker of a transaction.
        if all(reading.offset >= end for reading, end in zip(source.status().readings, ends, strict=True)):
            break
    return last


def _messages(last: list[Record], normalise: Normaliser) -> Finding:
    """Say whether the last messages can be read, and why not."""
    intake = Intake()
    for record in last:
        intake.take(record, normalise(record))
    count = f"the last {intake.messages:,}" if intake.messages > 1 else "the last one"
    if not intake.by_reason:
        return Finding(True, "messages", f"{count}: all can be read")
    advice = (
        "docs/messages.md says what is understood, GET /api/quarantine shows what a running server refused. "
        f"An example, {intake.example}"
    )
    if intake.refused == intake.messages:
        return Finding(False, "messages", f"{count}: none can be read: {intake.reasons()}", advice)
    return Finding(None, "messages", f"{count}: {intake.refused:,} can't be read: {intake.reasons()}", advice)


def _horizons(last: list[Record], normalise: Normaliser) -> Iterator[Finding]:
    """Yield a finding when predictions have no clear horizon."""
    unclear = [(record, count) for record in last if (count := normalise(record).unclear_horizons)]
    if unclear:
        record, _ = unclear[0]
        said = (
            f"no clear one in {sum(count for _, count in unclear):,} of the last predictions, "
            f"such as partition {record.partition}, offset {record.offset}"
        )
        advice = "state horizon_minutes as a whole number; docs/messages.md, Horizons, says what is read"
        yield Finding(None, "horizons", said, advice)


def _age(last: list[Record]) -> Finding:
    """Say how old the newest record is by Kafka's time."""
    newest = max((record.time_ms for record in last), default=UNKNOWN_MS)
    if not last:
        return Finding(None, "last record", "its time is not known: the end of the log holds no record")
    if newest == UNKNOWN_MS:
        return _no_kafka_time(last[-1])
    seconds = max(0.0, time.time() - newest / 1000)
    if seconds < 600:
        return Finding(True, "last record", f"{seconds:.0f} s ago")
    return Finding(None, "last record", f"{_long(seconds)} ago", "if that is too long, look whether the producer runs")


def _no_kafka_time(record: Record) -> Finding:
    return Finding(
        False,
        "Kafka time",
        f"can't be used: the timestamp of the last record is {record.timestamp_ms}; "
        "it should be epoch milliseconds from 2000 to 2200",
        "correct the producer, or set message.timestamp.type=LogAppendTime for the topic; until then since= finds "
        "nothing, KAFKA_BACKLOG can't look at times, messages that state no time are refused, and retention may "
        "delete records too early",
    )


def _poll(source: Source) -> list[Record]:
    try:
        return source.poll(0.2)
    except Expired:
        return []  # retention has moved on in between; the next step tells the truth again


def _backlog(source: Source, settings: Settings, bounds: list[tuple[int, int]]) -> Finding:
    backlog = settings.backlog
    since = None
    if backlog.seconds is not None:
        since = offsets_since(round((time.time() - backlog.seconds) * 1000), bounds, source.offsets_at)
    starts = start_offsets(bounds, since, backlog.records)
    count = sum(end - start for start, (_, end) in zip(starts, bounds, strict=True))
    total = sum(end - begin for begin, end in bounds)
    said = f"a start would read the last {count:,} of {total:,} records (KAFKA_BACKLOG={settings.kafka_backlog})"
    if count:
        return Finding(True, "backlog", said)
    return Finding(None, "backlog", said, "the page begins empty; a larger KAFKA_BACKLOG reaches further back")


def _long(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"
