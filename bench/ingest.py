"""A backlog: how fast a start reads it with each Kafka client, compared with loops that only poll.

Each reader is a process of its own:

    python -m bench.ingest BROKER TOPIC COUNT greenwave|greenwave-confluent|poll|consume

prints {"seconds": wall time, "cpu_seconds": processor time} of reading COUNT records from the beginning.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import confluent_kafka
from kafka import KafkaConsumer, TopicPartition

from consumer import Consumer
from consumer.settings import Settings
from web.server.interpreter import tune

from .figures import OURS, Figure
from .group import ROOT
from .messages import message, micros
from .world import PARTITIONS, World

COUNT = 100_000
LARGE = 500_000  # messages of the case whose time matters to an operator: how long a start takes
SECONDS = 120.0
CONSUMED_AT_ONCE = 2_000
OURS_CONFLUENT = f"{OURS}, confluent"
POLL = "poll() alone"
CONSUME = "consume() alone"
READERS = {OURS: "greenwave", OURS_CONFLUENT: "greenwave-confluent", POLL: "poll", CONSUME: "consume"}

TITLE = "Backlog"
ABOUT = f"""A start that reads a topic with {PARTITIONS} partitions from the first message to the last: {COUNT:,}
messages, or {LARGE:,}. Each is normalised, scored, and kept in the ring buffer and the latest view; the time runs
until the consumer is live. *{OURS}* reads by kafka-python, the default, *{OURS_CONFLUENT}* with
`KAFKA_CLIENT=confluent`. *{POLL}* is a loop around `KafkaConsumer.poll()` with the client's defaults that does nothing
with the records, and *{CONSUME}* one around `confluent_kafka.Consumer.consume()`. *one partition* has all messages in
one of the {PARTITIONS} partitions. *CPU* is processor time of the process per record, threads of the clients
included."""


def run(world: World) -> list[Figure]:
    """Measure one round."""
    figures = []
    for case, count, partitions in (
        (f"all {PARTITIONS} partitions", COUNT, PARTITIONS),
        ("one partition", COUNT, 1),
        (f"{LARGE:,} messages", LARGE, PARTITIONS),
    ):
        topic = world.filled_topic(lambda number: message(number, micros()), count, partitions)
        for peer, reader in READERS.items():
            figures += read_backlog(world.broker, topic, count, BacklogCase(case, peer, reader))
    return figures


@dataclass(frozen=True)
class BacklogCase:
    """What is measured, and by which reader; `tree` is a folder with the code."""

    case: str
    peer: str
    reader: str
    tree: Path = ROOT
    measure: str = "ingest"


def read_backlog(broker: str, topic: str, count: int, of: BacklogCase) -> list[Figure]:
    """Measure one reader in a process of its own."""
    command = [sys.executable, "-m", "bench.ingest", broker, topic, str(count), of.reader]
    done = subprocess.run(command, cwd=of.tree, stdout=subprocess.PIPE, text=True, check=True, timeout=SECONDS)
    took = json.loads(done.stdout)
    return [
        Figure(of.measure, of.case, of.peer, "s", took["seconds"]),
        Figure(of.measure, of.case, of.peer, "records/s", count / took["seconds"]),
        Figure(of.measure, of.case, of.peer, "CPU, µs per record", 1e6 * took["cpu_seconds"] / count),
    ]


def _greenwave(
    broker: str, topic: str, count: int, done: Callable[[], None], client: Literal["kafka-python", "confluent"]
) -> None:
    tune()  # as a worker does
    consumer = Consumer(Settings(kafka_brokers=broker, kafka_topic=topic, kafka_backlog="all", kafka_client=client))
    consumer.start()
    try:
        consumer.wait_ready(SECONDS)
        done()
        assert consumer.records == count, f"{consumer.records} of {count} records were read"
    finally:
        consumer.stop()


def _poll(broker: str, topic: str, count: int, done: Callable[[], None]) -> None:
    consumer = KafkaConsumer(bootstrap_servers=broker, api_version=(2, 8), group_id=None)
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    for partition in partitions:
        consumer.seek(partition, 0)
    read = 0
    while read < count:
        read += sum(len(batch) for batch in consumer.poll(200).values())
    done()
    consumer.close()


def _consume(broker: str, topic: str, count: int, done: Callable[[], None]) -> None:
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker, "group.id": "bench", "enable.auto.commit": False})
    consumer.assign([confluent_kafka.TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    read = 0
    while read < count:
        read += len(consumer.consume(CONSUMED_AT_ONCE, 0.2))
    done()
    consumer.close()


def main(broker: str, topic: str, count: str, reader: str) -> None:
    """Read a topic once, and measure it up to the last record; the end of a client is not part of that."""
    begin, cpu = time.monotonic(), time.process_time()

    def done() -> None:
        print(json.dumps({"seconds": time.monotonic() - begin, "cpu_seconds": time.process_time() - cpu}))

    readers: dict[str, Callable[[str, str, int, Callable[[], None]], None]] = {
        "greenwave": partial(_greenwave, client="kafka-python"),
        "greenwave-confluent": partial(_greenwave, client="confluent"),
        "poll": _poll,
        "consume": _consume,
    }
    readers[reader](broker, topic, int(count), done)


if __name__ == "__main__":
    main(*sys.argv[1:])
