"""Clients that hop between two processes which read a topic of JSON, one of Avro, and one of measured speeds."""

import contextlib
import io
import json
import time

import fastavro

from tests import hopping
from tests.chaos.world import PARTITIONS, Producer, World
from tests.consumer.schemas.helpers import fake_registry, framed
from tests.web.server.test_worker import until

FIELDS = {"segment_id": "string", "timestamp": "long", "predicted_speed": "double", "model": "string"}
SCHEMA = {"type": "record", "name": "Prediction", "fields": [{"name": name, "type": FIELDS[name]} for name in FIELDS]}


class AvroProducer(Producer):
    """Publishes predictions in Avro, whose partitions are numbered after those of JSON."""

    def _value(self, partition, number):
        place = PARTITIONS + partition
        item = {"segment_id": f"A{place}-{number % 100}", "timestamp": int(time.time() * 1000), "predicted_speed": 40.0}
        payload = io.BytesIO()
        fastavro.schemaless_writer(payload, SCHEMA, {**item, "model": f"{place}/{number}"})
        return framed(1, payload.getvalue())


class ObservationProducer(Producer):
    """Publishes measured speeds of the segments of both topics."""

    def _value(self, partition, number):
        segment = f"S{partition}-{number % 100}" if number % 2 else f"A{PARTITIONS + partition}-{number % 100}"
        return json.dumps({"segment_id": segment, "timestamp": int(time.time() * 1000), "speed": 44.0}).encode()


class TopicClient(hopping.Client):
    """A client that asks for the predictions of one topic, or of all."""

    def __init__(self, ports, cursor, cuts, seed, topic, partitions):
        super().__init__(ports, cursor, ["sse", "poll", "ws"], cuts, seed)
        self.filter = f"&topic={topic}" if topic else ""
        self._partitions = partitions

    def wanted(self, partition, count):
        """Return the numbers that it asks for, of a partition that has so many."""
        return range(count if partition in self._partitions else 0)


def hop_topics(clients=60, cuts=200, rate=300):
    """Let clients hop between two processes that read a topic of JSON, one of Avro and one of measured speeds.

    Two of three filter by topic. The processes name the topics in another order.
    """
    with World() as world, contextlib.ExitStack() as stack:
        registry = stack.enter_context(fake_registry())
        registry.has(1, SCHEMA)
        topics = [world.topic, "predictions-avro", "measured-speeds"]
        for each in topics[1:]:
            world.kafka.create_topic(each, PARTITIONS)
        servers = [
            world.serve(KAFKA_TOPIC=",".join(order), SCHEMA_REGISTRY_URL=registry.url)
            for order in (topics, topics[::-1])
        ]
        for server in servers:
            world.wait_live(server)
        cursor = json.loads(servers[0].get("/api/predictions"))["data"]["cursor"]
        ports = [server.port for server in servers]
        asked = [(None, range(2 * PARTITIONS)), (topics[0], range(PARTITIONS))]
        asked.append((topics[1], range(PARTITIONS, 2 * PARTITIONS)))
        everyone = [TopicClient(ports, cursor, cuts, seed, *asked[seed % 3]) for seed in range(clients)]
        begin = time.monotonic()
        kinds = (Producer, AvroProducer, ObservationProducer)
        producers = [kind(world.kafka.address, topic, rate / 3) for kind, topic in zip(kinds, topics, strict=True)]
        for each in everyone:
            each.start()
        until(lambda: all(each.hops >= each.cuts or each.failure for each in everyone), seconds=1200)
        for each in producers:
            each.close()
        ends = [world.ends(topic) for topic in topics]
        counts = [*ends[0], *ends[1]]
        for each in everyone:
            each.end = counts
        for each in everyone:
            each.join(600)
        hopping.verify(everyone, counts)
        for server in servers:
            health = json.loads(server.get("/api/health"))["data"]
            assert health["quarantine"]["total"] == 0, health["quarantine"]
            assert health["observations"]["received"] == sum(ends[2]), health["observations"]
        return {
            "clients": clients,
            "cuts": sum(each.hops for each in everyone),
            "busy_answers": sum(each.refused for each in everyone),
            "messages_in_json": sum(ends[0]),
            "messages_in_avro": sum(ends[1]),
            "observations": sum(ends[2]),
            "events_delivered": sum(len(each.seen) for each in everyone),
            "lost": 0,
            "doubled": 0,
            "seconds": round(time.monotonic() - begin, 1),
        }
