"""Acknowledgements: shared by all who watch, kept over restarts, and bounded."""

import sqlite3
from contextlib import closing

import pytest
from msgspec import structs

from app import create_app
from consumer.errors import StoreError
from tests.consumer.helpers import message
from tests.web.access.tokens_file import bearer, tokens_file
from tests.web.conftest import SETTINGS, hold_slot
from tests.web.documents.conformity import check_response
from web.access.authentication import COOKIE
from web.acknowledgements.acknowledged import MAX_AGE_MS, AlertSpan, SharedAcknowledgement
from web.acknowledgements.store import READ_BUSY_SECONDS, AcknowledgementStore

PATH = "/api/acknowledgements"
EVIL = "https://evil.example"


@pytest.fixture
def settings(tmp_path):
    return structs.replace(SETTINGS, acknowledgements_file=str(tmp_path / "acknowledgements.db"))


@pytest.fixture
def known(put):
    """The segments A and B are in the view."""
    put(message("A"))
    put(message("B"))


def alert(segment="A", since=1_000, until=2_000, kind="severe"):
    return {"segment_id": segment, "kind": kind, "since": since, "until": until}


def body(*alerts, action="acknowledge", **more):
    given = {"name": "Ann"} if action == "acknowledge" else {}
    return {"action": action, "alerts": list(alerts) or [alert()], **given, **more}


def checked(response, method, settings):
    check_response(response, method, PATH, settings, response.get_data())
    return response


def send(client, settings, *alerts, headers=None, **more):
    return checked(client.post(PATH, json=body(*alerts, **more), headers=headers), "POST", settings)


def listed(client, settings, headers=None):
    """Return what all see: segment, name and note."""
    answer = checked(client.get(PATH, headers=headers), "GET", settings)
    found = answer.json["data"]["acknowledgements"]
    return sorted((each["segment_id"], each["name"], each["note"]) for each in found)


def test_what_one_acknowledges_all_see_in_all_processes_and_after_a_restart(client, consumer, settings, known):
    assert send(client, settings, alert("A"), alert("B"), note="crew on the way").status_code == 200
    other = create_app(settings, lambda: consumer)
    seen = [("A", "Ann", "crew on the way"), ("B", "Ann", "crew on the way")]
    assert listed(other.test_client(), settings) == listed(client, settings) == seen
    undone = send(other.test_client(), settings, alert("A"), action="undo")
    assert [each["segment_id"] for each in undone.json["data"]["acknowledgements"]] == ["B"]
    assert listed(client, settings) == seen[1:]
    other.extensions["greenwave"].admission.close()


def test_an_answer_changes_its_tag_with_its_contents(client, settings, known):
    empty = client.get(PATH).headers["ETag"]
    assert client.get(PATH, headers={"If-None-Match": empty}).status_code == 304
    send(client, settings)
    changed = client.get(PATH, headers={"If-None-Match": empty})
    assert (changed.status_code, changed.headers["ETag"] != empty) == (200, True)


def test_the_first_stays_until_another_one_says_something(client, settings, known):
    send(client, settings, name="Ann")
    send(client, settings, alert(since=1_500, until=3_000), name="Bob")
    assert listed(client, settings) == [("A", "Ann", "")]
    send(client, settings, name="Cay", note="an accident")
    assert listed(client, settings) == [("A", "Cay", "an accident")]
    send(client, settings, alert(since=9_000, until=9_000), name="Dan")
    assert listed(client, settings) == [("A", "Dan", "")], "a later alert of the segment"


def test_renewing_keeps_who_it_was_and_acknowledges_nothing(client, settings, known):
    send(client, settings, name="Ann", note="seen")
    send(client, settings, alert(since=1_000, until=7_000), alert("B"), action="renew")
    (found,) = client.get(PATH).json["data"]["acknowledgements"]
    assert (found["since"], found["until"], found["name"], found["note"]) == (1_000, 7_000, "Ann", "seen")


def test_kinds_of_one_segment_are_acknowledged_by_themselves(client, settings, known):
    send(client, settings, alert(kind="drop"), alert(kind="severe"))
    send(client, settings, alert(kind="drop"), action="undo")
    assert [each["kind"] for each in client.get(PATH).json["data"]["acknowledgements"]] == ["severe"]


@pytest.mark.parametrize("settings", [SETTINGS])
def test_without_a_file_they_are_not_shared(client, settings, known):
    assert client.get(PATH).json["data"] == {"state": "off", "acknowledgements": []}
    refused = send(client, settings)
    assert (refused.status_code, "ACKNOWLEDGEMENTS_FILE" in refused.json["error"]) == (403, True)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({**body(), "name": ""}, "name is missing; allowed: text of 1 to 80 characters"),
        ({**body(), "name": "  "}, "name is missing"),
        ({**body(), "name": "x" * 81}, "length <= 80"),
        ({**body(), "name": "a\u202eb"}, "name has characters that can't be shown"),
        ({**body(), "note": "x" * 501}, "length <= 500"),
        ({**body(), "note": "one\ntwo"}, "note has characters that can't be shown"),
        ({**body(), "note": "\ud800"}, "can't be"),
        ({**body(), "colour": "red"}, "colour"),
        ({**body(), "action": "hide"}, "action"),
        ({**body(), "alerts": []}, "alerts"),
        ({**body(), "alerts": [alert()] * 501}, "length <= 500"),
        (body(alert(since=3_000)), "since=3000, until=2000 can't be used"),
        (body(alert(until=4_000_000_000_000)), "until no later than now"),
        (body(alert(since=-1)), "since"),
        (body(alert(kind="flood")), "kind"),
        (body(alert(segment="")), "segment_id"),
        ("text", "Expected `object`"),
    ],
)
def test_what_can_not_be_used_is_refused_with_what_is_allowed(client, settings, known, given, error):
    answer = checked(client.post(PATH, json=given), "POST", settings)
    assert (answer.status_code, error in answer.json["error"]) == (400, True), answer.json
    assert listed(client, settings) == []


def test_other_bodies_are_refused(client, settings, known):
    for data, kind, status in ((b"{", "application/json", 400), (b"a=1", "text/plain", 415), (b"{}", "x/y", 415)):
        answer = checked(client.post(PATH, data=data, content_type=kind), "POST", settings)
        assert answer.status_code == status
    large = client.post(PATH, data=b" " * 1_100_000, content_type="application/json")
    assert checked(large, "POST", settings).status_code == 413


def test_alerts_of_unknown_segments_are_left_out(client, settings, known):
    send(client, settings, alert("A"), alert("gone"))
    assert listed(client, settings) == [("A", "Ann", "")]
    assert send(client, settings, alert("gone")).status_code == 404


def test_pages_of_other_sites_change_nothing(client, settings, known):
    assert send(client, settings, headers={"Origin": EVIL}).status_code == 403
    assert listed(client, settings) == []


def test_a_full_server_refuses(client, app, settings, known):
    admission = app.extensions["greenwave"].admission
    held = [hold_slot(admission) for _ in range(admission.size)]
    assert send(client, settings).status_code == 429
    for slot in held:
        slot.release()


def test_a_token_says_who_it_is_and_limits_what_is_seen(tmp_path, consumer, settings, known):
    tokens = tokens_file(tmp_path / "t.toml", ann={}, bob={"segments": ["B"]})
    settings = structs.replace(settings, auth="token", auth_tokens_file=str(tokens.path))
    app = create_app(settings, lambda: consumer)
    client, ann, bob = app.test_client(), bearer(tokens["ann"]), bearer(tokens["bob"])
    assert send(client, settings, alert("A"), alert("B")).status_code == 401
    refused = send(client, settings, name="Cay", headers=ann)
    assert (refused.status_code, "name can't be given" in refused.json["error"]) == (400, True)
    send(client, settings, alert("A"), name="", headers=ann)
    assert send(client, settings, alert("A"), action="undo", headers=bob).status_code == 404
    send(client, settings, alert("A"), alert("B"), name="", headers=bob)
    assert listed(client, settings, bob) == [("B", "bob", "")]
    assert listed(client, settings, ann) == [("A", "ann", ""), ("B", "bob", "")]
    app.extensions["greenwave"].admission.close()


def test_a_cookie_alone_changes_nothing_from_another_site(tmp_path, consumer, settings, known):
    tokens = tokens_file(tmp_path / "t.toml", ann={})
    settings = structs.replace(settings, auth="token", auth_tokens_file=str(tokens.path))
    app = create_app(settings, lambda: consumer)
    client = app.test_client()
    client.set_cookie(COOKIE, tokens["ann"])
    assert send(client, settings, name="").status_code == 401, "no proof that it is an own page"
    own = {"Sec-Fetch-Site": "same-origin"}
    assert send(client, settings, name="", headers=own).status_code == 200
    app.extensions["greenwave"].admission.close()


@pytest.mark.parametrize("content", [b"no database at all", "other"])
def test_a_file_that_can_not_be_used_is_said_and_left_alone(client, settings, known, content):
    path = settings.acknowledgements_file
    if content == "other":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE others (id INTEGER)")
    else:
        with open(path, "wb") as file:
            file.write(content * 100)
    with open(path, "rb") as file:
        before = file.read()
    for answer, method in ((client.get(PATH), "GET"), (client.post(PATH, json=body()), "POST")):
        assert checked(answer, method, settings).status_code == 503
        assert "retry later" in answer.json["error"]
    with open(path, "rb") as file:
        assert file.read() == before


def test_who_finds_the_file_locked_does_not_have_others_wait_too(tmp_path, monkeypatch):
    path, waits = str(tmp_path / "a.db"), []
    store = AcknowledgementStore(path)
    store.acknowledge([span("A")], "Ann", None)
    connect = sqlite3.connect
    with closing(connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")

        def counted(path, seconds, **options):
            waits.append(seconds)
            return connect(path, 0.01, **options)

        monkeypatch.setattr(sqlite3, "connect", counted)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            store.read()
        for _ in range(20):
            with pytest.raises(StoreError, match="locked a moment ago"):
                store.read()
        with pytest.raises(StoreError, match="locked a moment ago"):
            store.undo([span("A")])
    assert waits == [READ_BUSY_SECONDS]
    store._locked_until = 0.0  # as after LOCKED_SECONDS
    assert [each.segment_id for each in store.read().found] == ["A"]


class Clock:
    """A clock that is set by hand, in epoch milliseconds."""

    def __init__(self):
        self.now = 1_000_000

    def __call__(self):
        return self.now


def span(segment):
    return AlertSpan(segment, "severe", 1, 2)


def test_those_renewed_last_are_kept(tmp_path):
    clock = Clock()
    store = AcknowledgementStore(str(tmp_path / "a.db"), clock, max_kept=3)
    for segment in "ABC":
        clock.now += 1
        store.acknowledge([span(segment)], "Ann", None)
    clock.now += 1
    store.renew([span("A")])
    store.acknowledge([span("D")], "Ann", None)
    assert [each.segment_id for each in store.read().found] == ["D", "C", "A"]


def test_those_that_are_not_renewed_for_a_week_are_dropped(tmp_path):
    clock = Clock()
    store = AcknowledgementStore(str(tmp_path / "a.db"), clock)
    store.acknowledge([span("A"), span("B")], "Ann", "seen")
    clock.now += MAX_AGE_MS
    store.renew([span("A")])
    clock.now += 1
    store.acknowledge([span("C")], "Bob", None)
    (last, first) = store.read().found
    assert first == SharedAcknowledgement("A", "severe", 1, 2, "Ann", "seen", 1_000_000)
    assert last.segment_id == "C"


def test_a_file_that_was_replaced_is_read_again(tmp_path):
    path = tmp_path / "a.db"
    store = AcknowledgementStore(str(path))
    store.acknowledge([span("A")], "Ann", None)
    assert [each.segment_id for each in store.read().found] == ["A"]
    path.unlink()
    AcknowledgementStore(str(path)).acknowledge([span("B")], "Bob", None)
    assert [each.segment_id for each in store.read().found] == ["B"]


def test_a_failed_change_changes_nothing(tmp_path):
    store = AcknowledgementStore(str(tmp_path / "a.db"))
    store.acknowledge([span("A")], "Ann", None)
    with pytest.raises(UnicodeEncodeError):
        store.acknowledge([span("B"), span("\ud800")], "Ann", None)
    store.acknowledge([span("C")], "Ann", None)
    assert sorted(each.segment_id for each in store.read().found) == ["A", "C"]
