"""The producer, as a process of its own; it runs in the peers' virtual environment.

    python -m bench.programs.feeder BROKER TOPIC SEGMENTS HEADER

It reads lines "rate R" (messages per second, evenly spaced) until its input ends, and prints the send times in epoch
microseconds as JSON. HEADER is a record header NAME=VALUE, or "-" for none.
"""

import json
import select
import sys
import time

from confluent_kafka import Producer  # type: ignore[import-not-found, unused-ignore]

from bench.messages import message, micros

PARTITIONS = 4
IDLE_SECONDS = 0.1


def main(broker: str, topic: str, segments: int, header: str) -> None:
    """Publish until the input ends."""
    failed: list[object] = []
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 0, "acks": "1"})
    name, _, text = header.partition("=")
    headers: list[tuple[str, str | bytes | None]] | None = None if header == "-" else [(name, text)]
    stamps: list[int] = []
    rate, begin, since = 0.0, time.monotonic(), 0
    while True:
        due = begin + (len(stamps) - since) / rate - time.monotonic() if rate else IDLE_SECONDS
        if select.select([sys.stdin], [], [], max(0.0, min(due, IDLE_SECONDS)))[0]:
            line = sys.stdin.readline()
            if not line:
                break
            rate, begin, since = float(line.split()[1]), time.monotonic(), len(stamps)
        elif rate and due <= IDLE_SECONDS:
            number = len(stamps)
            stamps.append(micros())
            value = message(number, stamps[-1], segments)
            producer.produce(
                topic,
                value,
                partition=number % PARTITIONS,
                headers=headers,
                on_delivery=lambda error, _record: failed.append(error) if error else None,
            )
            producer.poll(0)
    producer.flush(10)
    if failed:
        raise SystemExit(f"{len(failed)} messages were not acknowledged: {failed[0]}")
    print(json.dumps(stamps))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
