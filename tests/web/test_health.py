"""Health, readiness, quarantine and configuration: simple and true."""

import threading

from consumer.settings import Settings
from tests.consumer.helpers import message


def test_alive_is_not_ready(client, topic):
    assert client.get("/healthz").json == {"success": True, "status": "alive"}


def test_readiness_follows_the_consumer(client, live, topic):
    assert client.get("/readyz").status_code == 200
    topic.set(reachable=False)
    live.feed.wait_for_status(lambda status: status.state == "reconnecting", 10)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json["error"] == "not ready: reconnecting, no word from the broker for 0.5 s"


def test_health_tells_state_position_buffer_clients_and_quarantine(client, put):
    put(message("A"))
    put(b"\xff")
    health = client.get("/api/health").json["data"]
    assert (health["state"], health["ready"], health["topic"]) == ("live", True, "traffic-predictions")
    assert [each["partition"] for each in health["consumer"]["partitions"]] == [0, 1, 2, 3]
    assert (health["consumer"]["records"], health["consumer"]["attempts"]["breaker"]) == (2, "closed")
    assert (health["buffer"]["entries"], health["segments"]) == (1, 1)
    assert health["quarantine"] == {"total": 1, "by_reason": {"not_utf8": 1}}


def test_health_names_the_clients_that_read_too_slowly(client, app, live):
    with app.extensions["greenwave"].admission.claim("sse") as claim:
        claim.behind = 7
        with claim.writing(100):
            pass
        (named,) = client.get("/api/health").json["data"]["slowest_clients"]
    assert named == {"transport": "sse", "age_seconds": 0.0, "behind": 7, "sent_bytes": 100, "blocked_seconds": 0.0}


def test_quarantine_shows_what_was_refused_and_why(client, put):
    put(b"[1]")
    (shown,) = client.get("/api/quarantine").json["data"]["messages"]
    assert (shown["partition"], shown["offset"], shown["index"], shown["reason"]) == (0, 0, 0, "not_an_object")


def test_configuration_shows_no_secret(client):
    shown = client.get("/api/config").json["data"]
    assert shown["category_thresholds_mph"] == [60.0, 45.0, 30.0]
    assert not any("kafka" in name or "password" in name for name in shown)


def test_fifty_first_requests_while_the_broker_is_away_are_answered_at_once_by_one_consumer(monkeypatch):
    import consumer
    from app import create_app

    opened = []

    def open_source(_):
        from consumer.memory import MemorySource, MemoryTopic

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
        thread.join(10)
    consumer.stop()
    assert codes == [200] * 50
    assert len(opened) == 1


def test_the_page_has_headers_that_keep_data_from_being_more_than_text(client):
    response = client.get("/api/config")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_the_root_leads_to_the_page(client):
    assert client.get("/").headers["Location"] == "/predictions"
