"""Server-Sent Events: the messages of a stream, resuming, and endings."""

import json
import re
import threading
import urllib.request

import httpx
import pytest
import sseclient

from consumer.settings import Settings
from consumer.view.cursor import Position, decode, place
from consumer.view.events import Status
from tests.consumer.helpers import array, message
from tests.web.conftest import SHORT_HEARTBEAT, SHORT_SILENCE, waits
from tests.web.paths import events_of
from web.streams.session import BATCH
from web.wire import INITIAL_BYTES


@pytest.mark.parametrize(
    "query",
    ["after=a&after=b", "lastEventId=a&lastEventId=b", "lastEventId=a&last-event-id=b", "since=never", "x=y", "bbox=1"],
)
def test_a_refused_request_holds_no_slot(client, app, live, query):
    assert client.get(f"/predictions/stream?{query}").status_code == 400
    assert app.extensions["greenwave"].admission.counts() == {}


def test_a_stream_starts_with_state_and_view_then_sends_changes(stream, put):
    put(message("A"))
    it = stream()
    kinds = [it.event()[1]["type"] for _ in range(3)]
    assert kinds == ["connected", "status", "initial"]
    put(message("B"))
    cursor, change = it.event("prediction")
    assert change["data"]["segment_id"] == "B"
    assert cursor == Position(b"memory-1", (place(2), place(0), place(0), place(0))).encode()


def test_the_first_bytes_are_sent_at_once_with_padding_and_retry(stream, topic):
    topic.set(reachable=False)
    it = stream()
    assert it.event()[1]["type"] == "connected"
    assert re.match(rb':\x20{2048}\n\nretry: \d+\ndata: \{"type":"connected"[^\n]*\n\n', it.raw)


def view_of(stream):
    """Read a view as clients do that know nothing of its parts: keep what `initial` has and what comes after it."""
    cursor, first = stream.event("initial")
    received = [(cursor, each) for each in first["predictions"]]
    while len(received) < first["count"]:
        cursor, message = stream.event()
        assert message["type"] == "prediction"
        received.append((cursor, message["data"]))
    return first, {each["segment_id"]: each for _, each in received}, [cursor for cursor, _ in received]


@pytest.fixture
def large(put):
    """Publish a view that takes several steps, and some hundred kilobytes; return its size."""
    put(array(*(message(f"S{number}", road_name="x" * 100) for number in range(2 * BATCH + 1))))
    return 2 * BATCH + 1


def test_a_large_view_is_sent_in_parts_with_the_cursor_at_the_end(stream, large, put, client, live, monkeypatch):
    monkeypatch.setattr("web.streams.session.STATS_SECONDS", 0.0)  # they would come between, if anything did
    it = stream()
    it.event("status")
    it.event("initial")
    assert len(it.raw.rpartition(b"\n\ndata: ")[2]) <= INITIAL_BYTES
    it.close()
    it = stream()
    first, view, cursors = view_of(it)
    assert 0 < len(first["predictions"]) < first["count"] == large
    polled = client.get("/api/predictions").json["data"]
    assert view == {each["segment_id"]: each for each in polled["predictions"]}
    assert (set(cursors[:-1]), cursors[-1]) == ({None}, live.feed.cursor)
    put(message("A"))
    assert it.event("prediction")[1]["data"]["segment_id"] == "A"


def test_changes_during_a_large_view_follow_it(stream, large, put):
    it = stream()
    it.event("status")  # and the first step of the view with it
    put(message("S7", timestamp=1_700_000_120_000, speed=8))
    _, view, cursors = view_of(it)
    assert view["S7"]["predicted_speed"] == 50
    cursor, change = it.event("prediction")
    assert (change["data"]["segment_id"], change["data"]["predicted_speed"]) == ("S7", 8)
    assert cursor > cursors[-1]


def test_a_client_cut_off_in_a_large_view_gets_it_again(stream, large):
    old = Position(b"another1", (place(0),)).encode()
    it = stream(**{"Last-Event-ID": old})
    assert it.event("gap")[1]["reason"] == "other_topic"
    cursors = [it.event()[0] for _ in range(BATCH)]
    assert set(cursors) == {None}  # so the client comes back with what it had
    it.close()
    assert len(view_of(stream(**{"Last-Event-ID": old}))[1]) == large


def test_a_resume_under_a_filter_ends_with_the_view(stream, large, put, live):
    cursor = view_of(stream())[2][-1]
    put(message("S7", timestamp=1_700_000_060_000, speed=7))
    it = stream("?category=moderate_traffic,severe_congestion", **{"Last-Event-ID": cursor})
    it.event("status")
    match, change = it.event()
    assert change["data"]["segment_id"] == "S7"
    first, view, cursors = view_of(it)
    assert (first["count"], len(view)) == (large, large)
    assert (set(cursors[:-1]), cursors[-1]) == ({None}, live.feed.cursor)
    assert decode(match) == decode(live.feed.cursor)


NASTY = "I-5\v\f\x1c\x1d\x1e\x85\u2028\u2029\r\nend"


def test_line_ends_in_text_do_not_cut_an_event_for_httpx(server, put):
    put(message(NASTY))
    with httpx.stream("GET", f"{server}/predictions/stream", timeout=10) as answer:
        lines = (line[6:] for line in answer.iter_lines() if line.startswith("data: "))
        view = next(each for each in map(json.loads, lines) if each["type"] == "initial")
    assert [each["segment_id"] for each in view["predictions"]] == [NASTY]


def test_line_ends_in_text_do_not_cut_a_line_of_the_history(server, put):
    put(message(NASTY))
    headers = {"Accept": "application/x-ndjson"}
    with httpx.stream("GET", f"{server}/api/predictions/history", headers=headers, timeout=10) as answer:
        received = [json.loads(line) for line in answer.iter_lines()]
    assert [each["type"] for each in received] == ["prediction", "end"]
    assert received[0]["data"]["segment_id"] == NASTY


def test_the_headers_keep_proxies_from_buffering(stream):
    headers = stream().response.headers
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert headers["Cache-Control"] == "no-cache, no-transform"
    assert headers["X-Accel-Buffering"] == "no"


def test_both_paths_serve_the_stream(client, live):
    response = client.get("/api/predictions/stream")
    assert events_of([next(response.iter_encoded())])[0][1]["type"] == "connected"
    response.close()


def test_last_event_id_resumes_after_it_and_wins_over_after(stream, put):
    put(message("A"))
    it = stream()
    cursor, _ = it.event("initial")
    put(message("B"))
    after_b, _ = it.event("prediction")
    it.close()
    put(message("C"))
    assert stream(f"?after={cursor}").event("prediction")[1]["data"]["segment_id"] == "B"
    resumed = stream(f"?after={cursor}", **{"Last-Event-ID": after_b})
    assert resumed.event("prediction")[1]["data"]["segment_id"] == "C"
    assert b"initial" not in resumed.raw


@pytest.mark.parametrize("name", ["lastEventId", "lastEventID", "last_event_id", "Last-Event-ID", "lasteventid"])
def test_any_spelling_of_last_event_id_is_accepted(stream, put, name):
    put(message("A"))
    cursor, _ = stream().event("initial")
    put(message("B"))
    after_b, _ = stream(f"?after={cursor}").event("prediction")
    put(message("C"))
    resumed = stream(f"?{name}={after_b}&after={cursor}")
    assert resumed.event("prediction")[1]["data"]["segment_id"] == "C"
    resumed = stream(f"?{name}={cursor}", **{"Last-Event-ID": after_b})
    assert resumed.event("prediction")[1]["data"]["segment_id"] == "C"


@pytest.mark.parametrize("settings", [Settings(kafka_backlog="all", max_segments=1)])
def test_an_evicted_segment_leaves_a_stream_without_a_cursor(stream, put, settings):
    put(message("A", timestamp=1_700_000_000_000))
    it = stream()
    it.event("initial")
    put(message("B", timestamp=1_700_000_000_001))
    gone = {"type": "left", "segment_id": "A", "horizon_minutes": None, "reason": "evicted"}
    assert it.event("left") == (None, gone)
    assert it.event("prediction")[1]["data"]["segment_id"] == "B"


def test_a_damaged_cursor_is_a_gap_and_the_view(stream, put):
    put(message("A"))
    it = stream("?after=damaged")
    assert it.event("gap")[1] == {"type": "gap", "reason": "bad_cursor", "missed": None}
    assert it.event()[1]["type"] == "initial"


def test_a_cursor_of_another_topic_is_a_gap(stream, live):
    it = stream(**{"Last-Event-ID": Position(b"another1", (place(0),)).encode()})
    assert it.event("gap")[1]["reason"] == "other_topic"


@pytest.mark.parametrize("settings", [Settings(kafka_backlog="all", buffer_entries=100, replay_records=0)])
def test_a_cursor_older_than_memory_is_a_gap_and_the_view(stream, put, settings):
    cursor, _ = stream().event("initial")
    for number in range(120):
        put(message(f"S{number}"))
    it = stream(f"?after={cursor}")
    assert it.event("gap")[1] == {"type": "gap", "reason": "too_old", "missed": 120}
    assert it.event()[1]["count"] == 120


@waits(SHORT_HEARTBEAT)
def test_heartbeats_are_sent_without_changes(stream, live):
    it = stream()
    it.event("initial")
    seen = b""
    while b": heartbeat" not in seen:
        seen += next(it.frames)


@pytest.fixture
def frequent_stats(monkeypatch):
    monkeypatch.setattr("web.streams.rounds.TICK_SECONDS", 0.02)
    monkeypatch.setattr("web.streams.session.STATS_SECONDS", 0.05)
    monkeypatch.setattr("web.answers.views.STATS_MAX_AGE_SECONDS", 0.0)


def wait_for_stats(stream, condition):
    """Read events until the statistics fulfil a condition."""
    while not condition(stream.event("stats")[1]["data"]):
        pass


def test_stats_follow_a_change(frequent_stats, stream, put):
    it = stream()
    it.event("initial")
    put(message("A", speed=10))
    wait_for_stats(it, lambda stats: stats["categories"]["severe_congestion"] == 1)


def test_stats_count_refused_messages(frequent_stats, stream, put):
    it = stream()
    it.event("initial")
    put(b"{")
    wait_for_stats(it, lambda stats: stats["quarantined"] == 1)


def test_stats_have_scores_once_actual_speeds_are_known(frequent_stats, stream, put):
    it = stream()
    it.event("initial")
    put(message("A", speed=50, current_speed=60, horizon_minutes=5))
    wait_for_stats(it, lambda stats: stats["total"] == 1 and stats["scores"] is None)
    put(message("A", timestamp=1_700_000_300_000, speed=50, current_speed=48))
    wait_for_stats(it, lambda stats: stats["scores"] and stats["scores"]["rmse"] == 2.0)


@waits(SHORT_SILENCE)
def test_status_follows_an_outage_of_the_broker(stream, live, topic):
    it = stream()
    assert it.event("status")[1]["state"] == "live"
    topic.set(reachable=False)
    assert it.event("status")[1]["state"] == "reconnecting"
    topic.set(reachable=True)
    states = [it.event("status")[1]["state"]]
    while states[-1] != "live":  # a stream that reads late misses the states before
        states.append(it.event("status")[1]["state"])
    assert {*states} <= {"reconnecting", "catching_up", "live"}


def test_a_tombstone_sends_left_with_a_cursor(stream, put):
    put(message("A"))
    it = stream()
    it.event("initial")
    put(None, key=b"A")
    cursor, left = it.event("left")
    assert left == {"type": "left", "segment_id": "A", "horizon_minutes": None, "reason": "removed"}
    assert cursor is not None


def test_position_is_sent_when_the_cursor_moved_without_a_match(stream, put, monkeypatch):
    monkeypatch.setattr("web.streams.session.POSITION_SECONDS", 0.0)
    it = stream("?horizon=15")
    before, _ = it.event("initial")
    put(message("A", horizon_minutes=30))
    cursor, moved = it.event("position")
    assert moved == {"type": "position"}
    assert cursor != before


def test_closing_sends_bye_with_retry_and_ends(stream, live, app):
    it = stream()
    it.event("initial")
    app.extensions["greenwave"].admission.close()
    live.feed.wake()
    rest = b"".join(it.frames)
    assert re.match(rb'retry: \d+\ndata: \{"type":"bye"', rest)
    assert events_of([rest])[-1][1]["type"] == "bye"


def test_without_a_free_slot_the_answer_is_200_with_busy(client, live, app):
    open_streams = [client.get("/predictions/stream") for _ in range(6)]
    response = client.get("/predictions/stream")
    assert response.status_code == 200
    assert re.match(rb'retry: \d+\ndata: \{"type":"busy"', response.data)
    assert events_of([response.data])[0][1]["type"] == "busy"
    for each in open_streams:
        each.close()
    assert app.extensions["greenwave"].admission.counts().get("sse", 0) == 0
    again = client.get("/predictions/stream")
    assert events_of([next(again.iter_encoded())])[0][1]["type"] == "connected"
    again.close()


def test_a_head_request_holds_no_slot(client, app, live):
    response = client.head("/predictions/stream")
    assert (response.status_code, response.data) == (200, b"")
    assert app.extensions["greenwave"].admission.counts().get("sse", 0) == 0


def test_an_error_in_a_stream_is_sent_and_logged(stream, live, monkeypatch, caplog):
    it = stream()
    it.event("initial")
    monkeypatch.setattr("web.streams.channel.Channel.flush", lambda self, now, most_bytes: 1 / 0)
    live.feed.announce(Status("live", 0.0, "news"))
    _, error = it.event("error")
    assert (error["error"], next(it.frames, None)) == ("ZeroDivisionError", None)
    assert any(record.exc_info for record in caplog.records)


def test_a_hundred_resumes_under_load_lose_and_repeat_nothing(server, topic, live):
    total, done = 3000, threading.Event()

    def load():
        for number in range(total):
            topic.append(message(f"{number % 4}/{number // 4}"), partition=number % 4)
            if number % 20 == 0:
                done.wait(0.002)

    producer = threading.Thread(target=load)
    seen, cursor, cuts = [], live.feed.position.encode(), 0
    producer.start()
    while len(seen) < total:
        request = urllib.request.Request(f"{server}/predictions/stream", headers={"Last-Event-ID": cursor})
        with urllib.request.urlopen(request, timeout=10) as response:
            wanted = (7 * cuts) % 31 + 1 if cuts < 100 else total
            for event in sseclient.SSEClient(iter(response.read1, b"")).events():
                if '"type":"prediction"' in event.data:
                    seen.append(event.data.split('"segment_id":"')[1].split('"')[0])
                    cursor = event.id
                    wanted -= 1
                if wanted == 0 or len(seen) == total:
                    break
        cuts += 1
    producer.join()
    assert cuts > 100
    for partition in range(4):
        assert [each for each in seen if each.startswith(f"{partition}/")] == [
            f"{partition}/{number}" for number in range(total // 4)
        ]
