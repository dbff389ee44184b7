"""Refused messages: what is counted, kept and logged, and that none of it grows or floods."""

import json
import logging
import threading

import pytest

from consumer.messages.quarantine import Quarantine
from consumer.parsing.refusal import Refusal
from consumer.sources.record import Record

WALL = 1737468302.5  # 2025-01-21T14:05:02.500Z
BAD_TIME = Refusal(None, "bad_time", "timestamp is 'soon'")


class Clock:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.1

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quarantine(clock: Clock) -> Quarantine:
    return Quarantine(3, clock=clock, wall=lambda: WALL)


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "greenwave.quarantine")


def record(offset: int = 7, value: bytes | None = b"{}", key: bytes | None = None) -> Record:
    return Record("traffic-predictions", 2, offset, 0, key, value)


def test_a_refusal_that_stands_for_many_items_counts_as_many(
    quarantine: Quarantine, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    quarantine.add(record(), [Refusal(0, "not_an_object", "a number"), Refusal(1, "not_an_object", "more", 41)])
    snapshot = quarantine.snapshot()
    assert (snapshot["total"], snapshot["by_reason"]) == (42, {"not_an_object": 42})
    assert [each["items"] for each in snapshot["messages"]] == [41, 1]
    clock.now += 60
    quarantine.add(record(8), [Refusal(None, "not_an_object", "a number")])
    assert caplog.messages[-1].endswith("(41 more of this reason since the last line)")


def test_the_first_and_last_refusal_of_a_reason_are_dated() -> None:
    times = iter([WALL, WALL, WALL + 1, WALL + 1, WALL + 2, WALL + 2])
    quarantine = Quarantine(3, wall=lambda: next(times))
    for offset in range(3):
        quarantine.add(record(offset), [BAD_TIME])
    assert quarantine.times_of("bad_time") == ("2025-01-21T14:05:02.500Z", "2025-01-21T14:05:04.500Z")
    assert quarantine.times_of("not_json") is None


def test_nothing_refused_is_an_empty_snapshot(quarantine: Quarantine) -> None:
    assert quarantine.snapshot() == {"total": 0, "by_reason": {}, "messages": []}


def test_a_refused_message_is_kept_with_its_place_reason_and_content(quarantine: Quarantine) -> None:
    quarantine.add(record(value='{"süd": 1}'.encode(), key=b"LA_001"), [BAD_TIME])
    assert quarantine.snapshot() == {
        "total": 1,
        "by_reason": {"bad_time": 1},
        "messages": [
            {
                "topic": "traffic-predictions",
                "partition": 2,
                "offset": 7,
                "index": None,
                "reason": "bad_time",
                "detail": "timestamp is 'soon'",
                "time": "2025-01-21T14:05:02.500Z",
                "key": "LA_001",
                "value": '{"süd": 1}',
                "items": 1,
                "size_bytes": 11,
            }
        ],
    }


def test_every_refused_item_counts_by_its_reason(quarantine: Quarantine) -> None:
    quarantine.add(record(), [Refusal(0, "no_segment", ""), Refusal(2, "bad_time", ""), Refusal(3, "bad_time", "")])
    quarantine.add(record(8), [BAD_TIME])
    snapshot = quarantine.snapshot()
    assert (snapshot["total"], snapshot["by_reason"]) == (4, {"no_segment": 1, "bad_time": 3})


def test_only_the_last_are_kept_newest_first(quarantine: Quarantine) -> None:
    for offset in range(10):
        quarantine.add(record(offset), [BAD_TIME])
    assert [message["offset"] for message in quarantine.snapshot()["messages"]] == [9, 8, 7]
    assert quarantine.snapshot()["total"] == 10


def test_of_an_array_the_last_refused_items_are_kept(quarantine: Quarantine) -> None:
    quarantine.add(record(), [Refusal(index, "no_segment", "") for index in range(100_000)])
    assert [message["index"] for message in quarantine.snapshot()["messages"]] == [99_999, 99_998, 99_997]
    assert quarantine.snapshot()["total"] == 100_000


def test_of_a_large_message_only_the_beginning_is_kept(quarantine: Quarantine) -> None:
    quarantine.add(record(value=b"x" * 1_000_000, key=b"k" * 10_000), [Refusal(None, "not_json", "d" * 10_000)])
    (message,) = quarantine.snapshot()["messages"]
    assert (message["value"], message["key"], message["detail"]) == ("x" * 512, "k" * 256, "d" * 1000)
    assert message["size_bytes"] == 1_000_000


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (None, None),
        (b"", ""),
        (b"\xff\x00a\xfe", "\\xff\x00a\\xfe"),
        (b"x" * 511 + "ü".encode(), "x" * 511),
    ],
    ids=["tombstone", "empty", "not UTF-8", "a character that the cut goes through"],
)
def test_any_bytes_are_shown_as_text(quarantine: Quarantine, raw: bytes | None, text: str | None) -> None:
    quarantine.add(record(value=raw), [BAD_TIME])
    (message,) = quarantine.snapshot()["messages"]
    assert message["value"] == text
    assert message["size_bytes"] == len(raw or b"")
    assert json.loads(json.dumps(message).encode()) == message


def test_the_first_of_each_reason_is_logged_at_once_with_its_place(
    quarantine: Quarantine, caplog: pytest.LogCaptureFixture
) -> None:
    quarantine.add(record(), [BAD_TIME])
    quarantine.add(record(8), [Refusal(4, "no_segment", "neither is given")])
    assert caplog.messages == [
        "refused (bad_time): topic=traffic-predictions partition=2 offset=7: timestamp is 'soon'",
        "refused (no_segment): topic=traffic-predictions partition=2 offset=8 item 4: neither is given",
    ]


def test_one_log_line_per_reason_in_ten_seconds_with_the_count(
    quarantine: Quarantine, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for offset in range(1_000):
        quarantine.add(record(offset), [BAD_TIME])
    clock.now += 9.9
    quarantine.add(record(1_000), [BAD_TIME])
    assert len(caplog.messages) == 1
    clock.now += 0.2
    quarantine.add(record(1_001), [BAD_TIME])
    assert len(caplog.messages) == 2
    assert caplog.messages[1].endswith(
        "offset=1001: timestamp is 'soon' (1000 more of this reason since the last line)"
    )
    assert quarantine.snapshot()["total"] == 1_002


def test_the_other_items_of_one_array_count_as_not_logged(
    quarantine: Quarantine, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    quarantine.add(record(), [Refusal(0, "no_segment", "a"), Refusal(1, "no_segment", "b")])
    clock.now += 11
    quarantine.add(record(8), [Refusal(0, "no_segment", "c")])
    assert [line.partition(": ")[2] for line in caplog.messages] == [
        "topic=traffic-predictions partition=2 offset=7 item 0: a",
        "topic=traffic-predictions partition=2 offset=8 item 0: c (1 more of this reason since the last line)",
    ]


@pytest.mark.parametrize("poison", ["a\nb", "a\r\nFAKE", "\x1b[31m", "\u2028", "\u202e", "\ud800", "%s %d"])
def test_no_value_breaks_a_log_line(quarantine: Quarantine, caplog: pytest.LogCaptureFixture, poison: str) -> None:
    quarantine.add(record(value=poison.encode(errors="replace")), [Refusal(None, "bad_time", poison)])
    assert len(caplog.messages) == 1
    assert caplog.messages[0].isprintable()
    assert quarantine.snapshot()["messages"][0]["detail"].isprintable()


def test_readers_see_a_whole_picture_while_messages_are_added(clock: Clock) -> None:
    quarantine = Quarantine(50, clock=clock)
    begin = threading.Barrier(5)
    wrong: list[object] = []

    def look() -> None:
        begin.wait()
        while (snapshot := quarantine.snapshot())["total"] < 4000:
            offsets = [message["offset"] for message in snapshot["messages"]]
            if offsets != sorted(offsets, reverse=True) or snapshot["total"] != sum(snapshot["by_reason"].values()):
                wrong.append(snapshot)

    readers = [threading.Thread(target=look) for _ in range(4)]
    for reader in readers:
        reader.start()
    begin.wait()
    for offset in range(2000):
        quarantine.add(record(offset), [BAD_TIME, Refusal(1, "no_segment", "")])
    for reader in readers:
        reader.join(10)
    assert not any(reader.is_alive() for reader in readers)
    assert not wrong
    assert len(quarantine.snapshot()["messages"]) == 50
