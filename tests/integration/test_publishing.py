"""Publishing through the product as it is served, on a real broker."""

import http.client
import json
import socket
import threading

import pytest
from msgspec import structs

from consumer.sources.producing import Producing, WriteError
from tests.consumer.helpers import array, message
from tests.integration.test_serving import ready
from tests.web.server.test_worker import until


def post(server, body, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("POST", "/api/predictions", body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_published_predictions_are_stored_and_served(serve, client):
    server = serve(PUBLISH="1", KAFKA_CLIENT=client)
    until(lambda: ready(server))
    status, answer = post(server, array(*[message(f"P{number}") for number in range(50)]))
    assert status == 201, answer
    written = answer["data"]["written"]
    assert [each["index"] for each in written] == list(range(50))
    assert len({(each["partition"], each["offset"]) for each in written}) == 50
    until(lambda: len(json.loads(server.get("/api/predictions"))["data"]["predictions"]) == 50)
    again, repeated = [post(server, message("P1"), **{"Idempotency-Key": "k"})[1]["data"]["written"] for _ in range(2)]
    assert again == repeated


def test_a_message_larger_than_kafka_allows_is_refused(serve, request):
    server = serve(PUBLISH="1", PUBLISH_MAX_BYTES="4000000", MAX_MESSAGE_BYTES="2000000")
    until(lambda: ready(server))
    status, answer = post(server, message("P1", note="x" * 1_500_000))
    has_limit = request.config.getoption("--broker") == "apache"
    assert status == (413 if has_limit else 201), answer
    assert "max.message.bytes" in answer["error"] if has_limit else len(answer["data"]["written"]) == 1


@pytest.mark.parametrize("length", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_a_body_that_is_cut_off_writes_nothing(serve, length):
    server = serve(PUBLISH="1")
    until(lambda: ready(server))
    line = message("P1") + b"\n"
    begin = line if "Length" in length else b"%x\r\n%b\r\n" % (len(line), line)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        head = f"POST /api/predictions HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n{length}\r\n\r\n"
        client.sendall(head.encode() + begin)
        client.shutdown(socket.SHUT_WR)
        assert b" 400 BAD REQUEST" in client.recv(1_000)
    status, answer = post(server, message("P2"))
    assert (status, answer["data"]["written"][0]["offset"]) == (201, 0)
    server.process.terminate()
    assert server.process.wait(60) == 0


def test_without_an_answer_of_kafka_nothing_waits_longer_than_the_timeout(settings):
    producing = Producing(structs.replace(settings, kafka_brokers="127.0.0.1:1", publish_timeout=1))
    for _ in range(2):
        with pytest.raises(WriteError, match="did not acknowledge") as caught:
            producing.write(settings.topic, [(b"A", message("A")), (b"B", message("B"))], 1)
        assert caught.value.written == [None, None]
    producing.close()
    with pytest.raises(WriteError, match="closing"):
        producing.write(settings.topic, [(b"A", message("A"))], 1)


def test_threads_share_a_producer_and_lose_nothing(settings, topic):
    producing = Producing(settings)
    places = []

    def write(name):
        for number in range(20):
            places.extend(producing.write(topic, [(f"{name}-{number}".encode(), message(f"{name}-{number}"))] * 5, 60))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    producing.close()
    assert len(set(places)) == 400
