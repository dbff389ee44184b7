"""The producer, as a process of its own: publishes at a rate until its input ends, then prints its send times.

python -m bench.feeder BROKER TOPIC RATE
"""

import json
import select
import sys
import time

from kafka import KafkaProducer

from .messages import message, micros

PARTITIONS = 4


def main(broker: str, topic: str, rate: float) -> None:
    """Publish; the send times go to standard output as JSON, in epoch microseconds."""
    producer = KafkaProducer(bootstrap_servers=broker, api_version=(2, 8), linger_ms=0, acks=1)
    stamps: list[int] = []
    begin = time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, begin + len(stamps) / rate - time.monotonic()))[0]:
        stamps.append(micros())
        number = len(stamps)
        producer.send(topic, message(number, stamps[-1]), partition=number % PARTITIONS)
    producer.flush(10)
    producer.close()
    print(json.dumps(stamps))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
