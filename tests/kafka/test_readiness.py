"""What operators and clients see of a process on Apache Kafka: its lag, a topic of refused messages, equal replays."""

import threading

from cli.doctor import examine
from consumer.sources.kafka import KafkaSource
from consumer.view.cursor import Position, place
from tests.consumer.helpers import message
from tests.kafka.helpers import BOTH_CLIENTS, WAIT_SECONDS, changes, events_until, eventually, until_status

TIME_MS = 1_737_468_300_000


def test_process_that_falls_behind_is_not_ready_until_it_has_caught_up(apache, settings_for, consume, publish):
    is_fast = threading.Event()

    class Slow(KafkaSource):
        """Reads one record in 0.2 s."""

        def poll(self, timeout):
            is_fast.wait(0.2)
            return super().poll(timeout)

    settings = settings_for(apache.create_topic(partitions=1), max_lag=1)
    consumer = consume(settings, lambda settings: Slow(settings, max_poll_records=1))
    consumer.wait_ready(WAIT_SECONDS)
    publish(settings, *[message(f"S{number}") for number in range(50)])
    behind = until_status(consumer, lambda status: status.state == "catching_up")
    assert "MAX_LAG" in behind.reason
    assert not consumer.ready
    is_fast.set()
    consumer.wait_ready(WAIT_SECONDS)
    assert consumer.records == 50


@BOTH_CLIENTS
def test_replay_gives_the_predictions_that_memory_gives(apache, settings_for, consume, publish):
    """The producer adds a smaller horizon later; what is shown without horizon= changes then."""
    settings = settings_for(apache.create_topic(partitions=1))
    runs = [(15, 0), (15, 1), (5, 2), (15, 2), (5, 3), (15, 3)]
    values = [
        message(f"S{number}", TIME_MS + minute * 60_000, horizon_minutes=minutes)
        for minutes, minute in runs
        for number in range(50)
    ]
    publish(settings, *values, message("end", TIME_MS))
    given = []
    for entries in (10_000, 100):
        consumer = consume(settings_for(settings.topic, buffer_entries=entries))
        consumer.wait_ready(WAIT_SECONDS)
        start = Position(consumer.feed.position.incarnation, (place(0),))
        assert consumer.feed.records_since(start)[1] == (entries > len(values)), "from memory, or by a replay"
        events = events_until(consumer.subscriptions.subscribe_at(start), has_ended)
        given.append([(each.segment_id, each.item.horizon_minutes, each.item.timestamp) for each in changes(events)])
    assert given[0] == given[1]
    assert len(given[0]) == len(values) + 1


def has_ended(events):
    return any(each.segment_id == "end" for each in changes(events))


@BOTH_CLIENTS
def test_doctor_names_why_messages_are_refused(apache, settings_for, publish):
    settings = settings_for(apache.create_topic(partitions=1))
    publish(settings, message("A"), *[{"id": number, "kph": 50} for number in range(20)], b"no JSON")

    def findings():
        found = {each.subject: each for each in examine(settings)}
        # It gives up after seconds, which a busy machine may need.
        return "messages" in found and "of the last 22" in found["messages"].detail and found

    found = eventually(findings)
    assert found["messages"].ok is None
    assert found["messages"].detail == (
        "1 of the last 22 can be read; refused: no_segment 20, not_json 1; they have the fields id, kph"
    )
    assert f"example: topic {settings.topic}, partition 0, offset 1: " in found["messages"].advice
