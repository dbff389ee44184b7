"""`include=observations` on every transport, and answers without it."""

import json
import os

import pytest

from tests.consumer.helpers import array, message
from tests.consumer.view.test_observed import T, seen
from tests.web.api.test_polling import data

WITH = "include=observations"
SEEN = {
    "segment_id": "A",
    "timestamp": T,
    "current_speed": 40.0,
    "current_volume": 12.0,
    "category": "heavy_traffic",
}


@pytest.fixture
def three(put):
    """An observation of A, a prediction of A, and an observation of B."""
    put(array(seen("A", T, 40, volume=12), message("A", T), seen("B", T, 70)))


def segments(items):
    return [each["segment_id"] for each in items]


def test_a_view_has_observations_where_they_are_asked_for(client, three):
    with_ = data(client.get(f"/api/predictions?{WITH}"))
    assert with_["observations"][0] == SEEN
    assert (segments(with_["observations"]), segments(with_["predictions"])) == (["A", "B"], ["A"])
    assert (with_["stats"]["observations"], with_["stats"]["avg_current_speed"]) == (2, 55.0)
    plain = data(client.get("/api/predictions"))
    assert set(with_) - set(plain) == {"observations"}
    assert (plain["predictions"], plain["cursor"]) == (with_["predictions"], with_["cursor"])
    assert (plain["stats"]["avg_current_speed"], "observations" in plain["stats"]) == (None, False)


def test_entity_tags_differ_with_observations(client, put, three):
    tags = [client.get(f"/api/predictions{query}").headers["ETag"] for query in ("", f"?{WITH}")]
    assert len(set(tags)) == 2
    put(seen("A", T + 1, 41))
    again = client.get(f"/api/predictions?{WITH}", headers={"If-None-Match": tags[1]})
    assert again.status_code == 200


def test_a_poll_lists_observations_after_its_cursor(client, put, three):
    cursor = data(client.get(f"/api/predictions?{WITH}"))["cursor"]
    put(seen("A", T + 1, 10))
    put(message("A", T + 1))
    put(None, key=b"B")
    put(seen("B", T + 1, 20))
    answer = data(client.get(f"/api/predictions?{WITH}&after={cursor}"))
    assert [(each["segment_id"], each["current_speed"]) for each in answer["observations"]] == [("A", 10), ("B", 20)]
    assert segments(answer["predictions"]) == ["A"]
    removed = {"segment_id": "B", "horizon_minutes": None, "reason": "removed", "at": 1, "at_observation": 1}
    plain = data(client.get(f"/api/predictions?after={cursor}"))
    assert segments(plain["predictions"]) == ["A"]
    assert [each["segment_id"] for each in plain["left"]] == ["B"]
    assert "observations" not in plain
    assert "at_observation" not in plain["left"][0]
    assert answer["left"] in ([removed], []), "a filtered poll is given its view"


@pytest.mark.parametrize("route", ["/api/predictions", "/predictions/stream", "/api/predictions/history"])
def test_an_unknown_include_is_refused(client, live, route):
    answer = client.get(f"{route}?include=everything")
    assert answer.status_code == 400
    assert answer.json["error"] == "include='everything' can't be used; allowed: observations"


def test_a_segment_has_its_observations(client, put, three):
    put(seen("A", T + 1, 41))
    answer = data(client.get(f"/api/predictions/A?{WITH}"))
    assert answer["observation"]["current_speed"] == 41.0
    assert answer["observations"][0] == SEEN
    assert (len(answer["observations"]), answer["observations_complete"]) == (2, True)
    assert segments(answer["latest"]) == ["A"]
    plain = data(client.get("/api/predictions/A"))
    assert set(answer) - set(plain) == {"observation", "observations", "observations_complete"}
    assert segments(data(client.get(f"/api/predictions/B?{WITH}"))["observations"]) == ["B"]
    assert client.get("/api/predictions/B").status_code == 404


def test_the_history_has_observations_in_the_order_of_the_log(client, put, three):
    put(seen("A", T + 1, 41))
    page = data(client.get(f"/api/predictions/history?{WITH}"))
    assert (segments(page["observations"]), segments(page["predictions"])) == (["A", "B", "A"], ["A"])
    first = data(client.get(f"/api/predictions/history?{WITH}&limit=2"))
    assert (segments(first["observations"]), segments(first["predictions"])) == (["A"], ["A"])
    rest = data(client.get(f"/api/predictions/history?{WITH}&after={first['cursor']}"))
    assert (segments(rest["observations"]), rest["predictions"]) == (["B", "A"], [])
    plain = data(client.get("/api/predictions/history"))
    assert (segments(plain["predictions"]), "observations" in plain) == (["A"], False)
    lines = client.get(f"/api/predictions/history?{WITH}", headers={"Accept": "application/x-ndjson"}).text
    found = [json.loads(line) for line in lines.splitlines()]
    assert [each["type"] for each in found] == ["observation", "prediction", "observation", "observation", "end"]
    assert found[0]["data"] == SEEN


def test_a_stream_sends_observations_and_resumes_after_each(put, three, stream):
    it = stream(f"?{WITH}")
    cursor, view = it.event("initial")
    assert (view["count"], view["observation_count"]) == (1, 2)
    assert view["observations"][0] == SEEN
    put(array(seen("C"), message("C"), seen("D")))
    changes = [it.event() for _ in range(3)]
    assert [(each["type"], each["data"]["segment_id"]) for _, each in changes] == [
        ("observation", "C"),
        ("prediction", "C"),
        ("observation", "D"),
    ]
    for number, after in enumerate([cursor, changes[0][0], changes[1][0]]):
        resumed = stream(f"?{WITH}", **{"Last-Event-ID": after})
        expected = [*changes[number:]]
        assert [resumed.event() for _ in range(2)][1][1]["type"] == "status"
        assert [resumed.event()[1] for _ in expected] == [each for _, each in expected]
        view = resumed.event()[1]
        assert (view["type"], sorted(segments(view["observations"]))) == ("initial", ["A", "B", "C", "D"])


def test_an_observation_that_left_says_so(put, three, stream):
    it = stream(f"?{WITH}&category=heavy_traffic")
    assert segments(it.event("initial")[1]["observations"]) == ["A"]
    put(seen("A", T + 1, 70))
    assert it.event("left")[1] == {
        "type": "left",
        "segment_id": "A",
        "horizon_minutes": None,
        "reason": "no_longer_matches",
        "kind": "observation",
    }


def test_a_plain_stream_sends_no_observations(put, three, stream):
    it = stream()
    view = it.event("initial")[1]
    assert set(view) == {"type", "predictions", "count"}
    put(seen("A", T + 1, 41))
    put(message("B"))
    cursor, change = it.event()
    assert (change["type"], change["data"]["segment_id"]) == ("prediction", "B")
    assert cursor > ""


def test_a_paced_stream_has_one_observation_per_segment(put, three, stream):
    it = stream(f"?{WITH}&every=1")
    it.event("initial")
    put(array(*[seen("A", T + number, 40 + number) for number in range(1, 9)], message("A", T + 1)))
    given = [it.event()[1] for _ in range(2)]
    assert [(each["type"], each["data"].get("current_speed")) for each in given] == [
        ("observation", 48.0),
        ("prediction", None),
    ]


def test_a_large_view_continues_with_observations(put, stream):
    put(array(*[message(f"P{number}", road_name="x" * 200) for number in range(200)]))
    put(array(*[seen(f"S{number}", road_name="x" * 200) for number in range(100)]))
    it = stream(f"?{WITH}")
    cursor, view = it.event("initial")
    assert (view["count"], view["observation_count"], view["observations"], cursor) == (200, 100, [], None)
    rest = [it.event() for _ in range(300 - len(view["predictions"]))]
    assert [each["type"] for _, each in rest] == ["prediction"] * (200 - len(view["predictions"])) + [
        "observation"
    ] * 100
    assert [cursor is not None for cursor, _ in rest] == [False] * (len(rest) - 1) + [True]


def test_a_websocket_is_sent_observations_once_it_asks(connect, put, three):
    it = connect()
    assert "observations" not in it.next("initial")
    it.send(type="subscribe", filter={"include": "observations", "segment": ["A"]})
    assert it.next("subscribed")["filter"] == {"include": "observations", "segment": ["A"]}
    assert it.next("initial")["observations"] == [SEEN]
    put(seen("B", T + 1))
    put(seen("A", T + 1, 41))
    change = it.next("observation")
    assert (change["data"]["segment_id"], change["data"]["current_speed"]) == ("A", 41.0)
    again = connect(f"?{WITH}&after={change['cursor']}")
    assert sorted(segments(again.next("initial")["observations"])) == ["A", "B"]


def test_a_feed_of_observations_is_no_feed_of_refusals(client, put, live):
    for number in range(3):
        put(seen(f"S{number}"))
    health = data(client.get("/api/health"))
    assert health["observations"] == {"segments": 3, "received": 3}
    assert (health["warnings"], health["quarantine"]["total"], health["segments"]) == ([], 0, 0)
    put(b"not JSON")
    assert data(client.get("/api/health"))["warnings"] == []
    put(message("A"))
    metrics = dict(line.split(" ") for line in client.get("/metrics").text.splitlines() if not line.startswith("#"))
    names = ("predictions_received_total", "observations_received_total", "segments", "observed_segments")
    assert [metrics[f'greenwave_{name}{{pid="{os.getpid()}"}}'] for name in names] == ["1.0", "3.0", "1.0", "3.0"]
