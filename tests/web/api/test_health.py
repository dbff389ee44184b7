"""Health, readiness, quarantine and configuration: simple and true."""

import logging
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from app import create_app
from consumer import Consumer
from consumer.errors import SourceError
from consumer.settings import Settings
from consumer.sources.base import Reading
from consumer.sources.memory import MemorySource
from consumer.version import VERSION
from tests.consumer.helpers import at, eventually, message
from tests.web.conftest import SHORT_SILENCE, hold_slot, waits


def test_alive_is_not_ready(client, topic):
    assert client.get("/healthz").json == {"success": True, "status": "alive"}


@waits(SHORT_SILENCE)
def test_readiness_follows_the_consumer(client, live, topic):
    assert client.get("/readyz").status_code == 200
    topic.set(reachable=False)
    reason = "no response from the broker for 2 s"
    live.feed.wait_for_status(lambda status: status.reason == reason, 60)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json["error"].endswith(f"reconnecting, {reason}")


@waits(SHORT_SILENCE)
def test_readiness_names_what_is_stale(client, live, topic):
    with topic.changed:  # which the consumer thread waits for
        topic.reachable = False
        eventually(lambda: live.stalled_seconds > 2.1 and live.broker_silent_seconds > 2.1)
        answer = client.get("/readyz")
        assert answer.status_code == 503
        stale = r"the consumer thread is stalled for \d+ s; no response from the broker for \d+ s"
        assert re.fullmatch(f"not ready: {stale}", answer.json["error"])
        health = client.get("/api/health").json["data"]
        assert not health["ready"]
        assert re.fullmatch(stale, health["not_ready"])
        topic.reachable = True
    eventually(lambda: live.ready)
    assert client.get("/readyz").status_code == 200
    assert client.get("/api/health").json["data"]["not_ready"] is None


def test_a_draining_process_is_not_ready_and_still_serves(client, live, app):
    assert client.get("/readyz").status_code == 200
    app.extensions["greenwave"].admission.drain(5, 20)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["error"]) == (
        503,
        "not ready: the process is draining: another one takes over",
    )
    health = client.get("/api/health").json["data"]
    assert (health["ready"], health["state"]) == (False, "live")
    assert client.get("/healthz").status_code == 200
    assert client.get("/api/predictions").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/health"])
def test_health_does_not_wait_for_the_lock_of_the_feed(client, live, path):
    with ThreadPoolExecutor(1) as pool, live.feed._state.changed:
        assert pool.submit(client.get, path).result(60).json


def test_health_shows_the_schema_registry(client, live):
    assert client.get("/api/health").json["data"]["schema_registry"] is None


@pytest.mark.parametrize("settings", [Settings(kafka_backlog="all", schema_registry_url="http://127.0.0.1:1")])
def test_health_shows_that_the_schema_registry_is_away(client, live, topic):
    topic.append(b"\0\0\0\0\x07value")
    eventually(lambda: live.registry.report()["state"] == "away" and live.waiting_records == 1)
    shown = client.get("/api/health").json["data"]["schema_registry"]
    assert (shown["schemas"], shown["wanted"], shown["waiting_records"]) == (0, 1, 1)
    assert shown["requests"]["failed"] >= 1
    assert "127.0.0.1" not in str(shown), "clients see no addresses"
    metrics = client.get("/metrics").text
    assert re.search(r'^greenwave_schema_registry_up\{pid="\d+"\} 0.0$', metrics, re.M)
    assert re.search(r'^greenwave_records_waiting\{pid="\d+"\} 1.0$', metrics, re.M)
    assert re.search(r'^greenwave_schema_registry_requests_total\{pid="\d+",result="ok"\} 0.0$', metrics, re.M)


@pytest.mark.parametrize(
    "settings",
    [Settings(kafka_backlog="all", schema_registry_url="http://127.0.0.1:1", schema_registry_wait=0)],
)
def test_health_counts_records_refused_without_schema(client, live, topic):
    topic.append(b"\0\0\0\0\x07value")
    eventually(lambda: live.quarantine.snapshot()["total"] == 1)
    topic.append(b"\0\0\0\0\x07value")
    eventually(lambda: live.quarantine.snapshot()["total"] == 2)
    shown = client.get("/api/health").json["data"]["schema_registry"]
    assert (shown["state"], shown["waiting_records"], shown["refused"]) == ("away", 0, 2)
    assert shown["first_refused"] <= shown["last_refused"]


def read_up_to(partition, offset, age):
    """Return what health says of a partition that was read to its end."""
    recent = pytest.approx(0, abs=5)
    known = {"partition": partition, "position": offset, "end": offset, "lag": 0, "lag_seconds": 0}
    return known | {"last_record_age_seconds": age, "leader_silent_seconds": recent}


def test_health_reports_version_state_consumer_buffer_and_clients(client, app, topic, settings, live, put):
    now_ms = int(time.time() * 1000)
    topic.append(message("A"), partition=2, timestamp_ms=now_ms - 60_000)
    put(b"\xff")
    put(message("B"), partition=2)
    eventually(lambda: live.readings[2] == (2, 2))
    admission = app.extensions["greenwave"].admission
    with hold_slot(admission), hold_slot(admission, "long_poll"):
        health = client.get("/api/health").json["data"]
    since = datetime.fromisoformat(health.pop("since")).timestamp()
    assert since == pytest.approx(live.feed.status.since, abs=0.001)
    assert health.pop("seconds_in_state") == pytest.approx(time.time() - since, abs=5)
    assert datetime.fromisoformat(health.pop("timestamp")).timestamp() == pytest.approx(time.time(), abs=5)
    assert len(health.pop("slowest_clients")) == 2
    now = pytest.approx(0, abs=5)
    assert health.pop("consumer") == {
        "thread_alive": True,
        "stalled_seconds": now,
        "uptime_seconds": now,
        "restarts": 0,
        "broker_silent_seconds": now,
        "throttled": False,
        "attempts": {
            "total": 1,
            "succeeded": 1,
            "failed": 0,
            "consecutive_failures": 0,
            "success_rate": 1.0,
            "last_connect_seconds": now,
            "mean_connect_seconds": now,
            "breaker": "closed",
        },
        "clock": {"behind_seconds": 0.0, "segments": 2, "segments_ahead": 0, "warning": None},
        "records": 3,
        "unclear_horizons": 0,
        "last_record_age_seconds": now,
        "lag_seconds": 0,
        "partitions": [read_up_to(0, 1, now), read_up_to(1, 0, None), read_up_to(2, 2, now), read_up_to(3, 0, None)],
    }
    assert health.pop("buffer") == {
        "entries": 2,
        "max_entries": settings.buffer_entries,
        "bytes": live.feed.fill().size_bytes,
        "max_bytes": settings.buffer_bytes,
        "received": 2,
    }
    assert health == {
        "version": VERSION,
        "state": "live",
        "reason": "read up to the high watermark of every partition",
        "retry_in": None,
        "ready": True,
        "not_ready": None,
        "topic": "traffic-predictions",
        "segments": 2,
        "observations": {"segments": 0, "received": 0},
        "network": {"segments": 0, "skipped_features": 0},
        "latest": {
            "segments": 2,
            "max_segments": settings.max_segments,
            "evicted": {"max_age": 0, "max_segments": 0, "max_bytes": 0, "max_horizons": 0, "clock": 0},
        },
        "clients": {"sse": 1, "long_poll": 1},
        "warnings": [],
        "quarantine": {"total": 1, "by_reason": {"not_utf8": 1}},
        "webhook": None,
        "usual": {
            "state": "off",
            "error": None,
            **dict.fromkeys(("segments", "bands", "written", "missed", "left_out", "failures", "file_bytes"), 0),
            "last_write": None,
        },
        "schema_registry": None,
    }


def test_health_reports_lag_and_record_ages_per_partition(client, topic, live, monkeypatch):
    behind = [Reading(3, 5), Reading(1, None)]
    status, readings = MemorySource.status, at(*behind)
    monkeypatch.setattr(MemorySource, "status", lambda source: status(source)._replace(readings=readings))
    topic.append(message("A"), partition=1, timestamp_ms=int(time.time() * 1000) - 60_000)
    eventually(lambda: live.records == 1 and live.readings == behind)
    partitions = client.get("/api/health").json["data"]["consumer"]["partitions"]
    old, recent = pytest.approx(60, abs=5), pytest.approx(0, abs=5)
    assert partitions == [
        read_up_to(0, 3, None) | {"end": 5, "lag": 2, "lag_seconds": recent},
        read_up_to(1, 1, old) | {"end": None, "lag": None},
    ]


@waits(SHORT_SILENCE)
def test_health_reports_attempts_during_an_outage(client, topic, live):
    topic.set(reachable=False)
    lost = live.feed.wait_for_status(lambda status: status.state == "reconnecting", 60)
    eventually(lambda: live.attempts.consecutive_failures >= 1)
    health = client.get("/api/health").json["data"]
    assert (health["state"], health["ready"]) == ("reconnecting", False)
    assert datetime.fromisoformat(health["since"]).timestamp() == pytest.approx(lost.since, abs=0.001)
    assert 0 <= health["retry_in"] <= 5
    attempts = health["consumer"]["attempts"]
    assert attempts["consecutive_failures"] == attempts["failed"] == attempts["total"] - 1
    assert attempts["success_rate"] == pytest.approx(1 / attempts["total"], abs=0.001)
    assert health["consumer"]["broker_silent_seconds"] >= 2


def test_health_lists_the_slowest_clients(client, app, live):
    with hold_slot(app.extensions["greenwave"].admission) as slot:
        slot.behind = 7
        with slot.writing(100):
            pass
        (named,) = client.get("/api/health").json["data"]["slowest_clients"]
    assert named.pop("age_seconds") == pytest.approx(0, abs=5)
    assert named == {"transport": "sse", "behind": 7, "sent_bytes": 100, "blocked_seconds": 0.0}


def test_quarantine_shows_refused_messages_with_reasons(client, put):
    put(b"[1]")
    (shown,) = client.get("/api/quarantine").json["data"]["messages"]
    assert (shown["partition"], shown["offset"], shown["index"], shown["reason"]) == (0, 0, 0, "not_an_object")


def test_configuration_shows_no_secret(client):
    shown = client.get("/api/config").json["data"]
    assert shown["category_thresholds_mph"] == [60.0, 45.0, 30.0]
    assert not any("kafka" in name or "password" in name for name in shown)


def test_fifty_concurrent_first_requests_share_one_consumer_in_an_outage(monkeypatch):
    import consumer
    from app import create_app

    opened = []

    def open_source(_):
        from consumer.sources.memory import MemorySource, MemoryTopic

        topic = MemoryTopic()
        topic.set(reachable=False)
        opened.append(topic)
        return MemorySource(topic)

    settings = Settings()
    app = create_app(settings, lambda: consumer.start(0, settings, open_source))
    barrier = threading.Barrier(50)
    codes = []

    def first_request():
        barrier.wait()
        codes.append(app.test_client().get("/api/predictions").status_code)

    threads = [threading.Thread(target=first_request) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    consumer.stop()
    assert codes == [200] * 50
    assert len(opened) == 1


def test_the_first_stream_starts_the_consumer(caplog):
    import consumer
    from app import create_app
    from consumer.sources.memory import MemorySource, MemoryTopic

    caplog.set_level(logging.INFO)
    settings, topic = Settings(), MemoryTopic()
    app = create_app(settings, lambda: consumer.start(0, settings, lambda _: MemorySource(topic)))
    client = app.test_client()
    with client.get("/predictions/stream"):
        consumer.start(60)
        with client.get("/predictions/stream"):
            pass
    consumer.stop()
    steps = [
        "starting: connecting to",
        "connected; topic",
        "partitions assigned: 0",
        "catching_up: positioned at offsets",
        "live: ",
        "SSE stream opened (consumer live, 2 active)",
    ]
    found = [step for text in caplog.messages for step in steps if text.startswith(step)]
    assert found == steps


def test_the_page_has_security_headers(client):
    response = client.get("/api/config")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_the_root_redirects_to_the_page(client):
    assert client.get("/").headers["Location"] == "/predictions"


class Refused(MemorySource):
    """A source whose brokers refuse the log-in."""

    def status(self):
        return super().status()._replace(connection_errors="broker-7.internal:9092: it refused the log-in")


class Failing(MemorySource):
    """A source whose requests fail."""

    def poll(self, timeout):
        raise SourceError("broker-7.internal:9092 refused the log-in of service-account")


@pytest.mark.parametrize("source", [Refused, Failing])
def test_clients_see_neither_broker_addresses_nor_login_errors(source, topic, caplog):
    settings = Settings(kafka_brokers="broker-7.internal:9092", kafka_silence_seconds=0.2, heartbeat_seconds=0.1)
    topic.set(reachable=source is Failing)
    consumer = Consumer(settings, lambda _: source(topic), poll_seconds=0.02)
    app = create_app(settings, lambda: consumer)
    consumer.start()
    try:
        consumer.feed.wait_for_status(lambda status: "log-in" in status.detail, 60)
        client = app.test_client()
        paths = ["/api/health", "/readyz", "/healthz", "/api/config", "/metrics", "/api/predictions", "/api/quarantine"]
        shown = [client.get(path).text for path in paths]
        with client.get("/predictions/stream") as stream:
            shown.append("")
            while '"type":"status"' not in shown[-1]:
                shown[-1] += next(stream.response).decode()
        for text in shown:
            assert "internal" not in text
            assert "service-account" not in text
            assert "log-in" not in text
        assert "the server's log says what is wrong" in shown[0]
        assert "broker-7.internal:9092" in caplog.text
    finally:
        app.extensions["greenwave"].admission.close()
        consumer.stop()
