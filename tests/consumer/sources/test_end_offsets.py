"""Questions for the end offsets: one at a time, off the reader's thread, and no end before what was read."""

import pytest
from kafka.errors import KafkaTimeoutError
from kafka.future import Future

from consumer.sources.end_offsets import EndOffsets
from consumer.sources.record import MAX_OFFSET, Partition

A, B = Partition("topic", 0), Partition("topic", 1)


class Manager:
    """Keeps the questions that are asked."""

    def __init__(self):
        self.questions = []

    def call_soon(self, _ask, _partitions):
        self.questions.append(Future())
        return self.questions[-1]


@pytest.fixture
def manager():
    return Manager()


def test_end_offsets_are_requested_once_and_returned_when_they_came(manager):
    ends = EndOffsets(manager)
    assert ends.since(5.0, {A: 3, B: 0}) is None
    assert ends.since(5.0, {A: 3, B: 0}) is None
    (question,) = manager.questions
    question.success({A: 7, B: 0})
    found, asked = ends.since(5.0, {A: 9, B: 0})
    assert (found, asked >= 5.0) == ({A: 7, B: 0}, True)
    assert ends.since(asked, {A: 9, B: 0}) == ({A: 7, B: 0}, asked)
    assert ends.since(asked + 0.01, {A: 9, B: 0}) is None
    assert len(manager.questions) == 1, "the next one waits a second"


def test_end_before_the_position_is_no_end(manager):
    ends = EndOffsets(manager)
    ends.since(0.0, {A: 100, B: 0})
    manager.questions[0].success({A: 1, B: 0})
    assert ends.since(0.0, {A: 100, B: 0})[0] == {A: MAX_OFFSET, B: 0}


def test_failed_request_is_sent_again(manager, monkeypatch):
    monkeypatch.setattr("consumer.sources.end_offsets.INTERVAL_SECONDS", 0)
    ends = EndOffsets(manager)
    ends.since(0.0, {A: 0, B: 0})
    manager.questions[0].failure(KafkaTimeoutError("no answer"))
    assert ends.since(0.0, {A: 0, B: 0}) is None
    assert len(manager.questions) == 2


def test_end_offsets_from_before_a_partition_was_found_are_not_returned(manager, monkeypatch):
    monkeypatch.setattr("consumer.sources.end_offsets.INTERVAL_SECONDS", 0)
    ends = EndOffsets(manager)
    ends.since(0.0, {A: 3})
    manager.questions[0].success({A: 7})
    assert ends.since(0.0, {A: 3})[0] == {A: 7}
    assert ends.since(0.0, {A: 3, B: 0}) is None
    manager.questions[1].success({A: 7, B: 5})
    assert ends.since(0.0, {A: 3, B: 0})[0] == {A: 7, B: 5}
    assert ends.since(0.0, {A: 3})[0] == {A: 7, B: 5}
