"""What a run needs: Apache Kafka, the product as it is shipped, a producer that never gives up, a look at health."""

import contextlib
import http.client
import json
import os
import tempfile
import threading
import time
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from consumer.settings import Settings
from consumer.source import client_options
from tests.consumer.helpers import message
from tests.kafka.apache import ApacheKafka
from tests.web.test_worker import Server, until

PARTITIONS = 4
TOLD_WITHIN_SECONDS = 10.0
"""How long health may take to say what happened."""


class Producer(threading.Thread):
    """Publishes numbered messages at a rate, through all outages; remembers which were acknowledged."""

    def __init__(self, address, topic, rate, numbers=(0,) * PARTITIONS):
        super().__init__(name="producer", daemon=True)
        self.acknowledged = set()
        self.sent = 0
        self.sent_at = {}
        self._numbers = list(numbers)  # of the next message in each partition
        self._topic, self._rate = topic, rate
        self._closing = threading.Event()
        self._producer = KafkaProducer(
            **client_options(Settings(kafka_brokers=address)),
            acks="all",
            linger_ms=5,
            delivery_timeout_ms=600_000,
            request_timeout_ms=5_000,
            reconnect_backoff_max_ms=500,
            max_block_ms=600_000,
        )
        self.start()

    def run(self):
        """Publish."""
        numbers, begin = self._numbers, time.monotonic()
        while not self._closing.wait(0.02):
            while self.sent < (time.monotonic() - begin) * self._rate and not self._closing.is_set():
                partition = self.sent * 7 % 11 % PARTITIONS
                name = (partition, numbers[partition])
                numbers[partition] += 1
                self.sent += 1
                value = message(f"S{self.sent % 500}", int(time.time() * 1000), model=f"{name[0]}/{name[1]}")
                self.sent_at[name] = time.monotonic()
                with contextlib.suppress(KafkaError):
                    self._producer.send(self._topic, value, partition=partition).add_callback(self._note, name)

    def _note(self, name, _metadata):
        self.acknowledged.add(name)

    def close(self):
        """Wait for what is on its way, and end."""
        self._closing.set()
        self.join()
        self._producer.flush(60)
        self._producer.close()


class Health(threading.Thread):
    """Asks /api/health and /readyz every 100 ms, and keeps what was said, when, and how long it took."""

    def __init__(self, port):
        super().__init__(name="health", daemon=True)
        self.answers = []  # (time, seconds, state, ready)
        self._port = port
        self._closing = threading.Event()
        self.start()

    def run(self):
        """Ask."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._closing.wait(0.1):
            begin = time.monotonic()
            health = self._ask(connection, "/api/health")["data"]
            middle = time.monotonic()
            ready = self._ask(connection, "/readyz")["success"]
            end = time.monotonic()
            self.answers.append((end, max(middle - begin, end - middle), health["state"], ready))
        connection.close()

    @staticmethod
    def _ask(connection, path):
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())

    def close(self):
        """End."""
        self._closing.set()
        self.join()

    def first(self, after, wanted):
        """Return how many seconds after a moment the first answer came that is wanted; None if none did."""
        return next((at - after for at, _, state, ready in self.answers if at > after and wanted(state, ready)), None)

    def figures(self):
        """Return how long the answers took, in milliseconds."""
        times = sorted(seconds * 1000 for _, seconds, _, _ in self.answers)
        return {
            "answers": len(times),
            "p50_ms": round(times[len(times) // 2], 1),
            "p99_ms": round(times[int(len(times) * 0.99)], 1),
            "max_ms": round(times[-1], 1),
        }


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
            "WEB_THREADS": "80",
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

    def wait_live(self, server, seconds=30):
        """Wait until the server says that it is ready; return how long that took."""
        begin = time.monotonic()
        until(lambda: json.loads(server.get("/readyz"))["success"], seconds=seconds, every=0.05)
        return time.monotonic() - begin

    def log(self):
        """Read the whole topic back: per partition the numbers in its order."""
        found = {partition: [] for partition in range(PARTITIONS)}
        consumer = KafkaConsumer(**client_options(Settings(kafka_brokers=self.kafka.address)), group_id=None)
        try:
            partitions = [TopicPartition(self.topic, number) for number in range(PARTITIONS)]
            consumer.assign(partitions)
            ends = consumer.end_offsets(partitions)
            consumer.seek_to_beginning()
            while any(consumer.position(each) < ends[each] for each in partitions):
                for partition, records in consumer.poll(timeout_ms=500).items():
                    names = (json.loads(record.value)["model"] for record in records)
                    found[partition.partition].extend(int(name.partition("/")[2]) for name in names)
        finally:
            consumer.close(autocommit=False)
        return found
