"""Single parts in this process: normalising, the ring buffer, the cursor, each compared with the obvious way."""

import base64
import json
import tempfile
import time
from collections import deque
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import fastavro

from consumer.messages.normalise import Normaliser
from consumer.schemas.registry import Registry
from consumer.schemas.schema import SchemaText
from consumer.settings import Settings
from consumer.sources.record import Record
from consumer.view import cursor
from consumer.view.cursor import Position, place
from consumer.view.ring import Entry, Ring

from .figures import OURS, Figure
from .messages import message

COUNT = 20_000
CLIENTS = 50
ITEMS = 20
_SCHEMA = {
    "type": "record",
    "name": "Prediction",
    "fields": [
        {"name": "segment_id", "type": "string"},
        {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "current_speed", "type": ["null", "double"]},
        {"name": "predicted_speed", "type": "double"},
        {"name": "model", "type": "string"},
    ],
}
_FIELDS = """[shape.fields]
segment_id = "segment_id"
timestamp = "timestamp"
current_speed = "current_speed"
predicted_speed = "predicted_speed"
model = "model"
"""
_UNITS = _FIELDS.replace('"current_speed"', '{ from = "current_speed", unit = "kmh", missing = [-1] }').replace(
    '"predicted_speed"', '{ from = "predicted_speed", unit = "kmh" }'
)

TITLE = "Parts"
ABOUT = f"""Operations per second of CPU time of one thread, {COUNT:,} operations per round. *json + dicts* is
`json.loads` and the same output fields without checks, aliases, units or limits, so it does much less. *deque + a
queue per client* appends to a `deque(maxlen=…)` and puts into {CLIENTS} queues: the cost where each client has a
queue of its own. With Greenwave, clients only hold a number, so an append is the whole cost. *mapped* are the same
messages by a mapping of five fields, *mapped, units* with two speeds in km/h and a missing value, *mapped, each* in
arrays of {ITEMS}, and *array* such arrays without a mapping; *Avro* by a schema of the registry, *fastavro* is its
decoding alone. *json + base64* writes the same four offsets without a checksum, and reads them without checks."""


def run(_world: Any) -> list[Figure]:
    """Measure one round."""
    figures = []
    for case, alternatives in _cases().items():
        for peer, work in alternatives.items():
            figures.append(Figure("micro", case, peer, "operations/s", COUNT / _seconds(work)))
    return figures


def _cases() -> dict[str, dict[str, Callable[[], object]]]:
    now_ms = int(time.time() * 1000)
    records = [Record("roads", 0, number, now_ms, None, message(number, number)) for number in range(COUNT)]
    normalise = Normaliser(Settings())
    arrays = [b"[%s]" % b",".join(each.value or b"" for each in records[at : at + ITEMS]) for at in _every(ITEMS)]
    arrayed = [Record("roads", 0, at, now_ms, None, each) for at, each in enumerate(arrays)]
    wrapped = [Record("roads", 0, at, now_ms, None, b'{"items":%s}' % each) for at, each in enumerate(arrays)]
    mapped, units = _mapped("[[shape]]\n" + _FIELDS), _mapped("[[shape]]\n" + _UNITS)
    of_items = _mapped('[[shape]]\neach = "items[]"\n' + _FIELDS)
    framed, decode = _avro_records(records)
    entries = _entries(records, normalise)
    positions = [Position(b"topic-01", tuple(place(number + shift) for shift in range(4))) for number in range(COUNT)]
    texts, offsets = [each.encode() for each in positions], [[n, n + 1, n + 2, n + 3] for n in range(COUNT)]
    plain = [_plain_encode(each) for each in offsets]
    return {
        "normalise a message": {
            OURS: lambda: [normalise(record) for record in records],
            "json + dicts": lambda: [_plain_normalise(record.value) for record in records],
            "array": lambda: [normalise(record) for record in arrayed],
            "mapped": lambda: [mapped(record) for record in records],
            "mapped, units": lambda: [units(record) for record in records],
            "mapped, each": lambda: [of_items(record) for record in wrapped],
            "Avro": lambda: [decode(record) for record in framed],
            "fastavro": lambda: [_fastavro(record.value) for record in framed],
        },
        f"append, for {CLIENTS} clients": {
            OURS: lambda: _fill_ring(entries),
            "deque + a queue per client": lambda: _fill_queues(entries),
        },
        "write a cursor": {
            OURS: lambda: [each.encode() for each in positions],
            "json + base64": lambda: [_plain_encode(each) for each in offsets],
        },
        "read a cursor": {
            OURS: lambda: [cursor.decode(each) for each in texts],
            "json + base64": lambda: [json.loads(base64.urlsafe_b64decode(each)) for each in plain],
        },
    }


def _every(step: int) -> range:
    return range(0, COUNT, step)


def _mapped(mapping: str) -> Normaliser:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "mapping.toml")
        file.write_text(mapping)
        return Normaliser(Settings(mapping_file=str(file)))


def _avro_records(records: list[Record]) -> tuple[list[Record], Normaliser]:
    """Return the messages in Avro, and a normaliser that has their schema."""
    registry = Registry(Settings(), fetch=lambda _: SchemaText("AVRO", json.dumps(_SCHEMA)))
    registry.wait_for(1, 10)
    registry.close()
    framed = []
    for record in records:
        stream = BytesIO()
        stream.write(b"\0\0\0\0\1")
        fastavro.schemaless_writer(stream, _PARSED, json.loads(record.value or b"{}"))
        framed.append(Record("roads", 0, record.offset, record.timestamp_ms, None, stream.getvalue()))
    return framed, Normaliser(Settings(), registry=registry)


_PARSED = fastavro.parse_schema(_SCHEMA)


def _fastavro(value: bytes | None) -> object:
    return fastavro.schemaless_reader(BytesIO((value or b"")[5:]), _PARSED, None)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.thread_time()
    work()
    return time.thread_time() - begin


def _entries(records: list[Record], normalise: Normaliser) -> list[Entry]:
    found = []
    for record in records:
        after = Position(b"topic-01", (place(record.offset + 1),))
        prediction = normalise(record).predictions[0][1]
        found.append(Entry(0, place(record.offset), after, prediction.segment_id, prediction, True))
    return found


def _fill_ring(entries: list[Entry]) -> None:
    ring = Ring(10_000, 1 << 30)
    ring.restart([0])
    for entry in entries:
        ring.append(entry)


def _fill_queues(entries: list[Entry]) -> None:
    window: deque[Entry] = deque(maxlen=10_000)
    queues: list[SimpleQueue[Entry]] = [SimpleQueue() for _ in range(CLIENTS)]
    for entry in entries:
        window.append(entry)
        for queue in queues:
            queue.put(entry)


def _plain_normalise(value: bytes | None) -> dict[str, Any]:
    item = json.loads(value or b"{}")
    return {
        "segment_id": item["segment_id"],
        "timestamp": item["timestamp"],
        "current_speed": item["current_speed"],
        "predicted_speed": item["predicted_speed"],
        "speed_diff": item["predicted_speed"] - item["current_speed"],
        "category": "free_flow" if item["predicted_speed"] >= 60 else "moderate_traffic",
        "model": item["model"],
    }


def _plain_encode(offsets: list[int]) -> str:
    return base64.urlsafe_b64encode(json.dumps(offsets).encode()).decode()
