"""A topic with field names of its own, from Kafka to a stream, by a mapping file."""

import json

from tests.web.server.test_worker import read_until, until

MAPPING = """
[[shape]]
each = "links"

[shape.fields]
segment_id = { text = "{u}-{v}" }
timestamp = "$message.at"
predicted_speed = { from = "next", unit = "kmh", missing = [-1] }
"""


def test_mapped_items_reach_a_stream_and_a_delete_removes(serve, produce, tmp_path):
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(MAPPING)
    server = serve(MAPPING_FILE=str(mapping))
    until(lambda: b'"status":"ready"' in server.get("/readyz"))
    stream = server.open()
    read_until(stream, b'"initial"')
    links = [{"u": 1, "v": 2, "next": 80}, {"u": 1, "v": 3, "next": -1}, {"u": 2, "v": 3, "next": 100}]
    produce({"schema": None, "payload": {"at": "2025-01-21T14:05:00Z", "links": links}}, partition=0)
    received = read_until(stream, b'"segment_id":"2-3"')
    events = [json.loads(line[6:]) for line in received.split(b"\n") if line.startswith(b'data: {"type":"prediction"')]
    assert {"segment_id": "1-2", "timestamp": 1737468300000, "predicted_speed": 49.71}.items() <= events[0][
        "data"
    ].items()
    produce({"op": "d", "before": {"u": 1, "v": 2}, "after": None}, partition=0)
    assert b'"segment_id":"1-2"' in read_until(stream, b'"type":"left"')
    stream.close()
    quarantine = json.loads(server.get("/api/quarantine"))["data"]
    assert quarantine["by_reason"] == {"no_predicted_speed": 1}
    assert quarantine["messages"][0]["index"] == 1
