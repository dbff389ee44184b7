"""Tickets: one stream each, soon worth nothing, with the rights of their token, and in no log."""

import base64
import contextlib
import http.client
import json
import logging
import os
import tempfile

import pytest
import websocket
from msgspec import structs
from werkzeug.exceptions import Forbidden, ServiceUnavailable

from app import create_app
from consumer.settings import Settings
from consumer.view.filters import Box, Filter
from tests.consumer.helpers import message
from tests.web.access.tokens_file import bearer, tokens_file
from tests.web.documents.conformity import check_response
from tests.web.paths import events_of, serving
from tests.web.server.test_worker import Server, until
from web.access.principal import Principal, Unauthenticated
from web.access.tickets import MAX_LENGTH, TICKET_SECONDS, SharedTickets, Tickets
from web.access.used_tickets import ROW_ENTRIES, TableFull, UsedTickets
from web.logs import JsonFormatter, MaskingFormatter

LIMITS = Filter(roads=frozenset({"i-5"}), box=Box(-118.6, 33.7, -117.9, 34.3), topics=frozenset({"a", "b"}))
ANN = Principal("ann", LIMITS, 5.0, frozenset({"operator"}), 1_800_000_000.0, b"k" * 32)
STREAM = "/predictions/stream"


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def used():
    made = UsedTickets()
    yield made
    made.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="files in memory are of Linux")
def test_no_folder_has_to_be_writable(monkeypatch):
    def refuse(**_):
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    made = UsedTickets()
    assert made.add(b"n" * 16, 2.0, 1.0)
    assert not made.add(b"n" * 16, 2.0, 1.0)
    made.close()


def test_a_system_without_files_in_memory_uses_another(monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    made = UsedTickets()
    assert made.add(b"n" * 16, 2.0, 1.0)
    assert not made.add(b"n" * 16, 2.0, 1.0)
    made.close()


@pytest.fixture
def tickets(used, clock):
    return Tickets("", lambda: SharedTickets(b"k" * 32, used), clock)


@pytest.fixture
def tokens(tmp_path):
    return tokens_file(tmp_path / "t.toml", reader={"roads": ["I-5"]}, operator={"roles": ["operator"]})


@pytest.fixture
def settings(tokens):
    return Settings(kafka_backlog="all", web_threads=8, auth="token", auth_tokens_file=str(tokens.path))


def ticket_of(client, token):
    answer = client.post("/api/tickets", headers=bearer(token))
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "private, no-store")
    return answer.json["data"]["ticket"]


def refused(tickets, ticket, reason):
    with pytest.raises(Unauthenticated, match=reason):
        tickets.redeem(ticket)


def test_a_ticket_gives_its_principal_once(tickets):
    ticket = tickets.issue(ANN)
    assert tickets.redeem(ticket) == ANN
    refused(tickets, ticket, r"the ticket was used before, and opens one stream only; ask .* POST /api/tickets")


def test_a_ticket_expires(tickets, clock):
    ticket = tickets.issue(ANN)
    clock.now += TICKET_SECONDS
    refused(tickets, ticket, "the ticket has expired; ask for another one")


def test_a_changed_ticket_is_refused(tickets):
    ticket = tickets.issue(ANN)
    content = bytearray(base64.urlsafe_b64decode(ticket[4:] + "=" * (-len(ticket[4:]) % 4)))
    for index in range(len(content)):
        changed = bytearray(content)
        changed[index] ^= 1
        refused(tickets, "gwt_" + base64.urlsafe_b64encode(changed).decode().rstrip("="), "the ticket is not valid")
    assert tickets.redeem(ticket) == ANN


@pytest.mark.parametrize(
    "ticket", ["", "gwt_", "gwt_AAAA", "gwt_" + "A" * 200, "gwt_%", "gwt_ä", "x" * 20_000, "gw_abc"]
)
def test_what_is_no_ticket_is_refused(tickets, ticket):
    refused(tickets, ticket, "the ticket is not valid")


def test_a_ticket_of_another_key_is_refused(tickets, used, clock):
    refused(Tickets("", lambda: SharedTickets(b"x" * 32, used), clock), tickets.issue(ANN), "not valid")
    refused(Tickets("s" * 32, lambda: SharedTickets(b"k" * 32, used), clock), tickets.issue(ANN), "not valid")


def test_hosts_with_one_secret_know_each_others_tickets(used, clock):
    here, there = (Tickets("s" * 32, lambda key=key: SharedTickets(key, used), clock) for key in (b"a", b"b"))
    assert there.redeem(here.issue(ANN)) == ANN


def test_a_token_with_too_many_names_gets_no_ticket(tickets):
    names = frozenset(os.urandom(16).hex() for _ in range(1_000))
    with pytest.raises(Forbidden, match="too many single names for a ticket"):
        tickets.issue(structs.replace(ANN, limits=Filter(segments=names)))
    few = structs.replace(ANN, limits=Filter(segments=frozenset(f"LA_{number:03}" for number in range(1_000))))
    assert len(tickets.issue(few)) < MAX_LENGTH


def test_a_full_row_takes_tickets_again_when_others_expire(used):
    for number in range(1, ROW_ENTRIES + 1):
        assert used.add(bytes(15) + bytes([number]), 30.0, 0.0)
    with pytest.raises(TableFull):
        used.add(bytes(15) + b"x", 30.0, 29.0)
    assert used.add(bytes(15) + b"x", 60.0, 30.0)
    assert not used.add(bytes(15) + b"x", 60.0, 31.0)


def test_too_many_tickets_are_refused_for_a_while(tickets, used, monkeypatch):
    def is_full(*_):
        raise TableFull

    monkeypatch.setattr(used, "add", is_full)
    with pytest.raises(ServiceUnavailable, match="too many tickets"):
        tickets.redeem(tickets.issue(ANN))


@pytest.mark.parametrize("path", [STREAM, f"/api{STREAM}"])
def test_a_ticket_opens_one_stream_with_the_rights_of_its_token(client, put, tokens, path):
    put(message("A", road_name="I-5"))
    put(message("B", road_name="I-10"))
    ticket = ticket_of(client, tokens["reader"])
    answer = client.get(f"{path}?ticket={ticket}")
    assert (answer.status_code, answer.headers["Referrer-Policy"]) == (200, "no-referrer")
    for frame in answer.response:
        views = [content for _, content in events_of([frame]) if content["type"] == "initial"]
        if views:
            break
    assert [each["segment_id"] for each in views[0]["predictions"]] == ["A"]
    answer.close()
    again = client.get(f"{path}?ticket={ticket}")
    assert (again.status_code, "the ticket was used before" in again.json["error"]) == (401, True)
    assert ticket not in again.text


@pytest.mark.slow  # the file of tokens is read again after a second
def test_a_stream_of_a_ticket_ends_with_its_token(client, stream, live, tokens):
    it = stream(f"?ticket={ticket_of(client, tokens['reader'])}")
    it.event("initial")
    tokens.write(operator={"roles": ["operator"]})
    assert events_of(it.frames)[-1][1] == {"type": "bye", "reason": "expired"}


def test_a_ticket_of_a_revoked_token_opens_nothing(client, live, tokens, app):
    ticket = ticket_of(client, tokens["reader"])
    tokens.write(operator={"roles": ["operator"]})
    app.extensions["greenwave"].authentication.load()
    answer = client.get(f"{STREAM}?ticket={ticket}")
    assert (answer.status_code, "has expired, or was revoked" in answer.json["error"]) == (401, True)


def test_a_ticket_opens_streams_only(client, live, tokens):
    ticket = ticket_of(client, tokens["operator"])
    for path in ("/api/predictions", "/metrics", "/api/health"):
        assert client.get(f"{path}?ticket={ticket}").status_code == 401
    assert client.post(f"/api/tickets?ticket={ticket}").status_code == 401


def test_a_ticket_counts_more_than_a_cookie_and_a_header(client, live, tokens):
    answer = client.get(f"{STREAM}?ticket=gwt_wrong", headers=bearer(tokens["reader"]))
    assert answer.status_code == 401


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}, {"Origin": "null"}])
def test_a_cookie_gives_no_ticket_to_another_site(client, live, tokens, headers):
    client.set_cookie("greenwave_token", tokens["reader"])
    assert client.post("/api/tickets", headers=headers).status_code == 401
    assert client.post("/api/tickets", headers={"Origin": "http://localhost"}).status_code == 201


def test_without_authentication_a_ticket_is_not_looked_at(consumer, live):
    client = create_app(Settings(), lambda: consumer).test_client()
    answer = client.post("/api/tickets")
    assert answer.status_code == 201
    for ticket in (answer.json["data"]["ticket"], "anything"):
        with client.get(f"{STREAM}?ticket={ticket}", method="HEAD") as stream:
            assert stream.status_code == 200
    check_response(answer, "POST", "/api/tickets", Settings(), answer.get_data())


def test_a_ticket_opens_a_websocket_of_another_site(integration, consumer, live, settings, tokens, delivery):
    settings = structs.replace(settings, allowed_origins="https://maps.example")
    app = create_app(settings, lambda: consumer)
    ticket = ticket_of(app.test_client(), tokens["reader"])
    seen = []
    with serving(app, delivery) as server:
        url = f"{server.replace('http', 'ws')}/predictions/ws?ticket={ticket}"
        for origin in ("https://maps.example", "https://maps.example"):
            with contextlib.closing(websocket.WebSocket()) as socket:
                try:
                    socket.connect(url, origin=origin, timeout=60)
                    seen.append(socket.getstatus())
                except websocket.WebSocketBadStatusException as error:
                    seen.append(error.status_code)
    assert seen == [101, 401]


def test_what_operators_see_holds_no_credentials(client, live, tokens):
    ticket = ticket_of(client, tokens["reader"])
    with client.get(f"{STREAM}?ticket={ticket}"):
        for path in ("/metrics", "/api/clients", "/api/health", "/api/quarantine"):
            answer = client.get(path, headers={**bearer(tokens["operator"]), "Referer": f"http://a/?ticket={ticket}"})
            assert answer.status_code == 200
            assert not [each for each in (ticket, *tokens.values()) if each in answer.text]


CREDENTIALS = [
    "gwt_" + "A-_9" * 20,
    "gw_" + "A-_9" * 10,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl-_",
]


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("formatter", [MaskingFormatter, JsonFormatter])
def test_credentials_are_masked_in_logs(credential, formatter):
    text = f'"GET /predictions/stream?ticket={credential}&after=abc HTTP/1.1" "https://a/?t={credential}"'
    record = logging.LogRecord("gunicorn.access", logging.INFO, __file__, 1, "%s", (text,), None)
    record.fields = {"target": f"/x?ticket={credential}", "status": 200}
    shown = formatter([]).format(record)
    assert credential[8:] not in shown
    assert "after=abc" in shown


def test_ordinary_names_are_not_masked():
    record = logging.LogRecord(
        "greenwave", logging.INFO, __file__, 1, "gw_short wgwt_ABCDEFGHIJKLMNOPQRST eyJ", (), None
    )
    assert MaskingFormatter([]).format(record).endswith("gw_short wgwt_ABCDEFGHIJKLMNOPQRST eyJ")


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["text", "json"])
def test_workers_share_used_tickets_and_log_none(tmp_path, tokens, kind):
    def send(method, path, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read() if method == "POST" else b""

    environ = {"AUTH": "token", "AUTH_TOKENS_FILE": str(tokens.path), "WEB_CONCURRENCY": "2"}
    with Server(tmp_path / "log", ACCESS_LOG="1", LOG_FORMAT=kind, **environ) as server:
        tickets = []
        for _ in range(5):
            status, body = send("POST", "/api/tickets", bearer(tokens["reader"]))
            assert status == 201
            ticket = json.loads(body)["data"]["ticket"]
            seen = [send("HEAD", f"{STREAM}?ticket={ticket}", {"Referer": f"http://a/?{ticket}"})[0] for _ in range(6)]
            assert sorted(seen) == [200, *[401] * 5]
            tickets.append(ticket)
        until(lambda: (tmp_path / "log").read_text().count(STREAM) >= 30)
    log = (tmp_path / "log").read_text()
    assert log.count(f"{STREAM}?ticket=***") >= 30
    assert not [secret for secret in (*tickets, tokens["reader"]) if secret in log]
