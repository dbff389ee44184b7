"""The product as it is served, by gunicorn on a real broker."""

import http.client
import json

from tests.consumer.helpers import message
from tests.web.server.test_worker import read_until, rest_of, until


def ready(server):
    """Return whether the server says that it is ready; False while a worker is replaced."""
    connection = server.connection()
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def test_each_worker_of_a_preloaded_app_sees_every_partition(serve, produce):
    for partition in range(4):
        produce(*[message(f"{partition}/{number}") for number in range(5)], partition=partition)
    server = serve("--preload", "-w", "3")
    until(lambda: len(server.workers()) == 3)
    seen = {}

    def three_workers_answered():
        if not ready(server):
            return False
        metrics = server.get("/metrics").decode()
        pid = metrics.split('pid="')[1].split('"')[0]
        if f'greenwave_ready{{pid="{pid}"}} 1.0' in metrics:
            seen[pid] = metrics.split("\ngreenwave_segments{")[1].split("\n")[0].split()[-1]
        return len(seen) == 3

    until(three_workers_answered)
    assert set(seen.values()) == {"20.0"}


def test_message_reaches_polling_and_two_streams_over_one_consumer(serve, produce):
    server = serve()
    until(lambda: ready(server))
    streams = []
    for _ in range(2):  # one after the other: two that open at once may both count two
        streams.append(server.open())
        read_until(streams[-1], b'"initial"')
    produce(message("LA_001"))
    for stream in streams:
        assert b'"segment_id":"LA_001"' in read_until(stream, b'"type":"prediction"')
        stream.close()
    answer = json.loads(server.get("/api/predictions"))
    assert [each["segment_id"] for each in answer["data"]["predictions"]] == ["LA_001"]
    log = server.log.read_text()
    assert log.count("connecting to") == 1
    assert log.count("SSE stream opened (consumer live, 1 active)") == 1
    assert log.count("SSE stream opened (consumer live, 2 active)") == 1


def test_recycled_worker_sends_bye_and_the_next_one_is_ready(serve, produce):
    produce(message("A"))
    server = serve("--max-requests", "100")
    until(lambda: ready(server), every=0.5)  # each question counts
    before = server.workers()
    stream = server.open()
    read_until(stream, b'"initial"')
    until(lambda: ready(server) and server.workers() not in (before, []))
    assert b'"type":"bye"' in rest_of(stream)
    until(lambda: ready(server))
    assert b'"A"' in server.get("/api/predictions")
