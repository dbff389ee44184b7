"""JSON polling: exact answers, changes since a cursor, and errors."""

import json
import threading
from urllib.parse import quote

import pytest

from consumer.settings import Settings
from consumer.sources.memory import MemorySource
from consumer.view.cursor import CURRENT, Position, place
from consumer.view.filters import EVERYTHING
from tests.consumer.helpers import array, feed_of, message, publish, record
from tests.web.conftest import hold_slot
from web.answers.views import encode_body

T = 1_700_000_000_000

AN_ANSWER = {
    "segment_id": "LA_001",
    "timestamp": 1_700_000_000_000,
    "prediction_time": "2023-11-14T22:13:20.000Z",
    "horizon_minutes": None,
    "current_speed": 40.0,
    "predicted_speed": 50.0,
    "speed_diff": 10.0,
    "current_volume": None,
    "category": "moderate_traffic",
}


def data(response):
    assert response.status_code == 200, response.json
    assert response.json["success"] is True
    return response.json["data"]


def test_an_unknown_path_is_a_404_that_names_the_page(client):
    answer = client.get("/api/nothing")
    assert answer.status_code == 404
    assert answer.json["error"] == (
        "there is nothing at /api/nothing; the page is /predictions, the data is /api/predictions"
    )


@pytest.mark.parametrize("name", ["I-405/N 12", "/x", "x/", "//", "a\r\nb", "a\x00b", "?&#%", "history2", "ü💥"])
def test_a_segment_may_have_any_name(client, put, name):
    put(message(name))
    assert client.get(f"/api/predictions/{quote(name, safe='')}").json["data"]["segment_id"] == name


def test_exact_json_of_the_whole_view(client, put):
    put(message(current_speed=40.0, prediction_time=1_700_000_000_000))
    answer = data(client.get("/api/predictions"))
    timestamp = answer.pop("timestamp")
    assert timestamp.endswith("Z")
    assert answer == {
        "predictions": [AN_ANSWER],
        "cursor": Position(b"memory-1", (place(1), place(0), place(0), place(0))).encode(CURRENT),
        "stats": {
            "total": 1,
            "categories": {"free_flow": 0, "moderate_traffic": 1, "heavy_traffic": 0, "severe_congestion": 0},
            "avgSpeedDiff": 10.0,
            "avg_predicted_speed": 50.0,
            "avg_current_speed": 40.0,
            "high_congestion_count": 0,
            "moderate_congestion_count": 0,
            "segments": 1,
            "newest_timestamp": 1_700_000_000_000,
            "scores": None,
            "quarantined": 0,
            "warning": None,
        },
    }


def test_changes_after_a_cursor_are_in_log_order(client, put):
    put(message("A"))
    cursor = data(client.get("/api/predictions"))["cursor"]
    put(message("B"))
    put(message("A", timestamp=1_700_000_000_001))
    answer = data(client.get(f"/api/predictions?after={cursor}"))
    assert [each["segment_id"] for each in answer["predictions"]] == ["B", "A"]
    assert (answer["more"], "gap" in answer, "stats" in answer) == (False, False, False)
    again = data(client.get(f"/api/predictions?after={answer['cursor']}"))
    assert (again["predictions"], again["cursor"]) == ([], answer["cursor"])


def test_a_limit_pages_through_the_changes(client, put):
    cursor = data(client.get("/api/predictions"))["cursor"]
    put(array(*[message(f"S{number}") for number in range(7)]))
    seen, more = [], True
    while more:
        answer = data(client.get(f"/api/predictions?after={cursor}&limit=3"))
        assert len(answer["predictions"]) <= 3
        seen.extend(each["segment_id"] for each in answer["predictions"])
        cursor, more = answer["cursor"], answer["more"]
    assert seen == [f"S{number}" for number in range(7)]


def test_a_removal_has_its_place_among_the_predictions(client, put):
    put(message("A"))
    cursor = data(client.get("/api/predictions"))["cursor"]
    put(message("B"))
    put(None, key=b"A")
    put(message("A"))
    answer = data(client.get(f"/api/predictions?after={cursor}"))
    assert [each["segment_id"] for each in answer["predictions"]] == ["B", "A"]
    assert answer["left"] == [{"segment_id": "A", "horizon_minutes": None, "reason": "removed", "at": 1}]


@pytest.mark.parametrize("settings", [Settings(kafka_backlog="all", max_segments=1)])
def test_an_evicted_segment_is_listed_as_left(client, put, settings):
    put(message("A", timestamp=1_700_000_000_000))
    cursor = data(client.get("/api/predictions"))["cursor"]
    put(message("B", timestamp=1_700_000_000_001))
    answer = data(client.get(f"/api/predictions?after={cursor}"))
    assert [each["segment_id"] for each in answer["predictions"]] == ["B"]
    assert answer["left"] == [{"segment_id": "A", "horizon_minutes": None, "reason": "evicted", "at": 0}]


@pytest.mark.parametrize("settings", [Settings(kafka_backlog="all", buffer_entries=100, replay_records=0)])
def test_a_cursor_older_than_memory_is_a_gap_with_the_whole_view(client, put, settings):
    cursor = data(client.get("/api/predictions"))["cursor"]
    put(array(*[message(f"S{number}") for number in range(150)]))
    answer = data(client.get(f"/api/predictions?after={cursor}"))
    assert answer["gap"] == {"reason": "too_old", "missed": 1}
    assert len(answer["predictions"]) == answer["stats"]["total"] == 150
    assert answer["more"] is False


@pytest.mark.parametrize("path", ["/api/predictions", "/api/predictions/history"])
def test_a_cursor_beyond_the_topic_is_a_gap_in_the_first_answer(client, put, path):
    put(message("A"))
    beyond = Position(b"memory-1", (place(9), place(0), place(0), place(0))).encode()
    assert data(client.get(f"{path}?after={beyond}"))["gap"] == {"reason": "ahead", "missed": None}


def test_a_poll_that_waits_for_the_end_offsets_holds_a_slot(app, client, put, monkeypatch):
    monkeypatch.setattr(MemorySource, "ends_since", lambda _self, _when: None)
    put(message("A"))
    admission = app.extensions["greenwave"].admission
    slots = list(iter(lambda: hold_slot(admission), None))
    beyond = Position(b"memory-1", (place(9), place(0), place(0), place(0))).encode()
    assert client.get(f"/api/predictions?after={beyond}").status_code == 429
    for each in slots:
        each.release()


def test_a_cursor_of_another_topic_is_a_gap(client, put):
    foreign = Position(b"another1", (place(3),)).encode()
    assert data(client.get(f"/api/predictions?after={foreign}"))["gap"] == {"reason": "other_topic", "missed": None}


def test_an_unchanged_view_is_a_304(client, put):
    put(message("A"))
    first = client.get("/api/predictions")
    etag = first.headers["ETag"]
    assert etag.startswith('W/"')
    again = client.get("/api/predictions", headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    put(message("B"))
    assert client.get("/api/predictions", headers={"If-None-Match": etag}).status_code == 200


def test_the_entity_tag_depends_on_content_not_only_on_the_cursor():
    def tag(*records):
        feed = feed_of()
        publish(feed, *records)
        body = encode_body(feed, EVERYTHING)
        return body.etag, json.loads(body.content)["data"]["cursor"]

    backlog, last = record(0, 0, message("A")), record(0, 1, message("B"))
    tags, cursors = zip(tag(backlog, last), tag(last), tag(backlog, last), strict=True)
    assert len(set(cursors)) == 1
    assert tags[0] == tags[2] != tags[1]


@pytest.mark.parametrize("settings", [Settings(kafka_backlog="all", buffer_entries=100)])
def test_a_poll_under_a_filter_that_is_far_behind_gets_the_view(client, put):
    put(message("X", timestamp=T, speed=10.0))
    cursor = data(client.get("/api/predictions?category=severe_congestion"))["cursor"]
    put(message("X", timestamp=T + 1, speed=70.0))
    put(array(*[message(f"S{number}", timestamp=T + 2, speed=70.0) for number in range(150)]))
    put(message("X", timestamp=T + 500, speed=71.0))
    answer = data(client.get(f"/api/predictions?category=severe_congestion&after={cursor}"))
    assert (answer["gap"], answer["predictions"], answer["more"]) == (None, [], False)


def test_horizon_selects_horizons(client, put):
    for minutes in (60, 15, 30):
        put(message("A", horizon_minutes=minutes))

    def asked(query):
        return [each["horizon_minutes"] for each in data(client.get(f"/api/predictions{query}"))["predictions"]]

    assert asked("") == [15]
    assert asked("?horizon=all") == [15, 30, 60]
    assert asked("?horizon=60,15") == [15, 60]
    assert asked("?horizon=30.0,7.5") == [30]
    assert asked("?horizon=none") == asked("?horizon=-5") == asked("?horizon=20160") == []


def test_a_long_poll_answers_at_the_first_change(client, put, app):
    cursor = data(client.get("/api/predictions"))["cursor"]
    answers = []
    other = app.test_client()
    thread = threading.Thread(target=lambda: answers.append(other.get(f"/api/predictions?after={cursor}&wait=25")))
    thread.start()
    put(message("A"))
    thread.join(60)
    assert [each["segment_id"] for each in data(answers[0])["predictions"]] == ["A"]


def test_a_long_poll_without_changes_answers_with_a_cursor(client, live):
    cursor = data(client.get("/api/predictions"))["cursor"]
    answer = data(client.get(f"/api/predictions?after={cursor}&wait=0.05"))
    assert (answer["predictions"], answer["cursor"]) == ([], cursor)


def test_a_long_poll_without_a_free_slot_answers_at_once(client, live, app):
    admission = app.extensions["greenwave"].admission
    slots = [hold_slot(admission) for _ in range(6)]
    cursor = data(client.get("/api/predictions"))["cursor"]
    assert data(client.get(f"/api/predictions?after={cursor}&wait=25"))["predictions"] == []
    for slot in slots:
        slot.release()


def test_the_view_before_the_first_read_is_empty_without_a_cursor(client, topic):
    topic.set(reachable=False)
    answer = data(client.get("/api/predictions"))
    assert answer["predictions"] == []


def test_one_segment_has_its_newest_by_horizon_and_its_history(client, put):
    put(message("A", timestamp=1_700_000_000_000, horizon_minutes=15))
    put(message("A", timestamp=1_700_000_300_000, horizon_minutes=15))
    put(message("A", timestamp=1_700_000_300_000, horizon_minutes=30))
    answer = data(client.get("/api/predictions/A"))
    assert [each["horizon_minutes"] for each in answer["latest"]] == [15, 30]
    assert [each["timestamp"] for each in answer["history"]] == [1_700_000_000_000] + [1_700_000_300_000] * 2
    assert answer["history_complete"] is True


def test_one_segment_has_actual_speeds_and_its_scores(client, put):
    made = 1_700_000_000_000
    put(message("A", timestamp=made, speed=50, current_speed=60, horizon_minutes=5))
    answer = data(client.get("/api/predictions/A"))
    assert [(each["actual"], each["error"]) for each in answer["history"]] == [(None, None)]
    assert answer["scores"] is None
    put(message("A", timestamp=made + 300_000, speed=50, current_speed=47.5, horizon_minutes=5))
    put(message("B", timestamp=made, speed=50, current_speed=60, horizon_minutes=5))
    put(message("B", timestamp=made + 300_000, speed=50, current_speed=50))
    answer = data(client.get("/api/predictions/A"))
    assert [(each["actual"], each["error"]) for each in answer["history"]] == [(47.5, 2.5), (None, None)]
    assert "actual" not in answer["latest"][0]
    persistence = {"count": 1, "rmse": 12.5, "mae": 12.5, "bias": 12.5}
    score = {"count": 1, "rmse": 2.5, "mae": 2.5, "bias": 2.5, "persistence": persistence}
    assert answer["scores"] == {**score, "by_horizon": [{"horizon_minutes": 5, **score}]}


@pytest.mark.parametrize("query", ["", "?segment=A", "?horizon=15"])
def test_stats_of_every_view_have_the_scores_of_all_predictions(client, put, query):
    made = 1_700_000_000_000
    put(message("B", timestamp=made, speed=50, current_speed=60, horizon_minutes=5))
    assert data(client.get(f"/api/predictions{query}"))["stats"]["scores"] is None
    put(message("B", timestamp=made + 300_000, speed=50, current_speed=48))
    scores = data(client.get(f"/api/predictions{query}"))["stats"]["scores"]
    assert (scores["count"], scores["bias"], scores["persistence"]["bias"]) == (1, 2.0, 12.0)
    foreign = Position(b"another1", (place(3),)).encode()
    assert data(client.get(f"/api/predictions?after={foreign}"))["stats"]["scores"] == scores


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("get", "/api/predictions?after=xyz", 400, "after can't be used: the cursor's checksum is wrong"),
        ("get", "/api/predictions?after=a%00b", 400, "after can't be used: the cursor is not base64url"),
        ("get", "/api/predictions?after=a&after=b", 400, "after was given 2 times; allowed: once"),
        ("get", "/api/predictions?limit=0", 400, "limit='0' can't be used; allowed: a whole number from 1 to 1000"),
        ("get", "/api/predictions?limit=1001", 400, "limit='1001' can't be used"),
        ("get", "/api/predictions?limit=-5", 400, "limit='-5' can't be used"),
        ("get", "/api/predictions?limit=%D9%A3", 400, "limit='٣' can't be used"),
        ("get", "/api/predictions?limit=" + "9" * 5000, 400, "limit='9999"),
        ("get", "/api/predictions?wait=26", 400, "wait='26' can't be used; allowed: seconds from 0 to 25"),
        ("get", "/api/predictions?wait=nan", 400, "wait='nan' can't be used"),
        ("get", "/api/predictions?horizon=soon", 400, "horizon='soon' can't be used; allowed: all, or a comma list"),
        ("get", "/api/predictions?horizon=15,,30", 400, "horizon lists an empty value"),
        ("get", "/api/predictions?horizon=" + ",".join(["1"] * 25), 400, "horizon lists 25 values"),
        ("get", "/api/predictions?colour=red", 400, "unknown parameter 'colour'; allowed here: after, since, limit"),
        ("get", "/api/predictions/stream?horizon=x", 400, "horizon='x' can't be used"),
        ("get", "/api/predictions/nowhere", 404, "segment 'nowhere' is unknown; GET /api/predictions lists"),
        ("get", "/nothing", 404, "there is nothing at /nothing; the page is /predictions"),
        ("post", "/api/predictions/stream", 405, "not allowed"),
        ("delete", "/predictions/stream", 405, "not allowed"),
        ("get", "/api/health?x=1", 400, "unknown parameter 'x'; allowed here: none"),
    ],
)
def test_bad_input_is_a_clear_error_as_json(client, live, method, path, status, said):
    response = getattr(client, method)(path, data=b"\xff{" if method == "post" else None)
    assert response.status_code == status
    assert response.content_type == "application/json"
    assert response.json["success"] is False
    assert said.lower() in response.json["error"].lower()


def test_a_405_names_the_allowed_methods(client):
    assert {"GET", "POST"} <= {each.strip() for each in client.delete("/api/predictions").headers["Allow"].split(",")}


def test_an_error_is_a_500_with_a_traceback_in_the_log_only(app, caplog):
    app.add_url_rule("/bug", view_func=lambda: {}["secret"])
    response = app.test_client().get("/bug")
    assert response.status_code == 500
    assert response.json == {
        "success": False,
        "error": "the server failed to answer this request; the log says why",
        "request_id": response.headers["X-Request-ID"],
    }
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("given", ["{}", '{}, W/"other"', '"other", {}', "{strong}", "*"])
@pytest.mark.parametrize("path", ["/api/predictions", "/api/predictions?segment=A", "/api/network"])
def test_each_form_of_a_known_tag_is_a_304_without_content(client, put, path, given):
    put(message("A"))
    first = client.get(path)
    tag = first.headers["ETag"]
    known = {"If-None-Match": given.format(tag, strong=tag.removeprefix("W/"))}
    again = client.get(path, headers=known)
    assert (again.status_code, again.data) == (304, b"")
    assert {"Content-Type", "Content-Length", "Content-Encoding"}.isdisjoint(again.headers.keys())
    for name in ("ETag", "Cache-Control", "Vary", "Content-Security-Policy"):
        assert again.headers[name] == first.headers[name]
    assert client.get(path, headers={"If-None-Match": 'W/"other"'}).data == first.data


@pytest.mark.parametrize("path", ["/api/predictions", "/api/predictions?segment=A", "/api/network"])
def test_head_has_the_headers_of_get_and_no_body(client, put, path):
    put(message("A"))
    whole, head = (ask(path, headers={"X-Request-ID": "mine"}) for ask in (client.get, client.head))
    assert (head.status_code, head.data) == (200, b"")
    assert dict(head.headers) == dict(whole.headers)
    assert int(head.headers["Content-Length"]) == len(whole.data)
