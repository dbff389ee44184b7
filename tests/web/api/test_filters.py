"""Filters, times, history and compression over HTTP, with exact answers; errors name the allowed values."""

import gzip
import json
import threading

import pytest

from consumer.settings import Settings
from consumer.view.events import CUT_OFF
from tests.consumer.helpers import array, message
from tests.web.api.test_polling import data
from tests.web.conftest import hold_slot, waits
from tests.web.server.test_worker import until
from web import params

TIME_MS = 1_700_000_000_000
SEGMENTS = [
    {"segment": "A", "speed": 10, "road_name": "I-5 N", "coordinates": {"latitude": 34.0, "longitude": -118.2}},
    {"segment": "B", "speed": 35, "road_name": "I-5 S", "coordinates": {"latitude": 33.0, "longitude": -117.2}},
    {"segment": "C", "speed": 70, "road_name": "US-101 N"},
]


@pytest.fixture
def three(put):
    put(array(*[message(**fields) for fields in SEGMENTS]))


@pytest.mark.parametrize(
    ("query", "segments"),
    [
        ("segment=A&segment=C", "AC"),
        ("segment=A,C", "AC"),
        ("category=severe_congestion,free_flow", "AC"),
        ("bbox=-119,33.5,-118,34.5", "A"),
        ("road=i-5", "AB"),
        ("road=I-5%20N", "A"),
        ("road=i-5&category=heavy_traffic", "B"),
        ("horizon=none", "ABC"),
        ("horizon=15", ""),
        ("segment=", "ABC"),
    ],
)
def test_a_filter_selects_predictions_and_their_statistics(client, three, query, segments):
    answer = data(client.get(f"/api/predictions?{query}"))
    assert "".join(each["segment_id"] for each in answer["predictions"]) == segments
    assert answer["stats"]["total"] == len(segments)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("category=red", "category='red' can't be used; allowed: free_flow, moderate_traffic, heavy_traffic, severe"),
        ("bbox=1,2,3", "bbox='1,2,3' can't be used; allowed: west,south,east,north in degrees"),
        ("bbox=1,2,3,nan", "bbox='1,2,3,nan' can't be used"),
        ("bbox=5,10,nan,80", "bbox='5,10,nan,80' can't be used"),
        ("bbox=0,50,1,40", "bbox='0,50,1,40' can't be used"),
        ("bbox=-200,0,1,40", "bbox='-200,0,1,40' can't be used"),
        ("segment=" + ",".join(map(str, range(201))), "segment lists 201 values; allowed: at most 200"),
        ("road=a,,b", "road lists an empty value"),
        ("since=yesterday", "since='yesterday' can't be used; allowed: epoch milliseconds, or ISO 8601 such as"),
        ("since=9999999999999999", "since='9999999999999999' can't be used"),
        ("since=0001-01-01T00:00:00", "since='0001-01-01T00:00:00' can't be used; allowed: epoch milliseconds, or ISO"),
        ("since=1969-12-31", "since='1969-12-31' can't be used"),
        ("since=1795465615", "since='1795465615' can't be used; allowed: epoch milliseconds"),
        ("since=2300-01-01", "since='2300-01-01' can't be used"),
    ],
)
@pytest.mark.parametrize("route", ["/api/predictions", "/predictions/stream", "/api/predictions/history"])
def test_an_unusable_value_is_refused_with_the_allowed_ones(client, live, route, query, said):
    answer = client.get(f"{route}?{query}")
    assert answer.status_code == 400
    assert answer.json["error"].startswith(said)


def test_entity_tags_differ_by_filter(client, three):
    tags = {client.get(f"/api/predictions{query}").headers["ETag"] for query in ("", "?segment=A", "?segment=B")}
    assert len(tags) == 3


def test_a_poll_lists_what_left(client, put, three):
    cursor = data(client.get("/api/predictions?category=severe_congestion"))["cursor"]
    put(message("A", timestamp=TIME_MS + 1, speed=70))
    put(message("B", timestamp=TIME_MS + 1, speed=20))
    answer = data(client.get(f"/api/predictions?category=severe_congestion&after={cursor}"))
    assert [each["segment_id"] for each in answer["predictions"]] == ["B"]
    gone = {"segment_id": "A", "horizon_minutes": None, "reason": "no_longer_matches", "at": 0}
    assert answer["left"] == [gone]
    assert "gap" not in answer


def test_a_stream_under_a_filter_sends_its_view_and_what_left(stream, put, three):
    it = stream("?category=severe_congestion")
    assert [each["segment_id"] for each in it.event("initial")[1]["predictions"]] == ["A"]
    put(message("A", timestamp=TIME_MS + 1, speed=70))
    cursor, gone = it.event("left")
    assert gone == {"type": "left", "segment_id": "A", "horizon_minutes": None, "reason": "no_longer_matches"}
    put(message("B", timestamp=TIME_MS + 1, speed=20))
    resumed = stream("?category=severe_congestion", **{"Last-Event-ID": cursor})
    assert [resumed.event()[1]["type"] for _ in range(4)] == ["connected", "status", "prediction", "initial"]


def test_since_returns_what_came_from_a_time_on(client, topic, live, stream):
    for number in range(5):
        topic.append(message(f"S{number}"), partition=number % 2, timestamp_ms=TIME_MS + 1000 * number)
    with live.feed._state.changed:
        assert live.feed._state.changed.wait_for(lambda: live.feed.fill().received == 5, 60)
    answer = data(client.get(f"/api/predictions?since={TIME_MS + 2000}"))
    assert sorted(each["segment_id"] for each in answer["predictions"]) == ["S2", "S3", "S4"]
    it = stream("?since=2023-11-14T22:13:22Z")
    assert sorted(it.event("prediction")[1]["data"]["segment_id"] for _ in range(3)) == ["S2", "S3", "S4"]


def test_a_cursor_wins_over_since(client, put, stream):
    put(message("A"))
    cursor = data(client.get("/api/predictions"))["cursor"]
    put(message("B"))
    answer = data(client.get(f"/api/predictions?after={cursor}&since=0"))
    assert [each["segment_id"] for each in answer["predictions"]] == ["B"]


@pytest.mark.parametrize("settings", [Settings(kafka_backlog="all", buffer_entries=100)])
def test_a_poll_goes_beyond_memory_page_by_page(client, put, settings):
    cursor = data(client.get("/api/predictions"))["cursor"]
    for number in range(300):
        put(message(f"S{number}"))
    seen, views, more = [], [], True
    while more:
        answer = data(client.get(f"/api/predictions?after={cursor}&limit=70"))
        if "gap" in answer:
            views.append(answer)
        else:
            seen += [each["segment_id"] for each in answer["predictions"]]
        cursor, more = answer["cursor"], answer["more"]
    assert seen == [f"S{number}" for number in range(300)], "each once"
    (view,) = views
    assert view["gap"] is None, "nothing was missed: the view ends the replay"
    assert len(view["predictions"]) == 300


def test_an_answer_is_compressed_if_the_client_accepts_gzip(client, put):
    put(array(*[message(f"S{number}") for number in range(100)]))
    plain = client.get("/api/predictions")
    packed = client.get("/api/predictions", headers={"Accept-Encoding": "gzip"})
    refused = client.get("/api/predictions", headers={"Accept-Encoding": "gzip;q=0"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.data) == plain.data == refused.data
    assert len(packed.data) * 5 < len(plain.data)
    assert packed.headers["ETag"] == plain.headers["ETag"]


def test_a_body_is_encoded_and_compressed_once_per_change(client, put, monkeypatch):
    made = []
    monkeypatch.setattr("web.answers.views.compress", lambda content: made.append(1) or gzip.compress(content))
    put(array(*[message(f"S{number}") for number in range(100)]))
    for _ in range(5):
        client.get("/api/predictions", headers={"Accept-Encoding": "gzip"})
    assert len(made) == 1


@waits(Settings(kafka_backlog="all", buffer_entries=100, kafka_silence_seconds=0.5))
def test_a_poll_beyond_memory_in_an_outage_answers_at_once(client, put, topic, live, settings):
    first = data(client.get("/api/predictions"))["cursor"]
    for number in range(300):
        put(message(f"S{number}", timestamp=TIME_MS))
    topic.set(reachable=False)
    assert live.feed.wait_for_status(lambda status: status.state == "reconnecting", 60).state == "reconnecting"
    answer = data(client.get(f"/api/predictions?after={first}"))
    assert (answer["predictions"], answer["cursor"], answer["more"]) == ([], first, False)
    assert data(client.get("/api/predictions?since=0"))["gap"] == {"reason": "replay_failed", "missed": None}
    page = history(client, f"?after={first}")
    assert (page["predictions"], page["cursor"]) == ([], first)
    assert page["gap"] == {"reason": "replay_failed", "missed": None}
    topic.set(reachable=True)
    live.wait_ready(30)
    assert len(data(client.get(f"/api/predictions?after={first}"))["predictions"]) == 300


def test_a_day_without_separators_is_a_day():
    assert params.moment_of("since", "20231114") == params.moment_of("since", "2023-11-14") == 1_699_920_000_000


# History


def history(client, query=""):
    return data(client.get(f"/api/predictions/history{query}"))


def test_the_history_is_oldest_first_and_paged_by_cursor(client, put):
    for number in range(25):
        put(message("A", timestamp=TIME_MS + number))
    seen, query = [], "?limit=10"
    while True:
        page = history(client, query)
        seen.append([each["timestamp"] - TIME_MS for each in page["predictions"]])
        if not page["more"]:
            break
        query = f"?limit=10&after={page['cursor']}"
    assert [each for page in seen for each in page] == list(range(25))
    assert [len(page) for page in seen] == [10, 10, 5]


def test_history_is_filtered_by_time_and_segment(client, topic, live):
    for number in range(20):
        value = message("AB"[number % 2], timestamp=TIME_MS + 1000 * number)
        topic.append(value, timestamp_ms=TIME_MS + 1000 * number)
    with live.feed._state.changed:
        assert live.feed._state.changed.wait_for(lambda: live.feed.fill().received == 20, 60)
    page = history(client, f"?since={TIME_MS + 5000}&until={TIME_MS + 12_000}&segment=A")
    assert [(each["timestamp"] - TIME_MS) // 1000 for each in page["predictions"]] == [6, 8, 10]


@pytest.mark.parametrize("settings", [Settings(kafka_backlog="all", buffer_entries=100)])
def test_the_history_goes_beyond_memory(client, put, settings):
    for number in range(300):
        put(message(f"S{number}", timestamp=TIME_MS))
    assert len(history(client)["predictions"]) == 100, "what is in memory"
    assert len(history(client, f"?since={TIME_MS}")["predictions"]) == 300
    assert "gap" not in history(client, f"?since={TIME_MS}")


@pytest.mark.parametrize("settings", [Settings(kafka_backlog="all", buffer_entries=100, replay_records=200)])
def test_a_history_beyond_the_limit_is_from_memory_with_a_gap(client, put):
    for number in range(300):
        put(message(f"S{number}", timestamp=TIME_MS))
    page = history(client, f"?since={TIME_MS}")
    assert page["gap"] == {"reason": "replay_limit", "missed": 300}
    assert len(page["predictions"]) == 100


@waits(Settings(kafka_backlog="all", buffer_entries=100, replay_seconds=1))
def test_history_in_an_outage_is_from_memory_with_a_gap(client, put, topic, settings):
    for number in range(300):
        put(message(f"S{number}", timestamp=TIME_MS))
    topic.set(reachable=False)
    page = history(client, "?since=0")
    assert page["gap"] == {"reason": "replay_failed", "missed": None}
    assert len(page["predictions"]) == 100


@waits(Settings(kafka_backlog="all", buffer_entries=100, kafka_silence_seconds=0.5))
def test_a_long_poll_beyond_memory_waits_for_kafka(client, app, put, topic, live):
    cursor = data(client.get("/api/predictions"))["cursor"]
    for number in range(300):
        put(message(f"S{number}", timestamp=TIME_MS))
    topic.set(reachable=False)
    live.feed.wait_for_status(lambda status: status.state in CUT_OFF, 60)
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(app.test_client().get(f"/api/predictions?after={cursor}&wait=25"))
    )
    thread.start()
    until(lambda: app.extensions["greenwave"].admission.counts().get("long_poll") == 1)
    topic.set(reachable=True)
    thread.join(60)
    assert len(data(answers[0])["predictions"]) > 0


def test_each_line_of_the_history_has_a_cursor_to_resume_from(client, put):
    for number in range(25):
        put(message("A", timestamp=TIME_MS + number))
    answer = client.get("/api/predictions/history", headers={"Accept": "application/x-ndjson"})
    assert answer.mimetype == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.data.splitlines()]
    assert [line["data"]["timestamp"] - TIME_MS for line in lines[:-1]] == list(range(25))
    assert lines[-1] == {"type": "end", "more": False, "cursor": lines[-2]["cursor"]}
    after = lines[9]["cursor"]
    assert [each["timestamp"] - TIME_MS for each in history(client, f"?after={after}")["predictions"]] == list(
        range(10, 25)
    )


def test_the_number_of_history_lines_can_be_limited(client, put):
    for number in range(25):
        put(message("A", timestamp=TIME_MS + number))
    answer = client.get("/api/predictions/history?limit=10", headers={"Accept": "application/x-ndjson"})
    lines = [json.loads(line) for line in answer.data.splitlines()]
    assert [line["data"]["timestamp"] - TIME_MS for line in lines[:-1]] == list(range(10))
    assert lines[-1] == {"type": "end", "more": True, "cursor": lines[-2]["cursor"]}


def test_a_time_range_that_ends_before_it_begins_is_refused(client, live):
    answer = client.get("/api/predictions/history?since=1700000002000&until=1700000001000")
    assert answer.status_code == 400
    assert answer.json["error"] == "since=1700000002000 is not before until=1700000001000; allowed: an earlier time"


def test_without_a_free_slot_the_answer_is_429_with_retry_after(client, app, live):
    admission = app.extensions["greenwave"].admission
    slots = [hold_slot(admission) for _ in range(admission.size)]
    assert client.get("/api/predictions/history").status_code == 200, "reading from memory needs no slot"
    for route in ("/api/predictions/history?since=0", "/api/predictions?since=0"):
        answer = client.get(route)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")
    for slot in slots:
        slot.release()


@pytest.mark.parametrize("settings", [Settings(kafka_backlog="all", buffer_entries=1_200)])
def test_the_last_of_each_segment_and_horizon_are_given(client, put):
    steps = [(number, segment, horizon) for number in range(250) for segment in "ABC" for horizon in (5, 15)]
    for number, segment, horizon in steps:
        put(message(segment, timestamp=TIME_MS + number, horizon_minutes=horizon))
    page = history(client, "?last=3&segment=A,B&horizon=all")
    given = [(each["timestamp"] - TIME_MS, each["segment_id"], each["horizon_minutes"]) for each in page["predictions"]]
    assert given == [(number, segment, horizon) for number, segment, horizon in steps[-18:] if segment != "C"]
    shown = history(client, "?last=3&segment=A")["predictions"]
    assert [each["horizon_minutes"] for each in shown] == [5, 5, 5]
    assert history(client, f"?after={page['cursor']}")["predictions"] == []


def test_the_last_come_without_a_time(client, live):
    answer = client.get("/api/predictions/history?last=3&since=0")
    assert answer.status_code == 400
    assert "unknown parameter 'since'" in answer.json["error"]


def test_an_empty_number_of_last_is_none(client, put):
    for number in range(3):
        put(message("A", timestamp=TIME_MS + number))
    assert len(history(client, f"?last=&limit=2&until={TIME_MS + 9}")["predictions"]) == 2
    assert client.get("/api/predictions/history?last=0").status_code == 400


def test_the_last_are_json_whatever_the_client_accepts(client, put):
    put(message("A", timestamp=TIME_MS))
    answer = client.get("/api/predictions/history?last=1", headers={"Accept": "application/x-ndjson"})
    assert (answer.mimetype, len(data(answer)["predictions"])) == ("application/json", 1)
