"""Records that wait for a schema: the order of each partition holds, others go on, and all of it is bounded."""

import random

from consumer.runtime.waiting import Waiting
from consumer.sources.base import Reading
from consumer.sources.record import Record
from tests.consumer.helpers import SETTINGS, at


def record(partition, offset, value=b"x"):
    return Record(SETTINGS.topic, partition, offset, -1, None, value)


def places(records):
    return [(each.partition, each.offset) for each in records]


def test_what_is_behind_a_record_that_waits_waits_too():
    missing = {(0, 1)}
    waiting = Waiting(lambda record: (record.partition, record.offset) in missing)
    ready = waiting.ready([record(0, 0), record(0, 1), record(1, 0), record(0, 2), record(1, 1)])
    assert places(ready) == [(0, 0), (1, 0), (1, 1)]
    assert waiting.records == 2
    assert places(waiting.ready([record(0, 3), record(1, 2)])) == [(1, 2)]
    missing.clear()
    assert places(waiting.ready([record(1, 3)])) == [(0, 1), (0, 2), (0, 3), (1, 3)]
    assert not waiting
    assert waiting.records == 0


def test_the_position_stays_before_what_waits():
    waiting = Waiting(lambda record: record.value == b"wait")
    list(waiting.ready([record(0, 0), record(0, 5, b"wait"), record(0, 6), record(1, 3)]))
    readings = at(Reading(7, 9), Reading(4, 4))
    assert waiting.before(readings) == at(Reading(5, 9), Reading(4, 4))
    waiting.clear()
    assert waiting.before(readings) == readings
    assert list(waiting.ready([])) == []


def test_beyond_the_bounds_the_oldest_are_released():
    waiting = Waiting(lambda record: record.value == b"wait", max_records=3)
    taken = list(waiting.ready([record(0, number, b"wait") for number in range(5)]))
    assert places(taken) == [(0, 0), (0, 1)]
    assert waiting.records == 3
    small = Waiting(lambda _: True, max_bytes=2_000)
    taken = list(small.ready([record(0, number, b"x" * 800) for number in range(3)]))
    assert places(taken) == [(0, 0)]
    assert places(small.ready([record(0, 3, b"x" * 9_000)])) == [(0, 1), (0, 2), (0, 3)]
    assert not small


def test_random_runs_keep_the_order_and_lose_nothing():
    for seed in range(200):
        rng = random.Random(seed)
        missing, offsets, sent, taken = set(), [0, 0, 0], [], []
        waiting = Waiting(lambda record, missing=missing: record.value in missing, rng.randint(1, 30))
        for _ in range(30):
            for schema in (b"a", b"b", b"c"):
                (missing.add if rng.random() < 0.3 else missing.discard)(schema)
            batch = []
            for _ in range(rng.randint(0, 8)):
                partition = rng.randrange(3)
                batch.append(record(partition, offsets[partition], rng.choice([b"a", b"b", b"c"])))
                offsets[partition] += 1
            sent += batch
            taken += waiting.ready(batch)
            before = waiting.before(at(*(Reading(offset, None) for offset in offsets)))
            for partition in range(3):
                delivered = [each.offset for each in taken if each.partition == partition]
                assert delivered == list(range(before[SETTINGS.topic, partition].offset)), seed
        missing.clear()
        taken += waiting.ready([])
        assert sorted(places(taken)) == sorted(places(sent)), seed


def test_a_full_queue_is_held_up_until_its_schema_comes():
    held = []

    def hold(record):
        held.append(record.offset)
        return True

    waiting = Waiting(lambda _: len(held) < 3, hold, max_records=3)
    assert places(waiting.ready([record(0, number) for number in range(5)])) == [(0, number) for number in range(5)]
    assert held == [0, 0, 0]
    assert not waiting


def test_holding_up_is_bounded_until_nothing_waits():
    now = [0.0]

    def hold(_record):
        now[0] += 2.0
        return True

    missing = [True]
    waiting = Waiting(lambda _: missing[0], hold, max_records=2, clock=lambda: now[0])
    assert places(waiting.ready([record(0, number) for number in range(4)])) == [(0, 0), (0, 1)]
    assert now == [6.0]
    missing[0] = False
    assert places(waiting.ready([])) == [(0, 2), (0, 3)]
    missing[0] = True
    assert places(waiting.ready([record(0, number) for number in range(4, 7)])) == [(0, 4)]
    assert now == [12.0]
