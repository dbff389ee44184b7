"""What is put into the Kafka client: batches that can't be read, when a leader last answered, and the private names."""

import ast
import functools
import itertools
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import NotLeaderForPartitionError, RequestTimedOutError
from kafka.future import Future
from kafka.net.connection import KafkaConnection
from kafka.net.transport import KafkaTCPTransport
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.legacy_records import LegacyRecordBatch
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.record.util import calc_crc32c
from kafka.structs import OffsetAndMetadata

from consumer.settings import Settings
from consumer.sources import end_offsets, hooks, security
from consumer.sources import kafka as source
from consumer.sources.hooks import Answers, Manager
from consumer.sources.hooks import batches as hooked_batches
from consumer.sources.hooks.batches import _PartitionRecords
from consumer.sources.hooks.connections import FetchInFlight
from consumer.sources.hooks.fetches import ask_for_all_at_once, take_empty_answers_quickly
from consumer.sources.kafka import KafkaSource
from consumer.sources.record import Unreadable
from consumer.sources.unpacking import unpack
from tests.consumer.helpers import eventually

PARTITION = TopicPartition("topic", 0)
SIZES = (2, 3, 1, 4)
"""Records of each batch; their offsets begin at 10."""
OFFSETS = [[10, 11], [12, 13, 14], [15], [16, 17, 18, 19]]
LAST_OFFSET_DELTA = 23
RECORDS_COUNT = 57


def batches(compression=0, magic=2):
    """Return the bytes of each batch, with offsets as a broker gives them."""
    made = []
    for size, offsets in zip(SIZES, OFFSETS, strict=True):
        builder = MemoryRecordsBuilder(magic, compression, 100_000)
        for _ in range(size):
            builder.append(0, None, b"value")
        builder.close()
        # The old formats give a compressed set the offset of its last message.
        offset = offsets[0] if magic == 2 else offsets[-1]
        made.append(bytearray(offset.to_bytes(8)) + builder.buffer()[8:])
    return made


def with_codec(number, batch):
    """Return a batch whose header names a codec; its checksum is right."""
    batch[22] = number
    batch[17:21] = calc_crc32c(memoryview(batch)[21:]).to_bytes(4)
    return batch


class Reader:
    """Reads one partition as the client does: takes the records of an answer, then fetches from the next offset."""

    def __init__(self, answer):
        self.answer = answer
        self.doubted = {}
        self.position = 10
        self.epoch = -1
        self.answers = 0

    def read(self, end=20):
        found = []
        while self.position < end:
            assert self.answers < 50, "it goes round"
            found += self.one(self.answer(self.position, self.answers))
        return found

    def one(self, data):
        self.answers += 1
        subscriptions = Subscriptions(self.position, self.epoch)
        part = _PartitionRecords(self.doubted, subscriptions, self.position, PARTITION, MemoryRecords(data))
        found = []
        while part:
            found += [each.unreadable or each.offset for each in part.take(3)]
            assert len(found) < 50, "it goes round"
        self.position, self.epoch = part.next_fetch_offset, part.leader_epoch
        return found


def served(made, ends=(12, 15, 16, 20)):
    """Answer as a broker does: from the batch on that holds the offset."""

    def answer(position, _answers):
        first = next(number for number, end in enumerate(ends) if position < end)
        return b"".join(made[first:])

    return answer


def flat(lists):
    return list(itertools.chain(*lists))


def good(found):
    return [each for each in found if not isinstance(each, Unreadable)]


def lost(found):
    return [each.messages for each in found if isinstance(each, Unreadable)]


NUMBERS_OF_BYTES = st.sampled_from([None, 0, 1, 31, 32, 63, 64, 4_095, 4_096, 8_191, 8_192, 20_000])
"""Around the ends of numbers of one, two and three bytes."""


@given(
    st.lists(
        st.tuples(NUMBERS_OF_BYTES, NUMBERS_OF_BYTES, st.sampled_from([-70, 0, 63, 64, 8_192])), min_size=1, max_size=70
    )
)
def test_records_of_any_size_are_read_as_the_client_reads_them(wanted):
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 30)
    for offset, (key, value, late_ms) in enumerate(wanted):
        text = [None if size is None else b"x" * size for size in (key, value)]
        builder.append(offset, 1_700_000_000_000 + late_ms, *text, [])
    raw = bytes(builder.build())
    theirs = [(each.offset, each.timestamp, each.key, each.value) for each in MemoryRecords(raw).next_batch()]
    batch = MemoryRecords(raw).next_batch()
    batch.__class__ = hooked_batches._Batch
    assert [(each.offset, each.timestamp_ms, each.key, each.value) for each in batch.records("topic", 0)] == theirs


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("at", [-1, RECORDS_COUNT, LAST_OFFSET_DELTA + 3], ids=["body", "count", "last offset"])
def test_damaged_batch_costs_its_own_records_alone(number, at):
    made = batches()
    made[number][at] ^= 1
    found = Reader(served(made)).read()
    assert good(found) == flat(OFFSETS[:number] + OFFSETS[number + 1 :])
    if at == -1:
        assert lost(found) == [SIZES[number]]


def test_damage_in_transit_costs_nothing():
    sound, damaged = batches(), batches()
    damaged[1][-1] ^= 1
    reader = Reader(lambda position, answers: served(damaged if answers == 0 else sound)(position, answers))
    assert reader.read() == flat(OFFSETS)
    assert reader.answers == 2


def test_unknown_compression_costs_one_more_fetch_per_answer():
    made = batches()
    for batch in made[:3]:
        with_codec(7, batch)
    reader = Reader(served(made))
    found = reader.read()
    assert (lost(found), good(found)) == ([2, 3, 1], OFFSETS[3])
    assert reader.answers == 2
    assert found[0].why == "UnsupportedCodecError: Unrecognized compression type: 7"


def test_damaged_batch_read_from_its_middle_counts_the_rest():
    made = batches()
    made[1][-1] ^= 1
    reader = Reader(served(made))
    reader.position = 13
    assert lost(reader.read()) == [2]


def test_a_partition_that_had_records_is_asked_for_after_the_others():
    moved = []
    fetcher = SimpleNamespace(_subscriptions=SimpleNamespace(move_partition_to_end=moved.append))
    on_drain = functools.partial(Fetcher._on_partition_records_drain, fetcher)
    data = MemoryRecords(b"".join(batches()))
    part = _PartitionRecords({}, Subscriptions(10, -1), 10, PARTITION, data, on_drain=on_drain)
    assert len(part.take()) == sum(SIZES)
    assert moved == [PARTITION]


def test_damage_in_an_old_message_format_is_read_around():
    made = batches(compression=1, magic=1)
    made[1][-1] ^= 1
    found = Reader(served(made)).read()
    assert (good(found), lost(found)) == (flat(OFFSETS[:1] + OFFSETS[2:]), [3])


def test_unreadable_compacted_batch_counts_its_remaining_records():
    made = batches()
    made[1][RECORDS_COUNT : RECORDS_COUNT + 4] = (2).to_bytes(4)
    with_codec(7, made[1])
    assert lost(Reader(served(made)).read()) == [2]


@given(st.integers(0, 3), st.data())
def test_any_wrong_byte_leaves_the_batches_before_it_whole(number, data):
    made = batches()
    at = data.draw(st.integers(12, len(made[number]) - 1))  # a broker can't find a batch of a wrong length or offset
    made[number][at] ^= data.draw(st.integers(1, 255))
    found = Reader(served(made)).read()
    assert [each for each in good(found) if each < OFFSETS[number][0]] == flat(OFFSETS[:number])
    assert set(flat(OFFSETS[number + 1 :])) <= set(good(found))


def test_header_key_that_is_not_utf_8_costs_nothing():
    made = batches()
    builder = MemoryRecordsBuilder(2, 0, 100_000)
    for header in ("x", "K", "x"):
        builder.append(0, None, b"value", [(header, b"y")])
    builder.close()
    raw = builder.buffer()
    raw = raw.replace(b"\x02K\x02y", b"\x02\xff\x02y")
    made[1] = with_codec(0, bytearray((12).to_bytes(8) + raw[8:]))
    assert Reader(served(made)).read() == flat(OFFSETS)


@pytest.mark.parametrize(("magic", "codec"), [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3), (2, 4)])
def test_batch_that_unpacks_to_too_much_is_one_refusal(codec, magic, monkeypatch):
    monkeypatch.setattr(hooked_batches, "unpack", lambda codec, data: unpack(codec, data, limit=1_000))
    made = batches(codec, magic)
    builder = MemoryRecordsBuilder(magic, codec, 100_000)
    builder.append(0, None, b"x" * 50_000)
    builder.close()
    made[2] = bytearray((15).to_bytes(8) + builder.buffer()[8:])
    found = Reader(served(made)).read()
    assert (good(found), lost(found)) == (flat(OFFSETS[:2] + OFFSETS[3:]), [1])
    (refused,) = [each for each in found if isinstance(each, Unreadable)]
    assert refused.why == "BatchTooLarge: the batch unpacks to more than 1000 bytes"


def test_answer_without_records_keeps_the_leader_epoch():
    part = _PartitionRecords({}, Subscriptions(10, 7), 10, PARTITION, MemoryRecords(b""))
    assert part.take(3) == []
    assert (part.next_fetch_offset, part.leader_epoch) == (10, 7)


class Subscriptions:
    """Where one partition is read, as the client keeps it."""

    def __init__(self, offset, epoch):
        self._position = OffsetAndMetadata(offset, "", epoch)

    def position(self, _partition):
        return self._position


class Connections:
    """What Answers needs of the manager: fetches in flight, and signs of life of each node."""

    def __init__(self):
        self.fetches = {}
        self.throttled_until = {}
        self.read_at = {}

    def connection(self, node):
        return f"connection to {node}"

    def last_sign(self, node, sent):
        return max(sent, self.read_at.get(node, sent))


def fetcher_with(*answers, current=None):
    """Return what Answers needs of the fetcher: answers that came and wait, and the one that is being read."""
    return SimpleNamespace(_completed_fetches=deque(answers), _next_partition_records=current)


def waiting(partition, error=0):
    """Return an answer as it waits to be read."""
    return SimpleNamespace(
        topic_partition=TopicPartition("topic", partition), partition_data=SimpleNamespace(error_code=error)
    )


def answer_comes(manager, *partitions, error=0, throttle_time_ms=0, asked=(0,), sent=None):
    """Deliver an answer to a fetch, with these of the requested partitions; return that of the first."""
    parts = [SimpleNamespace(partition_index=each, error_code=error, high_watermark=7) for each in partitions]
    response = SimpleNamespace(
        responses=[SimpleNamespace(topic="topic", partitions=parts)], throttle_time_ms=throttle_time_ms
    )
    manager.on_fetched(1, FetchInFlight(sent or time.monotonic(), frozenset(map(numbered, asked))), response)
    return parts[0] if parts else None


def numbered(partition):
    return TopicPartition("topic", partition)


def silent_for(answers, seconds=0.02):
    eventually(lambda: min(answers.silent_seconds().values()) > seconds)


def test_error_is_no_answer_of_a_leader():
    manager = Connections()
    answers = Answers(fetcher_with(waiting(0, NotLeaderForPartitionError.errno)), manager)
    answers.expect([PARTITION])
    silent_for(answers)
    answer_comes(manager, 0, error=NotLeaderForPartitionError.errno)
    with answers.fetching():
        pass
    assert min(answers.silent_seconds().values()) > 0.02


@pytest.mark.parametrize("is_being_read", [False, True], ids=["waits to be read", "is being read"])
def test_partition_is_not_silent_while_its_answer_waits(is_being_read):
    current = SimpleNamespace(topic_partition=TopicPartition("topic", 0)) if is_being_read else None
    answers = Answers(fetcher_with(*([] if is_being_read else [waiting(0)]), current=current), Connections())
    answers.expect(map(numbered, [0, 1]))
    silent_for(answers)
    with answers.fetching():
        pass
    busy, silent = answers.silent_seconds().values()
    assert busy < 0.02 < silent


def test_part_of_an_answer_ends_the_silence_of_its_partitions():
    manager = Connections()
    answers = Answers(fetcher_with(), manager)
    answers.expect(map(numbered, [0, 1, 2]))
    silent_for(answers)
    sent = time.monotonic()
    manager.fetches = {
        1: FetchInFlight(sent, frozenset(map(numbered, [0, 1]))),
        2: FetchInFlight(sent, frozenset(map(numbered, [2]))),
    }
    manager.read_at = {1: time.monotonic()}
    assert [each > 0.02 for each in answers.silent_seconds().values()] == [False, False, True]
    assert answers.last == manager.read_at[1]


def test_silence_counts_from_the_end_of_a_throttle():
    manager = Connections()
    answers = Answers(fetcher_with(), manager)
    answers.expect(map(numbered, [0, 1]))
    silent_for(answers)
    answer_comes(manager, throttle_time_ms=100, asked=[0])
    throttled, other = answers.silent_seconds().values()
    assert (throttled, other > 0.02) == (0, True)
    eventually(lambda: answers.silent_seconds()[PARTITION] > 0.02)


def test_only_fetches_sent_after_a_reset_give_a_high_watermark():
    manager = Connections()
    unread = waiting(0)
    unread.partition_data.high_watermark = 7
    answers = Answers(fetcher_with(unread), manager)
    answers.expect([PARTITION])
    before = time.monotonic()
    answers.ignore_high_watermarks()
    in_flight = answer_comes(manager, 0, sent=before)
    fresh = answer_comes(manager, 0, sent=time.monotonic())
    marks = [each.high_watermark for each in (unread.partition_data, in_flight, fresh)]
    assert marks == [-1, -1, 7]


def test_no_fetch_is_sent_while_records_are_unread():
    fetcher = SimpleNamespace(fetched_records=lambda **_: ({}, False), _next_partition_records=None)
    ask_for_all_at_once(fetcher)
    assert fetcher.fetched_records(max_records=1) == ({}, False)
    fetcher._next_partition_records = ["left"]
    assert fetcher.fetched_records(max_records=1) == ({}, True)


def completed(offset, records=b"", error=0, high_watermark=12):
    """Return the answer for a partition that was read up to `offset`, as it waits to be read."""
    data = SimpleNamespace(
        records=records, error_code=error, diverging_epoch=None, high_watermark=high_watermark, last_stable_offset=-1
    )
    return SimpleNamespace(topic_partition=PARTITION, fetched_offset=offset, partition_data=data)


@pytest.mark.parametrize(
    ("answer", "is_parsed", "mark"),
    [
        (completed(10), False, 12),
        (completed(10, high_watermark=-1), False, 7),
        (completed(10, records=b"a batch"), True, 7),
        (completed(10, error=NotLeaderForPartitionError.errno), True, 7),
        (completed(9), True, 7),
    ],
    ids=["empty", "without a high watermark", "records", "error", "of a former position"],
)
def test_empty_answer_gives_its_high_watermark_alone(answer, is_parsed, mark):
    state, parsed = SimpleNamespace(highwater=7), []
    subscriptions = Subscriptions(10, 7)
    subscriptions.assignment, subscriptions.is_fetchable = {PARTITION: state}, lambda _partition: True
    fetcher = SimpleNamespace(_parse_fetched_data=parsed.append, _subscriptions=subscriptions)
    take_empty_answers_quickly(fetcher)
    assert fetcher._parse_fetched_data(answer) is None
    assert (parsed, state.highwater) == ([answer] if is_parsed else [], mark)


class Timer:
    """A connection whose time is set by hand, with requests in flight; `closed_by` is the one that ended it."""

    def __init__(self, *ages):
        now = time.monotonic()
        self.node_id, self.closed, self.closed_by, self.due = 1, False, None, []
        self.transport = SimpleNamespace(last_read=0.0)
        self.silences = {}
        self.net = SimpleNamespace(call_at=lambda due, _again: self.due.append(due - now))
        self.in_flight_requests = deque((number, Future(), now - age, 0, None) for number, age in enumerate(ages))

    def time_out(self, number, limit, throttled_until=()):
        """Let the time of a request be over."""
        _, future, sent, *_ = self.in_flight_requests[number]
        manager = SimpleNamespace(throttled_until=dict(throttled_until), _silences=self.silences)
        close = lambda future, *_: setattr(self, "closed_by", number)  # noqa: E731
        Manager._time_out(manager, self, close, future, sent, sent + limit)
        return future


def test_silent_connection_is_closed_when_a_request_times_out():
    connection = Timer(4.1)
    connection.time_out(0, 4)
    assert (connection.closed_by, connection.silences) == (0, {1: 1})


def test_connection_that_receives_bytes_is_kept():
    connection = Timer(4.1)
    connection.transport.last_read = time.monotonic() - 1
    connection.time_out(0, 4)
    assert (connection.closed_by, connection.due) == (None, [pytest.approx(3, abs=0.5)])


def test_throttled_connection_is_kept_until_after_the_throttle():
    connection = Timer(4.1)
    connection.time_out(0, 4, {1: time.monotonic() + 10})
    assert (connection.closed_by, connection.due) == (None, [pytest.approx(14, abs=0.5)])


def test_throttle_of_a_node_is_noted_and_not_shortened():
    manager, given, began = SimpleNamespace(throttled_until={}), [], time.monotonic()
    for throttle_ms in (10_000, 1_000, 0, None):
        response = SimpleNamespace(throttle_time_ms=throttle_ms)
        Manager._note_throttle(manager, SimpleNamespace(node_id=1), given.append, response)
    assert began + 10 <= manager.throttled_until[1] <= time.monotonic() + 10
    assert len(given) == 4, "the client does with each response what it always does"


def test_request_behind_a_slow_fetch_fails_alone():
    connection = Timer(8, 4.1)
    future = connection.time_out(1, 4)
    assert (type(future.exception), connection.closed_by) == (RequestTimedOutError, None)
    connection.in_flight_requests[0][1].success(None)
    assert connection.time_out(1, 4) is future


PRIVATE_NAMES = {
    "KafkaConsumer": ["_fetcher", "_subscription"],
    "Fetcher": [
        "_cached_log_truncation",
        "_clear_pending_fetch_request",
        "_completed_fetches",
        "_fetch_futures",
        "_manager",
        "_net",
        "_next_partition_records",
        "_parse_fetched_data",
        "_send_fetches_async",
        "_subscriptions",
        "PartitionRecords",
    ],
    "PartitionRecords": ["_unpack_records"],
    "ClusterMetadata": ["_refresh_loop_future"],
    "KafkaConnectionManager": ["_build_transport", "_conns", "_connect"],
    "KafkaTCPTransport": [
        "_closed",
        "_net",
        "_protocol",
        "_read",
        "_read_from_sock",
        "_sock",
        "_sock_recv",
        "_writing",
    ],
    "NetworkSelector": ["_current"],
    "KafkaConnection": ["_maybe_throttle", "_request_timed_out"],
    "DefaultRecordBatch": [
        "_assert_has_codec",
        "_buffer",
        "_decompressed",
        "_maybe_uncompress",
        "_pos",
    ],
    "LegacyRecordBatch": ["_assert_has_codec", "_decompress", "_read_key_value"],
}
"""The private names of kafka-python that consumer/sources/hooks uses, by their owner."""


@pytest.fixture
def owners():
    """Return what has the private names: parts of a client without a broker, and classes."""
    source = KafkaSource(Settings(kafka_brokers="127.0.0.1:1"))
    consumer = source._consumer
    yield {
        "KafkaConsumer": consumer,
        "Fetcher": consumer._fetcher,
        "PartitionRecords": _PartitionRecords.__mro__[1],
        "ClusterMetadata": source._cluster,
        "KafkaConnectionManager": source._manager,
        "KafkaTCPTransport": KafkaTCPTransport(None, None),
        "NetworkSelector": consumer._fetcher._net,
        "KafkaConnection": KafkaConnection,
        "DefaultRecordBatch": DefaultRecordBatch,
        "LegacyRecordBatch": LegacyRecordBatch,
    }
    source.close()


@pytest.mark.parametrize("owner", PRIVATE_NAMES)
def test_kafka_client_has_the_private_names_in_use(owner, owners):
    missing = [name for name in PRIVATE_NAMES[owner] if not hasattr(owners[owner], name)]
    assert not missing, f"this version of kafka-python has no {owner}.{', '.join(missing)}; see consumer/sources/hooks"


def private_names(path):
    """Return the private names that a module reads of other objects than its own, and those that it defines."""
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree))
    used = {each.attr for each in nodes if isinstance(each, ast.Attribute) and each.attr.startswith("_")}
    stored = {each.attr for each in nodes if isinstance(each, ast.Attribute) and is_stored_in_self(each)}
    return {each for each in used if not each.startswith("__")}, stored | {
        each.name for each in nodes if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def is_stored_in_self(attribute):
    return isinstance(attribute.ctx, ast.Store) and getattr(attribute.value, "id", "") == "self"


HOOKS = sorted(Path(hooks.__file__).parent.glob("*.py"))


def test_list_of_private_names_is_complete():
    used, own = map(set.union, *[private_names(path) for path in HOOKS])
    listed = set(flat(PRIVATE_NAMES.values()))
    assert used - own - listed == set()
    assert listed - used - own == {"PartitionRecords"}


@pytest.mark.parametrize("module", [source, end_offsets, security])
def test_no_other_module_uses_private_names_of_the_client(module):
    used, own = private_names(Path(module.__file__))
    assert used - own == set()
