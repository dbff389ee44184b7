"""A compacted topic in memory: read as a whole, kept up to date, bounded, and not given out when it may be old."""

import contextlib
import functools
import threading

import pytest

from consumer.errors import NotCurrent, SourceError
from consumer.runtime import compacted
from consumer.runtime.compacted import SILENT, CompactedTopic
from consumer.settings import Settings
from consumer.sources.memory import MemorySource, MemoryTopic
from consumer.sources.record import Unreadable
from tests.consumer import helpers

eventually = functools.partial(helpers.eventually, timeout=60)

SETTINGS = Settings(kafka_topic="table", kafka_silence_seconds=2.0)


@pytest.fixture
def topic():
    return MemoryTopic(partitions=1, name="table")


@pytest.fixture
def start():
    """Start tables over sources; they are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def start(open_source):
            table = CompactedTopic(SETTINGS, open_source, poll_seconds=0.02)
            table.start()
            stack.callback(table.stop)
            return table

        yield start


@pytest.fixture
def table(topic, start):
    return start(lambda _: MemorySource(topic))


def put(topic, *pairs):
    for key, value in pairs:
        topic.append(value, key=key)


def values(table):
    """Return what the table gives; None while it gives nothing."""
    with contextlib.suppress(NotCurrent):
        return dict(table.read().values)
    return None


def test_the_last_value_of_each_key_is_given(topic, table):
    put(topic, (b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"b", None), (b"c", b"4"))
    eventually(lambda: values(table) == {b"a": b"3", b"c": b"4"})
    assert list(table.read().values) == [b"a", b"c"], "the one that was written last comes last"


def test_a_tombstone_removes_a_key(topic, table):
    put(topic, (b"a", b"1"))
    eventually(lambda: values(table) == {b"a": b"1"})
    put(topic, (b"a", None))
    eventually(lambda: values(table) == {})


class CountingSource(MemorySource):
    """Counts how often high watermarks are forgotten."""

    forgotten = 0

    def forget_high_watermarks(self):
        self.forgotten += 1
        super().forget_high_watermarks()


@pytest.mark.slow
def test_after_the_silence_of_a_leader_only_later_fetches_count(topic, start):
    source = CountingSource(topic)
    table = start(lambda _: source)
    eventually(lambda: values(table) == {})
    topic.set(leaderless={0})
    eventually(lambda: table.missing == SILENT and source.forgotten)
    topic.set(leaderless=set())
    eventually(lambda: values(table) == {})
    assert source.forgotten == 1, "once for each silence"


def test_an_empty_topic_is_current(table):
    eventually(lambda: values(table) == {})


def test_nothing_is_given_before_the_whole_topic_is_read(topic, start):
    topic.set(reachable=False)
    put(topic, *((b"%d" % number, b"x") for number in range(1_000)))
    table = start(lambda _: MemorySource(topic, batch=1))
    with pytest.raises(NotCurrent, match="Kafka has not answered yet"):
        table.read()
    topic.set(reachable=True)
    found = []
    eventually(lambda: found.append(values(table)) or found[-1])
    assert [len(each) for each in found if each is not None] == [1_000]


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"exists": False}, "topic table does not exist, or may not be read"), ({}, "has 2 partitions; allowed: 1")],
)
def test_a_topic_that_can_not_be_used_is_named(start, changes, why):
    topic = MemoryTopic(partitions=1 if changes else 2, name="table")
    topic.set(**changes)
    table = start(lambda _: MemorySource(topic))
    eventually(lambda: table.missing and why in table.missing)
    with pytest.raises(NotCurrent, match=why):
        table.read()


def test_a_topic_is_read_once_it_is_created(topic, start):
    topic.set(exists=False)
    table = start(lambda _: MemorySource(topic))
    eventually(lambda: table.missing and "does not exist" in table.missing)
    topic.set(exists=True)
    put(topic, (b"a", b"1"))
    eventually(lambda: values(table) == {b"a": b"1"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("away", "back"), [({"reachable": False}, {"reachable": True}), ({"leaderless": {0}}, {"leaderless": set()})]
)
def test_nothing_is_given_during_an_outage_and_all_after_it(topic, table, away, back):
    put(topic, (b"a", b"1"))
    eventually(lambda: values(table) == {b"a": b"1"})
    topic.set(**away)
    put(topic, (b"b", b"2"))
    eventually(lambda: table.missing == SILENT)
    assert values(table) is None
    topic.set(**back)
    eventually(lambda: values(table) is not None)
    assert values(table) == {b"a": b"1", b"b": b"2"}, "never what it was before"


def test_a_recreated_topic_is_read_again(topic, table):
    put(topic, (b"a", b"1"))
    eventually(lambda: values(table) == {b"a": b"1"})
    topic.recreate(1, b"memory-2")
    eventually(lambda: values(table) == {})
    put(topic, (b"b", b"2"))
    eventually(lambda: values(table) == {b"b": b"2"})


def test_a_topic_that_is_deleted_and_created_again_is_another_one(topic, table):
    put(topic, (b"a", b"1"))
    eventually(lambda: values(table) == {b"a": b"1"})
    topic.set(exists=False)
    eventually(lambda: table.missing and "does not exist" in table.missing)
    assert values(table) is None
    topic.recreate(1, b"memory-2")
    topic.set(exists=True)
    put(topic, (b"b", b"2"))
    eventually(lambda: values(table) == {b"b": b"2"})


class LateSource(MemorySource):
    """Knows a topic before its bounds."""

    late = 2

    def bounds(self):
        self.late -= 1
        return {} if self.late >= 0 else super().bounds()


def test_a_topic_without_bounds_is_asked_for_again(topic, start, caplog):
    put(topic, (b"a", b"1"))
    table = start(lambda _: LateSource(topic))
    eventually(lambda: values(table) == {b"a": b"1"})
    assert "failed" not in caplog.text


def test_a_long_history_leaves_the_last_value_of_each_key(topic, start):
    for number in range(20_000):
        put(topic, (b"%d" % (number % 5_000), None if number % 7 == 0 else b"%d" % number))
    wanted = {}
    for number in range(20_000):
        wanted.pop(number % 5_000, None)
        if number % 7:
            wanted[number % 5_000] = number
    table = start(lambda _: MemorySource(topic))
    eventually(lambda: values(table) is not None)
    kept = list(wanted.items())[-compacted.MAX_KEYS :]
    assert len(kept) == compacted.MAX_KEYS
    assert list(table.read().values.items()) == [(b"%d" % key, b"%d" % value) for key, value in kept]


def test_records_that_the_log_has_lost_are_lost(topic, table):
    put(topic, (b"a", b"1"), (b"b", b"2"))
    eventually(lambda: values(table) == {b"a": b"1", b"b": b"2"})
    topic.truncate(0, 1)
    eventually(lambda: values(table) == {b"a": b"1"})


def test_a_log_that_begins_later_is_read_from_there(topic, start):
    put(topic, (b"a", b"1"), (b"b", b"2"))
    topic.set(begins=[1])
    table = start(lambda _: MemorySource(topic))
    eventually(lambda: values(table) == {b"b": b"2"})


def test_keys_that_were_written_first_make_room(topic, table, monkeypatch):
    monkeypatch.setattr(compacted, "MAX_KEYS", 2)
    put(topic, (b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"c", b"4"))
    eventually(lambda: values(table) == {b"a": b"3", b"c": b"4"})


def test_bytes_are_bounded(topic, table, monkeypatch):
    monkeypatch.setattr(compacted, "MAX_BYTES", 25)
    put(topic, (b"a", b"x" * 9), (b"b", b"x" * 9), (b"b", b"y" * 9), (b"c", b"x" * 9), (b"c", None), (b"d", b"x" * 9))
    eventually(lambda: values(table) == {b"b": b"y" * 9, b"d": b"x" * 9})


def test_what_is_too_large_or_has_no_key_is_left_out(topic, table):
    put(topic, (b"a", b"1"), (b"a", b"x" * 16_384), (None, b"2"))
    topic.append(None, key=None, unreadable=Unreadable(3, "damaged"))
    put(topic, (b"b", b"3"))
    eventually(lambda: values(table) == {b"b": b"3"})


@pytest.mark.parametrize("error", [SourceError("refused"), RuntimeError("a bug")])
def test_after_an_error_another_source_reads_on(topic, start, error, monkeypatch):
    monkeypatch.setattr(compacted, "RETRY_SECONDS", 0.01)
    errors = [error, error]

    def open_source(settings):
        if errors:
            raise errors.pop()
        return MemorySource(topic)

    put(topic, (b"a", b"1"))
    table = start(open_source)
    eventually(lambda: values(table) == {b"a": b"1"})
    assert errors == []


def test_a_writer_can_wait_until_its_record_is_read(topic, table):
    record = topic.append(b"1", key=b"a")
    table.wait_for(record.offset, 60)
    assert values(table) == {b"a": b"1"}
    with pytest.raises(NotCurrent, match="has not been read yet"):
        table.wait_for(record.offset + 1, 0.01)


def test_a_wait_ends_with_the_process(table):
    eventually(lambda: values(table) == {})
    waiting = threading.Timer(0.05, table.stop)
    waiting.start()
    with pytest.raises(NotCurrent):
        table.wait_for(5, 600)
    waiting.join()


def test_each_source_is_closed(topic, table):
    eventually(lambda: values(table) == {})
    table.stop()
    eventually(lambda: topic.closed == topic.opened == 1)


def test_records_that_are_left_out_are_logged_together(topic, start, caplog):
    for _ in range(100):
        topic.append(b"a", key=None)
    put(topic, (b"large", b"x" * compacted.MAX_RECORD_BYTES), (b"a", b"1"))
    table = start(lambda _: MemorySource(topic))
    eventually(lambda: values(table) == {b"a": b"1"})
    found = [each.getMessage() for each in caplog.records if "have no key" in each.getMessage()]
    assert sum(int(text.split()[2]) for text in found) == 101
    assert len(found) < 10
