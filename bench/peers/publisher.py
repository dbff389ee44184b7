"""Kafka to a hub: reads the topic and posts each message, over one connection that is kept.

python -m bench.peers.publisher BROKER TOPIC PORT
"""

import http.client
import sys

from kafka import KafkaConsumer, TopicPartition

from bench.world import PARTITIONS


def main(broker: str, topic: str, port: int) -> None:
    """Publish until killed."""
    consumer = KafkaConsumer(bootstrap_servers=broker, group_id=None, api_version=(2, 8))
    consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
    consumer.seek_to_beginning()
    hub = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for record in consumer:
        hub.request("POST", "/publish", record.value, {"Content-Type": "application/json"})
        answer = hub.getresponse()
        answer.read()
        if answer.status >= 400:
            raise SystemExit(f"the hub answered {answer.status}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
