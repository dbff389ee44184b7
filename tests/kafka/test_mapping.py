"""Mappings and envelopes on Apache Kafka: headers and keys as producers encode them."""

import gzip
import json

from tests.kafka.helpers import WAIT_SECONDS, eventually

MAPPING = """
[[shape]]
when = "$header.ce_type == 'org.example.forecast'"
key = "long"

[shape.fields]
segment_id = "$key"
timestamp = "$header.ce_time"
predicted_speed = { from = "kmh", unit = "kmh" }
"""
HEADERS = [
    ("ce_specversion", b"1.0"),
    ("ce_type", b"org.example.forecast"),
    ("ce_time", b"2025-01-21T14:05:00Z"),
]
KEY = (4616337).to_bytes(8, "big")
PLAIN = {"segment_id": "S1", "timestamp": 1737468300000, "predicted_speed": 44.1}


def test_headers_long_keys_and_packed_values(apache, settings_for, producer_for, consume, tmp_path):
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(MAPPING)
    settings = settings_for(apache.create_topic(partitions=1), mapping_file=str(mapping))
    producer = producer_for(settings, compression_type="gzip")

    def send(value, key=None, headers=()):
        content = value if isinstance(value, bytes | None) else json.dumps(value).encode()
        producer.send(settings.topic, content, key=key, headers=list(headers), partition=0)

    send({"kmh": 80}, KEY, HEADERS)
    send(gzip.compress(json.dumps(PLAIN).encode()))
    send({"kmh": 80}, KEY, [("other", b"x")])
    producer.flush(WAIT_SECONDS)
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    found = consumer.feed.snapshot().predictions
    assert [(each.segment_id, each.timestamp, each.predicted_speed) for each in found] == [
        ("4616337", 1737468300000, 49.71),
        ("S1", 1737468300000, 44.1),
    ]
    assert consumer.quarantine.snapshot()["by_reason"] == {"no_segment": 1}
    send(None, KEY)
    producer.flush(WAIT_SECONDS)
    eventually(lambda: [each.segment_id for each in consumer.feed.snapshot().predictions] == ["S1"])
