"""Consumer quotas: what is throttled is slow, and neither an outage nor a reason to fetch anything twice."""

import random
import string
import time

import pytest
from kafka.protocol.admin import AlterClientQuotasRequest

from consumer.events import Status
from consumer.sources.confluent import ConfluentSource
from consumer.sources.kafka import KafkaSource
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


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("kafka_client", "kib_per_second", "messages"),
    [
        ("kafka-python", 20, 300),
        ("kafka-python", 64, 900),
        ("kafka-python", 256, 3_000),
        ("confluent", 64, 900),
    ],
)
def test_throttled_consumer_stays_ready_and_reads(
    apache, settings_for, consume, publish, kafka_client, kib_per_second, messages
):
    """What is published takes some 10 to 15 s under each quota, whose window is 10 s."""
    settings, sources = settings_for(apache.create_topic()), []
    client_id = f"throttled-{kafka_client}-{kib_per_second}"
    set_quota(apache, client_id, kib_per_second * 1024)

    def open_source(settings):
        sources.append(counted(settings, client_id))
        return sources[-1]

    consumer = consume(settings, open_source)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = follow(consumer)
    filling = "".join(random.Random(1).choices(string.ascii_letters, k=1_000))
    publish(settings, *[message(f"S{number}", note=filling) for number in range(messages)])
    not_ready, throttled, began = [], False, time.monotonic()
    read = []
    while len(read) < messages:
        assert time.monotonic() - began < 120, f"{len(read)} of {messages} came"
        read += subscription.next(0.2)
        not_ready += filter(None, [consumer.not_ready])
        throttled = throttled or consumer.throttled
    assert (not_ready, consumer.restarts) == ([], 0)
    assert throttled
    assert [event for event in read if isinstance(event, Status)] == []
    assert sorted(segments(changes(read))) == sorted(f"S{number}" for number in range(messages))
    assert [source.assigned for source in sources] == [1]
    eventually(lambda: not consumer.throttled)
