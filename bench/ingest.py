"""A backlog: how fast a start reads it, compared with a loop that only polls.

Each reader is a process of its own:

    python -m bench.ingest BROKER TOPIC COUNT greenwave|poll

prints {"seconds": wall time, "cpu_seconds": processor time} of reading COUNT records from the beginning.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition

from consumer import Consumer
from consumer.settings import Settings

from .figures import OURS, Figure
from .group import ROOT
from .messages import message, micros
from .world import PARTITIONS, World

COUNT = 100_000
SECONDS = 120.0
POLL = "poll() alone"

TITLE = "Backlog"
ABOUT = f"""A start that reads {COUNT:,} messages of a topic with {PARTITIONS} partitions, from the first to the last.
Each is normalised, scored, and kept in the ring buffer and the latest view; the time runs until the consumer is live.
*{POLL}* is a loop around `KafkaConsumer.poll()` with the client's defaults that does nothing with the records. *one
partition* has all messages in one of the {PARTITIONS} partitions. *CPU* is processor time of the process per
record."""


def run(world: World) -> list[Figure]:
    """Measure one round."""
    figures = []
    for case, partitions in ((f"all {PARTITIONS} partitions", PARTITIONS), ("one partition", 1)):
        figures += read_backlog(world, case, partitions, OURS, "greenwave")
        figures += read_backlog(world, case, partitions, POLL, "poll")
    return figures


def read_backlog(
    world: World, case: str, partitions: int, peer: str, reader: str, tree: Path = ROOT, measure: str = "ingest"
) -> list[Figure]:
    """Measure one reader in a process of its own, with the code of `tree`."""
    topic = world.filled_topic(lambda number: message(number, micros()), COUNT, partitions)
    command = [sys.executable, "-m", "bench.ingest", world.broker, topic, str(COUNT), reader]
    done = subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, text=True, check=True, timeout=SECONDS)
    took = json.loads(done.stdout)
    return [
        Figure(measure, case, peer, "records/s", COUNT / took["seconds"]),
        Figure(measure, case, peer, "CPU, µs per record", 1e6 * took["cpu_seconds"] / COUNT),
    ]


def _greenwave(broker: str, topic: str, count: int) -> None:
    consumer = Consumer(Settings(kafka_brokers=broker, kafka_topic=topic, kafka_backlog="all"))
    consumer.start()
    try:
        consumer.wait_ready(SECONDS)
        assert consumer.records == count, f"{consumer.records} of {count} records were read"
    finally:
        consumer.stop()


def _poll(broker: str, topic: str, count: int) -> None:
    consumer = KafkaConsumer(bootstrap_servers=broker, api_version=(2, 8), group_id=None)
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    for partition in partitions:
        consumer.seek(partition, 0)
    read = 0
    while read < count:
        read += sum(len(batch) for batch in consumer.poll(200).values())
    consumer.close()


def main(broker: str, topic: str, count: str, reader: str) -> None:
    """Read a topic once."""
    begin, cpu = time.monotonic(), time.process_time()
    {"greenwave": _greenwave, "poll": _poll}[reader](broker, topic, int(count))
    print(json.dumps({"seconds": time.monotonic() - begin, "cpu_seconds": time.process_time() - cpu}))


if __name__ == "__main__":
    main(*sys.argv[1:])
