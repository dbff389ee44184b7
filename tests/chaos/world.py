"""What a run needs: Apache Kafka, the product as it is shipped, a producer that never gives up."""

import contextlib
import json
import math
import os
import re
import tempfile
import threading
import time
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from consumer.settings import Settings
from consumer.sources.kafka import client_options
from tests.consumer.helpers import message
from tests.kafka.apache import ApacheKafka
from tests.web.server.test_worker import Server, until

PARTITIONS = 4
ROADS = 20
NUMBERED = re.compile(rb'"model": "\d+/(\d+)"')
SAID_WITHIN_SECONDS = 10.0
"""How long health may take to say what happened, on a machine of its own."""


class Producer(threading.Thread):
    """Publishes numbered messages at a rate, through all outages; remembers which were acknowledged.

    Of each partition every ROADS-th message is of the same road, R0 to R19, and a hundred in a row are of as many
    segments. It publishes `most` messages and no more.
    """

    def __init__(self, address, topic, rate, numbers=(0,) * PARTITIONS, most=math.inf):
        super().__init__(name="producer", daemon=True)
        self.acknowledged = set()
        self.sent = 0
        self.sent_at = {}
        self._numbers = list(numbers)  # of the next message in each partition
        self._topic, self._rate, self._most = topic, rate, most
        self._closing = threading.Event()
        self._producer = KafkaProducer(
            **client_options(Settings(kafka_brokers=address)),
            acks="all",
            linger_ms=5,
            delivery_timeout_ms=600_000,
            request_timeout_ms=5_000,
            metadata_max_age_ms=1_000,
            max_block_ms=600_000,
        )
        self.start()

    def run(self):
        """Publish."""
        numbers, begin = self._numbers, time.monotonic()
        while not self._closing.wait(0.02):
            due = min((time.monotonic() - begin) * self._rate, self._most)
            while self.sent < due and not self._closing.is_set():
                partition = self.sent * 7 % 11 % len(numbers)
                name = (partition, numbers[partition])
                numbers[partition] += 1
                self.sent += 1
                value = self._value(*name)
                self.sent_at[name] = time.monotonic()
                with contextlib.suppress(KafkaError):
                    self._producer.send(self._topic, value, partition=partition).add_callback(self._note, name)

    def _value(self, partition, number):
        segment, road = f"S{partition}-{number % 100}", f"R{number % ROADS}"
        return message(segment, int(time.time() * 1000), model=f"{partition}/{number}", road_name=road)

    def _note(self, name, _metadata):
        self.acknowledged.add(name)

    def grow(self, partitions):
        """Publish to so many partitions from now on, once they are known."""
        until(lambda: len(self._producer.partitions_for(self._topic)) == partitions)
        self._numbers += [0] * (partitions - len(self._numbers))

    def is_done(self):
        """Tell whether all that it may send is acknowledged."""
        return len(self.acknowledged) == self._most

    def close(self):
        """Wait for what is on its way, and end."""
        self._closing.set()
        self.join()
        self._producer.flush(60)
        self._producer.close()


def belongings(pid):
    """Return threads, descriptors and resident memory of a process."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        "threads": int(status["Threads"]),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "rss_mb": round(int(status["VmRSS"].split()[0]) / 1024, 1),
    }


class World:
    """A broker and a server of its own; both can be hurt."""

    def __init__(self, start_broker=True, **environ):
        self._stack = contextlib.ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="greenwave-chaos-")))
        self.kafka = ApacheKafka()
        self._stack.callback(self.kafka.close)
        self.kafka.format()
        self.topic = "traffic-predictions"
        if start_broker:
            self.kafka.start()
            self.create_topic()
        self.environ = {
            "KAFKA_BROKERS": self.kafka.address,
            "KAFKA_BACKLOG": "all",
            "KAFKA_FETCH_MAX_WAIT_MS": "50",
            **environ,
        }
        self.servers = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()

    def create_topic(self):
        """Create the topic."""
        self.kafka.create_topic(self.topic, PARTITIONS)

    def serve(self, *options, **environ):
        """Start the server as it is shipped."""
        log = self.folder / f"log-{len(self.servers)}"
        server = self._stack.enter_context(Server(log, *options, app="wsgi:app", **self.environ, **environ))
        self.servers.append(server)
        return server

    def wait_live(self, server, seconds=60):
        """Wait until the server says that it is ready; return how long that took."""
        begin = time.monotonic()
        until(lambda: json.loads(server.get("/readyz"))["success"], seconds=seconds, every=0.05)
        return time.monotonic() - begin

    def ends(self):
        """Return the end offset of each partition."""
        with self._reader() as (consumer, partitions):
            ends = consumer.end_offsets(partitions)
            return [ends[each] for each in partitions]

    def log(self):
        """Read the whole topic back: per partition the numbers in its order; what has no number is left out."""
        with self._reader() as (consumer, partitions):
            found = {each.partition: [] for each in partitions}
            ends = consumer.end_offsets(partitions)
            consumer.seek_to_beginning()
            while any(consumer.position(each) < ends[each] for each in partitions):
                for partition, records in consumer.poll(timeout_ms=500).items():
                    names = (NUMBERED.search(record.value or b"") for record in records)
                    found[partition.partition].extend(int(name[1]) for name in names if name)
        return found

    @contextlib.contextmanager
    def _reader(self):
        """Open a consumer of all partitions for a moment."""
        consumer = KafkaConsumer(**client_options(Settings(kafka_brokers=self.kafka.address)), group_id=None)
        try:
            numbers = sorted(consumer.partitions_for_topic(self.topic))
            partitions = [TopicPartition(self.topic, number) for number in numbers]
            consumer.assign(partitions)
            yield consumer, partitions
        finally:
            consumer.close(autocommit=False)
