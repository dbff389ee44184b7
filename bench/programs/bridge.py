"""Kafka to something that can't read it: to Nchan, or as SSE events to standard output.

    python -m bench.programs.bridge BROKER TOPIC nchan PORT
    python -m bench.programs.bridge BROKER TOPIC events BYTES

It runs in the peers' virtual environment and counts as a part of the server that it feeds.
"""

import socket
import sys
from collections.abc import Callable, Iterator

from confluent_kafka import OFFSET_END, Consumer, TopicPartition  # type: ignore[import-not-found, unused-ignore]

from bench.programs.feeder import PARTITIONS

BATCH = 100


def batches(broker: str, topic: str) -> Iterator[list[bytes]]:
    """Yield the values of new records as they arrive, for ever."""
    settings = {"bootstrap.servers": broker, "group.id": "bridge", "enable.auto.commit": False, "fetch.wait.max.ms": 50}
    consumer = Consumer(settings)
    consumer.assign([TopicPartition(topic, number, OFFSET_END) for number in range(PARTITIONS)])
    while True:
        first = consumer.poll(1.0)
        records = [first, *consumer.consume(BATCH, 0)] if first else []
        if values := [record.value() or b"" for record in records if not record.error()]:
            yield values


def to_nchan(port: int) -> Callable[[list[bytes]], None]:
    """Return a function that posts values to /publish, over one connection that is kept."""
    hub = socket.create_connection(("127.0.0.1", port))
    hub.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    answers = hub.makefile("rb")

    def publish(values: list[bytes]) -> None:
        for value in values:
            head = f"POST /publish HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(value)}\r\n\r\n"
            hub.sendall(head.encode() + value)
            status, length = int(answers.readline().split()[1]), 0
            while (line := answers.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line[15:])
            answers.read(length)
            if status >= 400:
                raise SystemExit(f"the hub answered {status}")

    return publish


def to_events(size: int) -> Callable[[list[bytes]], None]:
    """Return a function that writes one SSE event of this size per value."""

    def publish(values: list[bytes]) -> None:
        for value in values:
            event = b"data: " + value + b"\n\n"
            padding = max(0, size - len(event) - len(b"id: \n"))
            sys.stdout.buffer.write(b"id: " + b"x" * padding + b"\n" + event)
        sys.stdout.buffer.flush()

    return publish


def main(broker: str, topic: str, target: str, number: int) -> None:
    """Forward until killed."""
    publish = {"nchan": to_nchan, "events": to_events}[target](number)
    for values in batches(broker, topic):
        publish(values)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
