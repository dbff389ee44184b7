"""A backlog in one partition, where the others have nothing to read."""

import contextlib

from consumer.source import KafkaSource
from tests.consumer.helpers import message
from tests.kafka.helpers import eventually

COUNT = 8_000
"""Several polls, and several answers."""


def test_a_partition_with_a_backlog_is_in_every_fetch(apache, settings_for, publish):
    """A fetch of the others alone is held by the broker, and the backlog waits for its end."""
    settings = settings_for(apache.create_topic(partitions=4))
    publish(settings, *(message(f"S{number:04}") for number in range(COUNT)), partition=0)
    with contextlib.closing(KafkaSource(settings)) as source:
        assert eventually(source.topic)
        asked = record_fetches(source._consumer._fetcher)
        source.assign([0, 0, 0, 0])
        records = []
        while len(records) < COUNT:
            records += source.poll(0.2)
        while_behind = asked[: 1 + max(number for number, at in enumerate(asked) if at.get(0, COUNT) < COUNT)]
        assert len(while_behind) > 2
        assert all(set(each) == {0, 1, 2, 3} for each in while_behind)


def record_fetches(fetcher):
    """Return a list that gets the offset of each partition, of every fetch from now on."""
    asked, create = [], fetcher._create_fetch_requests

    def create_and_note():
        requests = create()
        asked.extend({each.partition: at for each, at in offsets.items()} for _, offsets in requests.values())
        return requests

    fetcher._create_fetch_requests = create_and_note
    return asked
