"""Consumer quotas: what is throttled is slow, and neither an outage nor a reason to fetch anything twice."""

import random
import string

import pytest
from kafka.protocol.admin import AlterClientQuotasRequest

from consumer.sources.confluent import ConfluentSource
from consumer.sources.kafka import KafkaSource
from consumer.view.events import Status
from tests.consumer.helpers import message
from tests.kafka.helpers import WAIT_SECONDS, changes, eventually, follow, segments


def set_quota(apache, client_id, bytes_per_second):
    """Limit what the clients of an id may fetch."""
    entry = AlterClientQuotasRequest.EntryData
    op = entry.OpData(key="consumer_byte_rate", value=float(bytes_per_second), remove=False)
    entity = entry.EntityData(entity_type="client-id", entity_name=client_id)
    request = AlterClientQuotasRequest(entries=[entry(entity=[entity], ops=[op])], validate_only=False)
    with apache.admin() as admin:
        response = admin._manager.run(admin._manager.send, request, admin._manager.least_loaded_node())
    assert [each.error_code for each in response.entries] == [0]


def counted(settings, client_id):
    """Return a source with a client id of its own, that counts its assignments."""
    confluent = settings.kafka_client == "confluent"
    kind, option = (ConfluentSource, "client.id") if confluent else (KafkaSource, "client_id")

    class Counted(kind):
        assigned = 0

        def assign(self, offsets):
            self.assigned += 1
            super().assign(offsets)

    return Counted(settings, **{option: client_id})


class Throttled:
    """A consumer whose client may fetch so much in a second, and what it has read."""

    def __init__(self, apache, settings, kib_per_second, messages):
        self.name = f"{settings.kafka_client} at {kib_per_second} KiB/s"
        self.settings, self.messages = settings, messages
        self.read, self.sources, self.not_ready, self.was_throttled = [], [], [], False
        self._client_id = f"throttled-{settings.kafka_client}-{kib_per_second}"
        set_quota(apache, self._client_id, kib_per_second * 1024)

    def open_source(self, settings):
        self.sources.append(counted(settings, self._client_id))
        return self.sources[-1]

    def start(self, consume):
        """Start it, and read the first view, which is empty."""
        self.consumer = consume(self.settings, self.open_source)
        self.consumer.wait_ready(WAIT_SECONDS)
        self._subscription = follow(self.consumer)

    def has_all(self):
        """Read a little, unless all has been read; return whether it has."""
        if len(self.read) < self.messages:
            self.read += self._subscription.next(0.05)
            self.not_ready += filter(None, [self.consumer.not_ready])
            self.was_throttled = self.was_throttled or self.consumer.throttled
        return len(self.read) >= self.messages


@pytest.mark.timeout(400)
def test_throttled_consumers_stay_ready_and_read(apache, settings_for, consume, publish):
    """What is published takes some 10 to 15 s under each quota, whose window is 10 s. All are waited for at once."""
    all_of_them = [
        Throttled(apache, settings_for(apache.create_topic(), kafka_client=kafka_client), kib_per_second, messages)
        for kafka_client, kib_per_second, messages in (
            ("kafka-python", 20, 300),
            ("kafka-python", 64, 900),
            ("kafka-python", 256, 3_000),
            ("confluent", 64, 900),
        )
    ]
    filling = "".join(random.Random(1).choices(string.ascii_letters, k=1_000))
    for each in all_of_them:
        each.start(consume)
        publish(each.settings, *[message(f"S{number}", note=filling) for number in range(each.messages)])
    eventually(lambda: [each.has_all() for each in all_of_them] == [True] * 4, seconds=120, every=0)
    for each in all_of_them:
        assert (each.not_ready, each.consumer.restarts) == ([], 0), each.name
        assert each.was_throttled, each.name
        assert [event for event in each.read if isinstance(event, Status)] == [], each.name
        assert sorted(segments(changes(each.read))) == sorted(f"S{number}" for number in range(each.messages))
        assert [source.assigned for source in each.sources] == [1], each.name
        eventually(lambda each=each: not each.consumer.throttled)
