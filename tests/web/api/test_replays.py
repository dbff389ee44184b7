"""What clients of each transport get while a replay waits for Kafka, and when the process ends during it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec import structs

from consumer import Consumer
from consumer.sources.base import SourceStatus
from consumer.sources.memory import MemorySource
from consumer.view.events import CUT_OFF
from tests.consumer.helpers import message
from tests.web.api.test_polling import data
from tests.web.conftest import SETTINGS
from tests.web.paths import events_of
from tests.web.server.test_worker import until

pytestmark = pytest.mark.slow

RECORDS = 300
SMALL_BUFFER = structs.replace(SETTINGS, buffer_entries=100)
WITH_HEARTBEATS = structs.replace(SMALL_BUFFER, heartbeat_seconds=1.0)


@pytest.fixture
def settings():
    return SMALL_BUFFER


@pytest.fixture
def gate():
    """Tell whether Kafka answers readers for replays."""
    gate = threading.Event()
    gate.set()
    return gate


@pytest.fixture
def consumer(topic, settings, gate):
    class Gated(MemorySource):
        def status(self):
            return super().status() if gate.is_set() else SourceStatus()

        def request_metadata(self, timeout=0.0):
            return gate.wait(timeout)

    def open_source(_):
        return Gated(topic) if topic.opened else MemorySource(topic)

    consumer = Consumer(settings, open_source, poll_seconds=0.02)
    consumer.start()
    yield consumer
    consumer.stop()


@pytest.fixture
def cursor(client, put):
    """A cursor that is older than memory."""
    cursor = data(client.get("/api/predictions"))["cursor"]
    for number in range(RECORDS):
        put(message(f"S{number}"))
    return cursor


@pytest.fixture
def close(app):
    return app.extensions["greenwave"].admission.close


def segments(it):
    return [it.event("prediction")[1]["data"]["segment_id"] for _ in range(RECORDS)]


def rest(it):
    """Return the types of the messages up to the end of a stream, without statistics, which the clock sends."""
    types = [message["type"] for _, message in events_of(list(it.frames))]
    return [each for each in types if each != "stats"]


@pytest.mark.parametrize("settings", [WITH_HEARTBEATS])
def test_a_stream_gets_heartbeats_while_its_replay_waits(stream, cursor, gate):
    gate.clear()
    it = stream(f"?after={cursor}")
    it.event("status")
    seen = b""
    while seen.count(b": heartbeat") < 2:
        seen += next(it.frames)
    gate.set()
    assert segments(it) == [f"S{number}" for number in range(RECORDS)]
    assert b'"gap"' not in it.raw


@pytest.mark.parametrize("settings", [structs.replace(WITH_HEARTBEATS, kafka_silence_seconds=2.0)])
def test_a_resume_beyond_memory_in_an_outage_loses_nothing(
    stream,
    cursor,
    topic,
    live,
):
    topic.set(reachable=False)
    live.feed.wait_for_status(lambda status: status.state in CUT_OFF, 60)
    it = stream(f"?after={cursor}")
    assert it.event("status")[1]["state"] in CUT_OFF
    while b": heartbeat" not in next(it.frames):
        pass
    topic.set(reachable=True)
    assert segments(it) == [f"S{number}" for number in range(RECORDS)]
    assert b'"gap"' not in it.raw


@pytest.mark.parametrize("settings", [WITH_HEARTBEATS])
def test_a_websocket_gets_heartbeats_while_its_replay_waits(connect, cursor, gate):
    gate.clear()
    it = connect(f"?after={cursor}")
    assert it.next("position")["cursor"] == cursor
    gate.set()
    assert it.next("prediction")["data"]["segment_id"] == "S0"


def test_closing_in_a_replay_sends_bye_without_a_gap(stream, cursor, gate, close):
    gate.clear()
    it = stream(f"?after={cursor}")
    it.event("status")
    close()
    assert rest(it) == ["bye"]


def test_closing_during_a_look_up_of_since_sends_bye_without_a_gap(
    stream,
    live,
    gate,
    close,
):
    gate.clear()
    it = stream("?since=0")
    it.event("connected")
    closing = threading.Thread(target=lambda: (until(lambda: live.subscriptions.replays.readers.pending), close()))
    closing.start()
    assert rest(it) == ["bye"]
    closing.join()


def test_closing_during_since_sends_bye_on_a_websocket(
    connect,
    cursor,
    gate,
    close,
):
    gate.clear()
    it = connect("?since=0")
    it.next("connected")
    close()
    assert it.next()["type"] == "bye"


def test_a_poll_in_a_replay_continues_elsewhere_after_closing(client, cursor, gate, close):
    gate.clear()
    close()
    answer = data(client.get(f"/api/predictions?after={cursor}&wait=20"))
    assert (answer["predictions"], answer["cursor"], answer["more"]) == ([], cursor, True)
    assert "gap" not in answer
    page = data(client.get(f"/api/predictions/history?after={cursor}"))
    assert (page["predictions"], page["cursor"], page["more"]) == ([], cursor, True)
    assert "gap" not in page


@pytest.mark.parametrize("route", ["/api/predictions", "/api/predictions/history"])
def test_closing_during_a_look_up_of_since_is_a_503_with_retry(app, consumer, live, route):
    consumer.subscriptions.close()
    answer = app.test_client().get(f"{route}?since=0")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert (answer.json["success"], answer.json["error"]) == (False, "the server is closing; retry")


def test_a_poll_stops_waiting_for_a_slow_replay_which_continues(client, cursor, gate, monkeypatch):
    monkeypatch.setattr("web.api.polling.COLLECT_SECONDS", 0.3)
    gate.clear()
    answer = data(client.get(f"/api/predictions?after={cursor}"))
    assert (answer["predictions"], answer["cursor"], answer["more"]) == ([], cursor, True)
    gate.set()
    seen = []
    while answer["more"]:
        answer = data(client.get(f"/api/predictions?after={answer['cursor']}"))
        if "gap" not in answer:
            seen += [each["segment_id"] for each in answer["predictions"]]
    assert seen == [f"S{number}" for number in range(RECORDS)]
    assert answer["gap"] is None, "the view ends the replay"


def test_each_transport_passes_the_name_of_the_client_to_replays(app, live, gate, cursor, connect):
    gate.clear()
    paths = {
        "10.0.0.1": f"/api/predictions?after={cursor}",
        "2001:db8::2": f"/api/predictions/history?after={cursor}",
        "10.0.0.3": f"/predictions/stream?after={cursor}",
    }

    def ask(address):
        with app.test_client().get(paths[address], environ_overrides={"REMOTE_ADDR": address}) as answer:
            return any(b"S1" in part for part in answer.response)

    connect(f"?after={cursor}")
    with ThreadPoolExecutor(3) as pool:
        asking = pool.map(ask, paths)
        readers = live.subscriptions.replays.readers
        names = {"127.0.0.1", "10.0.0.1", "2001:db8::/64", "10.0.0.3"}
        until(lambda: set().union(*(each.clients for each in readers.pending)) == names)
        gate.set()
        assert all(asking)
