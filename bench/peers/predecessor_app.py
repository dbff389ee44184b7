"""A stream per consumer, and polling that encodes each time: what a Flask and Kafka tutorial ends with."""

import json
import os
import threading
from collections.abc import Iterator

from flask import Flask, Response, request
from kafka import KafkaConsumer

app = Flask(__name__)
_latest: dict[str, object] = {}
_collector: list[threading.Thread] = []
_lock = threading.Lock()


def _consumer(reset: str) -> KafkaConsumer:
    broker, topic = os.environ["BENCH_BROKER"], os.environ["BENCH_TOPIC"]
    return KafkaConsumer(
        topic, bootstrap_servers=broker, group_id=None, auto_offset_reset=reset, value_deserializer=json.loads
    )


@app.get("/stream")
def stream() -> Response:
    """Read Kafka for this one client, from now or, with ?from=earliest, from the beginning."""
    reset = request.args.get("from", "latest")

    def frames() -> Iterator[str]:
        consumer = _consumer(reset)
        try:
            for record in consumer:
                yield f"data: {json.dumps(record.value, separators=(',', ':'))}\n\n"
        finally:
            consumer.close()

    return Response(frames(), mimetype="text/event-stream")


def _collect() -> None:
    for record in _consumer("earliest"):
        with _lock:
            _latest[record.value["segment_id"]] = record.value


@app.get("/api/predictions")
def predictions() -> Response:
    """Encode the whole view for this one request."""
    with _lock:
        if not _collector:
            _collector.append(threading.Thread(target=_collect, daemon=True))
            _collector[0].start()
        items = list(_latest.values())
    return Response(json.dumps({"success": True, "data": items}), mimetype="application/json")
