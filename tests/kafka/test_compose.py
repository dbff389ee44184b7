"""A node with the variables that compose.yaml gives to the image of Apache Kafka."""

import contextlib
from pathlib import Path

import yaml
from kafka import KafkaProducer

from tests.kafka.apache import ApacheKafka
from tests.kafka.helpers import WAIT_SECONDS

ROOT = Path(__file__).resolve().parents[2]
SERVICE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["kafka"]


class ComposeKafka(ApacheKafka):
    """The node as a process. Its hosts, ports and folder are those of the test; all else is that of compose.yaml."""

    def _properties(self):
        plain, controller = (f"127.0.0.1:{self.ports[name]}" for name in ("PLAIN", "CONTROLLER"))
        places = {
            "PLAINTEXT://:9092,CONTROLLER://:9093": f"PLAINTEXT://{plain},CONTROLLER://{controller}",
            "PLAINTEXT://kafka:9092": f"PLAINTEXT://{plain}",
            "1@localhost:9093": f"1@{controller}",
        }
        values = SERVICE["environment"]
        assert places.keys() <= set(values.values())
        # The image makes a property of each variable in this way.
        names = {name: name.removeprefix("KAFKA_").replace("_", ".").lower() for name in values}
        properties = {names[name]: places.get(value, value) for name, value in values.items()}
        return {**properties, "log.dirs": str(self.folder / "data")}


def test_the_kafka_of_compose_takes_records_and_transactions():
    with ComposeKafka() as kafka:
        topic = kafka.create_topic()
        options = {"bootstrap_servers": kafka.address, "proxy_url": "direct://", "transactional_id": "compose"}
        with contextlib.closing(KafkaProducer(**options, acks="all")) as producer:
            producer.init_transactions()
            producer.begin_transaction()
            sent = producer.send(topic, b"value", partition=1)
            producer.commit_transaction()
            assert sent.get(WAIT_SECONDS).offset == 0
