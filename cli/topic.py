"""Check a topic: its offsets, the age of its last record, whether its messages can be read, and the backlog."""

import time
from collections.abc import Iterator, Mapping

from consumer.errors import SourceError
from consumer.messages.intake import Intake
from consumer.messages.normalise import Normaliser
from consumer.runtime.backlog import backlog_of, last_records
from consumer.settings import Settings
from consumer.sources.base import Expired, Source
from consumer.sources.record import Partition, Record
from consumer.times import UNKNOWN_MS

from .finding import Finding
from .schemas import check_registry, normaliser, wait_for_schemas

Bounds = Mapping[Partition, tuple[int, int]]
"""By partition, the first offset and the one after the last."""

LAST_MESSAGES = 200
"""How many messages are read, over all partitions."""

_READ_SECONDS = 2.0
_SCHEMA_SECONDS = 2.0
_FRESH_SECONDS = 600


def read_last(source: Source, count: int) -> list[Record]:
    """Return the last records of a topic, `count` over all partitions. Raises SourceError."""
    bounds = _bounds(source)
    return [] if _are_empty(bounds) else _last_records(source, bounds, count)


def check_topic(source: Source, settings: Settings) -> Iterator[Finding]:
    """Yield the findings about the topics that the source reads. Raises SourceError."""
    bounds = _bounds(source)
    for name, topic in source.status().topics.items():
        found = {
            number: bounds[each] for number in range(topic.partitions) if (each := Partition(name, number)) in bounds
        }
        ranges = ", ".join(f"{number}: {begin} to {end}" for number, (begin, end) in found.items())
        yield Finding(True, f"topic {name}", f"{len(found)} partitions; offsets by partition: {ranges}")
    if _are_empty(bounds):
        yield Finding(None, "records", "none yet", "start a producer, or run `flask --app app send-test-events`")
        return
    records = _last_records(source, bounds)
    yield _age(records)
    with normaliser(settings) as normalise:
        wait_for_schemas(normalise, records, _SCHEMA_SECONDS)
        yield from check_registry(normalise.registry)
        yield _messages(records, normalise)
        yield from _horizons(records, normalise)
    yield _backlog(source, settings, bounds)


def _bounds(source: Source) -> Bounds:
    """Return the bounds, with the ends of a fetch: a lookup is not exact on every broker (Tansu counts batches)."""
    begins = {partition: begin for partition, (begin, _) in source.bounds().items()}
    source.assign(begins)
    deadline = time.monotonic() + _READ_SECONDS
    while time.monotonic() < deadline:
        _poll(source)
        readings = source.status().readings
        ends = {
            each: reading.high_watermark for each, reading in readings.items() if reading.high_watermark is not None
        }
        if len(ends) == len(begins):
            return {partition: (begin, ends[partition]) for partition, begin in begins.items()}
    raise SourceError(f"no answer to a fetch in {_READ_SECONDS:g} s")


def _are_empty(bounds: Bounds) -> bool:
    return all(begin == end for begin, end in bounds.values())


def _last_records(source: Source, bounds: Bounds, count: int = LAST_MESSAGES) -> list[Record]:
    """Read the last records: `count` over all partitions, at least one of each partition that has any."""
    counts = last_records([end - begin for begin, end in bounds.values()], max(count, len(bounds)))
    starts = zip(bounds.items(), counts, strict=True)
    source.assign({partition: end - count for (partition, (_, end)), count in starts})
    records: list[Record] = []
    deadline = time.monotonic() + _READ_SECONDS
    while time.monotonic() < deadline:
        records += _poll(source)
        # Not by the records: the end of the log may hold none, but the marker of a transaction.
        readings = source.status().readings
        if all(readings[partition].offset >= end for partition, (_, end) in bounds.items()):
            break
    return records


def _poll(source: Source) -> list[Record]:
    try:
        return source.poll(0.2)
    except Expired:
        return []  # retention deleted records since the offsets were read; the next poll continues after them


def _age(records: list[Record]) -> Finding:
    """Return how old the newest record is by Kafka's time."""
    if not records:
        return Finding(None, "last record", "age unknown: there is no record at the end of the log")
    newest = max(record.time_ms for record in records)
    if newest == UNKNOWN_MS:
        return _no_kafka_time(records[-1])
    seconds = max(0.0, time.time() - newest / 1000)
    if seconds < _FRESH_SECONDS:
        return Finding(True, "last record", f"{seconds:.0f} s ago")
    return Finding(None, "last record", f"{_duration(seconds)} ago", "check that the producer is running")


def _no_kafka_time(record: Record) -> Finding:
    detail = f"the timestamp of the last record is {record.timestamp_ms}; it must be epoch milliseconds, 2000 to 2200"
    advice = (
        "correct the producer, or set message.timestamp.type=LogAppendTime for the topic; until then since= finds "
        "nothing, KAFKA_BACKLOG can't use times, messages without a time are refused, and retention may delete "
        "records too early"
    )
    return Finding(False, "Kafka time", detail, advice)


def _messages(records: list[Record], normalise: Normaliser) -> Finding:
    """Return whether the last messages can be read, and if not, why."""
    intake = Intake()
    for record in records:
        intake.take(record, normalise(record))
    readable = f"{intake.messages - intake.refused:,} of the last {intake.messages:,} can be read"
    if intake.observations:
        readable += f" ({intake.observations:,} with observations: measured speeds without a prediction)"
    if not intake.by_reason:
        return Finding(True, "messages", readable)
    advice = (
        "docs/messages.md lists the accepted fields, GET /api/quarantine the messages that a running server refused\n"
        "`flask --app app inspect --write mapping.toml` shows what is in them, and begins a mapping (docs/mapping.md)\n"
        f"example: {intake.example}"
    )
    ok = False if intake.refused == intake.messages else None
    return Finding(ok, "messages", f"{readable}; refused: {intake.reasons()}", advice)


def _horizons(records: list[Record], normalise: Normaliser) -> Iterator[Finding]:
    """Yield a finding when predictions have no clear horizon."""
    unclear = [(record, count) for record in records if (count := normalise(record).unclear_horizons)]
    if unclear:
        record, _ = unclear[0]
        total = sum(count for _, count in unclear)
        detail = (
            f"{total:,} unclear; example: topic {record.topic}, partition {record.partition}, offset {record.offset}"
        )
        advice = "send horizon_minutes as a whole number; see Horizons in docs/messages.md"
        yield Finding(None, "horizons", detail, advice)


def _backlog(source: Source, settings: Settings, bounds: Bounds) -> Finding:
    starts = backlog_of(source, settings.backlog, bounds)
    count = sum(end - starts[partition] for partition, (_, end) in bounds.items())
    total = sum(end - begin for begin, end in bounds.values())
    detail = f"the server starts with the last {count:,} of {total:,} records (KAFKA_BACKLOG={settings.kafka_backlog})"
    if count:
        return Finding(True, "backlog", detail)
    return Finding(None, "backlog", detail, "the page starts empty; a larger KAFKA_BACKLOG reads further back")


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"
