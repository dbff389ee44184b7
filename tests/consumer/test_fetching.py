"""Batches that can't be unpacked: fetched once more, then one record each, and what surrounds them is read. And what is
known of answers that wait to be read."""

import itertools
from collections import deque
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.errors import NotLeaderForPartitionError
from kafka.record import MemoryRecords
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.record.util import calc_crc32c

from consumer.fetching import Answers, _PartitionRecords
from consumer.record import Unreadable
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
    """Reads one partition as the client does: takes records of an answer, then fetches anew where reading goes on."""

    def __init__(self, answer):
        self.answer = answer
        self.doubted = {}
        self.position = 10
        self.answers = 0

    def read(self, end=20):
        found = []
        while self.position < end:
            assert self.answers < 50, "it goes round"
            found += self.one(self.answer(self.position, self.answers))
        return found

    def one(self, data):
        self.answers += 1
        found, part = [], _PartitionRecords(self.doubted, self.position, PARTITION, MemoryRecords(data))
        while part:
            found += [each.value if isinstance(each.value, Unreadable) else each.offset for each in part.take(3)]
            assert len(found) < 50, "it goes round"
        self.position = part.next_fetch_offset
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


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("at", [-1, RECORDS_COUNT, LAST_OFFSET_DELTA + 3], ids=["body", "count", "last offset"])
def test_a_damaged_batch_costs_its_own_records_and_no_others(number, at):
    made = batches()
    made[number][at] ^= 1
    found = Reader(served(made)).read()
    assert good(found) == flat(OFFSETS[:number] + OFFSETS[number + 1 :])
    if at == -1:
        assert lost(found) == [SIZES[number]]


def test_a_damage_of_the_way_costs_nothing():
    sound, damaged = batches(), batches()
    damaged[1][-1] ^= 1
    reader = Reader(lambda position, answers: served(damaged if answers == 0 else sound)(position, answers))
    assert reader.read() == flat(OFFSETS)
    assert reader.answers == 2


def test_many_batches_of_an_unknown_compression_cost_one_fetch_more_for_all_of_an_answer():
    made = batches()
    for batch in made[:3]:
        with_codec(7, batch)
    reader = Reader(served(made))
    found = reader.read()
    assert (lost(found), good(found)) == ([2, 3, 1], OFFSETS[3])
    assert reader.answers == 2
    assert found[0].why == "UnsupportedCodecError: Unrecognized compression type: 7"


def test_of_a_batch_that_is_read_from_its_middle_on_the_rest_is_lost():
    made = batches()
    made[1][-1] ^= 1
    reader = Reader(served(made))
    reader.position = 13
    assert lost(reader.read()) == [2]


def test_messages_of_an_old_format_are_read_around_damage():
    made = batches(compression=1, magic=1)
    made[1][-1] ^= 1
    found = Reader(served(made)).read()
    assert (good(found), lost(found)) == (flat(OFFSETS[:1] + OFFSETS[2:]), [3])


def test_a_compacted_batch_of_an_unknown_compression_counts_what_is_left_in_it():
    made = batches()
    made[1][RECORDS_COUNT : RECORDS_COUNT + 4] = (2).to_bytes(4)
    with_codec(7, made[1])
    assert lost(Reader(served(made)).read()) == [2]


@given(st.integers(0, 3), st.data())
def test_whatever_byte_is_wrong_reading_goes_on_and_the_batches_before_it_are_whole(number, data):
    made = batches()
    at = data.draw(st.integers(12, len(made[number]) - 1))  # a broker can't find a batch of a wrong length or offset
    made[number][at] ^= data.draw(st.integers(1, 255))
    found = Reader(served(made)).read()
    assert [each for each in good(found) if each < OFFSETS[number][0]] == flat(OFFSETS[:number])
    assert set(flat(OFFSETS[number + 1 :])) <= set(good(found))


class Fetcher:
    """What Answers needs of the client's fetcher: answers that came and wait, and the one that is being read."""

    def __init__(self):
        self._completed_fetches = deque()
        self._next_partition_records = None

    def _handle_fetch_response(self, node, fetch_offsets, sent, response):
        (partition,) = response.responses[0].partitions
        self._completed_fetches.append(SimpleNamespace(topic_partition=PARTITION, partition_data=partition))

    def _parse_fetched_data(self, fetch):
        return fetch


def answer_comes(fetcher, sent, error=0):
    partition = SimpleNamespace(partition_index=PARTITION.partition, error_code=error)
    response = SimpleNamespace(responses=[SimpleNamespace(partitions=[partition])])
    fetcher._handle_fetch_response(1, {}, sent, response)


def test_a_high_watermark_is_as_old_as_the_question_for_it_however_late_it_is_read():
    fetcher = Fetcher()
    answers = Answers(fetcher, SimpleNamespace(_conns={}))
    answers.expect([0])
    answer_comes(fetcher, sent=12.5)
    assert answers.asked == {}, "it was not read yet"
    fetcher._parse_fetched_data(fetcher._completed_fetches.popleft())
    assert answers.asked == {0: 12.5}
    answer_comes(fetcher, sent=20.0)
    assert answers.asked == {0: 12.5}
    answers.expect([0])
    assert answers.asked == {}, "the partition was assigned anew"


def test_an_error_says_neither_where_a_partition_ends_nor_that_its_leader_is_there():
    fetcher = Fetcher()
    answers = Answers(fetcher, SimpleNamespace(_conns={}))
    answers.expect([0])
    answer_comes(fetcher, sent=12.5, error=NotLeaderForPartitionError.errno)
    eventually(lambda: min(answers.silent_seconds()) > 0.02)
    with answers.fetching():
        pass
    assert min(answers.silent_seconds()) > 0.02
    fetcher._parse_fetched_data(fetcher._completed_fetches.popleft())
    assert answers.asked == {}


@pytest.mark.parametrize("is_being_read", [False, True], ids=["waits to be read", "is being read"])
def test_a_partition_is_not_silent_that_is_not_asked_since_an_answer_of_it(is_being_read):
    fetcher = Fetcher()
    answers = Answers(fetcher, SimpleNamespace(_conns={}))
    answers.expect([0, 1])
    answer_comes(fetcher, sent=12.5)
    if is_being_read:
        fetcher._next_partition_records = fetcher._completed_fetches.popleft()
    eventually(lambda: min(answers.silent_seconds()) > 0.02)
    with answers.fetching():
        pass
    busy, silent = answers.silent_seconds()
    assert busy < 0.02 < silent
