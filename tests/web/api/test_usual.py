"""GET /api/usual: what was learnt, of segments that the client may see."""

import re

import pytest
from msgspec import structs

from app import create_app
from consumer import Consumer
from consumer.sources.memory import MemorySource, MemoryTopic
from consumer.usual.quarters import quarters_in
from consumer.usual.store import Counted, open_writer
from consumer.usual.usual import KEPT_QUARTERS
from tests.consumer.helpers import eventually, message
from tests.web.access.tokens_file import bearer, tokens_file
from tests.web.conftest import SETTINGS
from tests.web.documents.conformity import check_response
from web.answers.bodies import MAX_BODIES, MAX_BYTES, Bodies
from web.answers.views import Body
from web.api.usual import AnswerVersion

WEEK_MS = 7 * 86_400_000
TIME_MS = 1_699_999_800_000  # 2023-11-14, a Tuesday, 22:10 UTC
BAND = {"low": 23.0, "median": 30.0, "high": 37.0, "count": 3}


@pytest.fixture
def settings(tmp_path):
    """Settings with a file that has speeds of A and B: 20, 30 and 40 mph, on the Tuesday before."""
    path = str(tmp_path / "usual.db")
    settings = structs.replace(SETTINGS, usual_file=path)
    writer = open_writer(path, {"speed_unit": "mph", "timezone": "UTC"}, latest=1_000)
    before = quarters_in(settings.usual_zone)(TIME_MS - WEEK_MS)
    speeds = [(segment, before, 2 * speed) for segment in (1, 2) for speed in (20, 30, 40)]
    writer.add(speeds, {"A": Counted(1, 1_000), "B": Counted(2, 1_000)})
    writer.close()
    return settings


def get(client, target, settings, headers=None):
    response = client.get(target, headers=headers)
    check_response(response, "GET", "/api/usual", settings, response.get_data())
    return response


def test_usual_speeds_at_the_newest_time_and_at_others(client, put, settings, live):
    put(message("A", TIME_MS))
    found = get(client, "/api/usual", settings).json["data"]
    assert found.pop("state") in ("starting", "learning")
    assert found == {"weekday": "tuesday", "time": "22:00", "segments": {"A": BAND, "B": BAND}}
    later = get(client, f"/api/usual?at={TIME_MS + WEEK_MS}", settings).json["data"]
    assert later["segments"] == found["segments"]
    for at_ms in (TIME_MS - WEEK_MS, TIME_MS + 900_000):  # the day on which they were measured, and another time
        assert get(client, f"/api/usual?at={at_ms}", settings).json["data"]["segments"] == {}


def test_usual_day_of_one_segment(client, settings, live):
    found = get(client, f"/api/usual?segment_id=A&at={TIME_MS}", settings).json["data"]
    assert (found["weekday"], found["segment_id"]) == ("tuesday", "A")
    assert [(slot, band) for slot, band in enumerate(found["quarters"]) if band] == [(88, BAND)]


def test_a_known_segment_without_usual_speeds_has_none(client, put, settings, live):
    put(message("C", TIME_MS))
    assert not any(get(client, "/api/usual?segment_id=C", settings).json["data"]["quarters"])
    assert get(client, "/api/usual?segment_id=D", settings).status_code == 404


@pytest.mark.parametrize("settings", [SETTINGS])
def test_without_a_file_there_are_none(client, put, settings, live):
    put(message("A", TIME_MS))
    found = get(client, "/api/usual", settings).json["data"]
    assert (found["state"], found["segments"]) == ("off", {})
    assert not any(get(client, "/api/usual?segment_id=A", settings).json["data"]["quarters"])


def test_only_segments_within_the_rights_are_given(tmp_path, consumer, put, settings, live):
    claims = {
        "all": {},
        "one": {"segments": ["A"]},
        "road": {"roads": ["I-5"]},
        "topic": {"topics": [settings.topic]},
        "no_topic": {"topics": []},
    }
    tokens = tokens_file(tmp_path / "tokens.toml", **claims)
    settings = structs.replace(settings, auth="token", auth_tokens_file=str(tokens.path))
    app = create_app(settings, lambda: consumer)
    put(message("A", TIME_MS, road_name="US-101"))
    put(message("B", TIME_MS, road_name="I-5 N"))
    seen = {}
    for name in claims:
        headers = bearer(tokens[name])
        found = get(app.test_client(), "/api/usual", settings, headers).json["data"]["segments"]
        seen[name] = "".join(found)
        for segment in "AB":
            answer = get(app.test_client(), f"/api/usual?segment_id={segment}", settings, headers)
            assert answer.status_code == (200 if segment in found else 404)
            assert segment not in found or answer.json["data"]["quarters"][88] == BAND
    assert seen == {"all": "AB", "one": "A", "road": "B", "topic": "AB", "no_topic": ""}
    app.extensions["greenwave"].admission.close()


def test_health_reports_the_state_of_learning(client, settings, live):
    eventually(lambda: live.usual.learner.state == "learning", 60)
    client.get(f"/api/usual?at={TIME_MS}")
    usual = client.get("/api/health").json["data"]["usual"]
    assert usual.pop("file_bytes") > 0
    assert usual == {
        "state": "learning",
        "error": None,
        "segments": 2,
        "bands": 2,
        "written": 0,
        "last_write": None,
        "missed": 0,
        "left_out": 0,
        "failures": 0,
    }


def test_health_and_metrics_show_a_file_that_can_not_be_used(tmp_path, consumer, client, settings, live):
    eventually(lambda: live.usual.learner.state == "learning", 60)
    assert b'greenwave_usual_state{pid="' in (scraped := client.get("/metrics").data)
    assert usual_states(scraped) == {"learning"}
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"no database" * 1_000)
    failing = Consumer(structs.replace(settings, usual_file=str(damaged)), lambda _: MemorySource(MemoryTopic()))
    failing.start()
    try:
        eventually(lambda: failing.usual.learner.state == "failed", 60)
        app = create_app(failing.settings, lambda: failing)
        health = app.test_client().get("/api/health").json["data"]
        assert health["usual"]["state"] == "failed"
        assert health["usual"]["failures"] == 1
        assert health["warnings"] == [health["usual"]["error"]]
        scraped = app.test_client().get("/metrics").data
        assert usual_states(scraped) == {"failed"}
        assert b"greenwave_usual_failures_total{" in scraped
        app.extensions["greenwave"].admission.close()
    finally:
        failing.stop()


def usual_states(scraped):
    return set(re.findall(r'greenwave_usual_state\{pid="\d+",state="(\w+)"\} 1', scraped.decode()))


def test_an_answer_is_made_once_for_all_clients(client, settings, live):
    eventually(lambda: live.usual.learner.state == "learning", 60)
    bodies, target = client.application.extensions["greenwave"].usual, f"/api/usual?at={TIME_MS}"
    made = []

    def make(version):
        made.append(version)
        return Body("tag", b"content")

    first = get(client, target, settings)
    version = AnswerVersion(live.usual.quarter(TIME_MS), "learning", live.usual.at(live.usual.quarter(TIME_MS)), None)
    bodies.get(version, make)
    assert made == []
    bodies.get(version._replace(state="failed"), make)
    assert len(made) == 1
    unchanged = get(client, target, settings, {"If-None-Match": first.headers["ETag"]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")


def test_bands_that_did_not_change_stay_one_version(live, settings, monkeypatch):
    monkeypatch.setattr("consumer.usual.usual.KEPT_SECONDS", 0.0)
    quarter = live.usual.quarter(TIME_MS)
    assert live.usual.at(quarter) is live.usual.at(quarter)
    for later in range(1, 3 + KEPT_QUARTERS):
        live.usual.at(live.usual.quarter(TIME_MS + later * WEEK_MS))
    assert live.usual.bands == 2 * KEPT_QUARTERS


def test_kept_answers_are_bounded():
    bodies = Bodies()
    for number in range(20):
        bodies.get(number, lambda _: Body("tag", b"x" * 100))
    assert bodies.size_bytes == 100 * MAX_BODIES
    for number in range(20, 30):
        bodies.get(number, lambda _: Body("tag", b"x" * (MAX_BYTES // 3)))
        assert bodies.size_bytes <= MAX_BYTES
    bodies.get("large", lambda _: Body("tag", b"x" * (MAX_BYTES + 1)))
    assert bodies.size_bytes == MAX_BYTES + 1
