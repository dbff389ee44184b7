"""The webhook of the product as it is served, by two workers."""

import time
from collections import Counter

import pytest

from demo.broker import free_port
from tests.consumer.alerts.receiver import SECRET, FakeReceiver
from tests.integration.acknowledging import Process
from tests.kafka.helpers import eventually

MINUTE = 60_000


@pytest.fixture
def receiver(integration):
    receiver = FakeReceiver()
    yield receiver
    receiver.close()


@pytest.fixture
def predict(produce):
    """Publish predictions of a segment for so many minutes ago."""
    now = round(time.time() * 1000)

    def predict(segment, **speeds):
        for age, speed in speeds.items():
            at = now - int(age.removeprefix("ago_")) * MINUTE
            produce({"segment_id": segment, "timestamp": at, "predicted_speed": speed}, partition=0)

    return predict


def hooked(url):
    return {"WEBHOOK_URL": url, "WEBHOOK_SECRET": SECRET, "LOG_LEVEL": "DEBUG"}


def test_all_workers_and_a_restart_send_an_alert_with_one_id(serve, predict, receiver):
    server = serve(name="first", WEB_CONCURRENCY="2", **hooked(receiver.url))
    predict("A", ago_4=10, ago_3=10)
    eventually(lambda: len(receiver.ids) == 2)
    server.process.terminate()
    assert server.process.wait(60) == 0
    restarted = serve(name="second", WEB_CONCURRENCY="1", **hooked(receiver.url))
    eventually(lambda: len(receiver.ids) == 3)
    predict("A", ago_2=70, ago_1=70)
    eventually(lambda: len(receiver.ids) == 4)
    assert sorted(Counter(receiver.ids).values()) == [1, 3]
    assert [each.document["type"] for each in receiver.received] == ["alert.began"] * 3 + ["alert.ended"]
    for each in (server, restarted):
        log = each.log.read_text()
        assert "in-the-url" not in log
        assert SECRET not in log


def test_a_receiver_that_was_away_gets_all_from_both_workers(tmp_path, environ, predict, integration):
    port = free_port()
    url = f"http://127.0.0.1:{port}/hook"
    with Process(tmp_path / "log", app="wsgi:app", WEB_CONCURRENCY="2", **environ, **hooked(url)) as server:
        for segment in "ABC":
            predict(segment, ago_4=10, ago_3=10)
        predict("A", ago_2=70, ago_1=70)
        eventually(lambda: server.ask("GET", "/api/health")[1]["data"]["webhook"]["failed_attempts"] >= 2)
        receiver = FakeReceiver(port)
        try:
            eventually(lambda: len(receiver.ids) == 8)
        finally:
            receiver.close()
    assert set(Counter(receiver.ids).values()) == {2}, "each from both"
    found = {(each.document["type"], each.document["data"]["segment_id"]) for each in receiver.received}
    assert found == {("alert.ended", "A"), *(("alert.began", segment) for segment in "ABC")}
