"""Attacks on who may read what, on the server alone and behind each proxy: forged tokens, other sites, claims, tags."""

import contextlib
import json
import random
import re
from urllib.parse import urlencode

import pytest

from consumer.view.cursor import Position, place
from tests.operations.test_attacks import Target
from tests.operations.test_proxies import NAME, caddy, nginx
from tests.web.access import test_jwts as jwts
from tests.web.api.test_websocket import HANDSHAKE
from tests.web.server.test_worker import Server, until

EVIL = "https://evil.example.org"
SEGMENTS = 8
MINE = {"n1", "n3", "n4"}
EVERYTHING = jwts.signed(greenwave={"roles": ["operator", "publisher"]})
LIMITED = jwts.signed(sub="limited", greenwave={"segments": sorted(MINE)})
OTHER = jwts.signed(sub="other", greenwave={"segments": ["n2"]})
POLL, STREAM, SOCKET = "/api/predictions", "/predictions/stream", "/predictions/ws"


def is_whole(seen):
    """Tell whether an answer has arrived, or of a stream its view. One that states no end lasts until it is closed."""
    head, separator, body = seen.partition(b"\r\n\r\n")
    if not separator:
        return False
    if b'"initial"' in body:
        return b"\n\n" in body[body.index(b'"initial"') :]
    if length := re.search(rb"(?im)^content-length: (\d+)", head):
        return len(body) >= int(length[1])
    if re.search(rb"(?im)^transfer-encoding: chunked", head):
        return body.endswith(b"0\r\n\r\n")
    return head.split()[1] in (b"101", b"304")


class Answer:
    """Status, head and body of an answer."""

    def __init__(self, received):
        head, _, self.body = received.partition(b"\r\n\r\n")
        self.head = head.decode()
        self.status = int(re.match(r"HTTP/1\.1 (\d+)", self.head)[1])

    def header(self, name):
        """Return the values of a header."""
        return ", ".join(re.findall(rf"(?im)^{name}: (.*?)\r?$", self.head))

    @property
    def segments(self):
        """The segments that its body names."""
        return {each.decode() for each in re.findall(rb'"segment_id":"(\w+)"', self.body)}


class Guarded(Target):
    """A server with authentication, alone or behind a proxy."""

    def ask(self, path, token=None, method="GET", host=NAME, body=b"", source="127.0.0.1", **headers):
        """Return the answer to a request; of a stream, what comes up to its view."""
        given = {"Host": host, **({"Authorization": f"Bearer {token}"} if token else {}), **headers}
        if method == "POST":
            given["Content-Length"] = str(len(body))
        given.setdefault("Connection", "close")
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
        with self.connect(source) as sock:
            sock.sendall("\r\n".join(lines).encode() + body)
            seen = b""
            with contextlib.suppress(ConnectionError):
                while not is_whole(seen) and (received := sock.recv(65_536)):
                    seen += received
        assert seen, (path, headers)
        return Answer(seen)

    def ticket(self, token, source="127.0.0.1"):
        """Return a ticket."""
        answer = self.ask("/api/tickets", token, "POST", source=source)
        assert answer.status == 201, answer.head
        return json.loads(answer.body[answer.body.index(b"{") : answer.body.rindex(b"}") + 1])["data"]["ticket"]


@pytest.fixture(scope="module", params=[None, nginx, caddy], ids=["alone", "nginx", "caddy"])
def target(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    with contextlib.ExitStack() as stack:
        environ = {"AUTH": "jwt", "AUTH_JWT_SECRET": jwts.SECRET, "AUTH_JWT_AUDIENCE": "greenwave"}
        environ |= {
            "AUTH_JWT_ISSUER": "https://id",
            "ALLOWED_HOSTS": f"{NAME},127.0.0.1",
            "TRUSTED_PROXIES": "127.0.0.1",
        }
        environ |= {"PUBLISH": "1", "ACCESS_LOG": "1", "ACKNOWLEDGEMENTS_FILE": str(folder / "seen.db")}
        server = stack.enter_context(Server(folder / "log", **environ))
        until(lambda: json.loads(server.get("/readyz"))["success"])  # or the first check of Caddy takes it for down
        proxy = stack.enter_context(request.param(folder, server.port)) if request.param else None
        target = Guarded(server, proxy, proxy.port if proxy else server.port)
        server.get(f"/publish?from=1&to={SEGMENTS + 1}")
        until(lambda: len(target.ask(POLL, EVERYTHING, source="127.0.0.9").segments) == SEGMENTS)
        yield target


def unusable():
    """Return tokens that do not hold."""
    return {
        **jwts.forged(None),
        "expired": jwts.signed(exp=jwts.NOW - 60),
        "not valid yet": jwts.signed(nbf=jwts.NOW + jwts.DAY),
        "another audience": jwts.signed(aud="another"),
        "another issuer": jwts.signed(iss="https://other"),
    }


def test_a_token_that_does_not_hold_opens_nothing(target):
    for number, (kind, token) in enumerate(unusable().items()):
        for path, headers in ((POLL, {}), (STREAM, {}), (SOCKET, HANDSHAKE)):
            # nginx allows an address 20 requests a second.
            answer = target.ask(path, token, source=f"127.0.1.{number + 1}", **headers)
            assert (answer.status, answer.segments) == (401, set()), (kind, path)


def test_no_log_and_no_answer_to_operators_holds_a_token(target):
    source = "127.0.0.10"
    ticket = target.ticket(LIMITED, source)
    stream = target.ask(f"{STREAM}?ticket={ticket}", source=source, Referer=f"https://{NAME}/?ticket={ticket}")
    assert (stream.status, stream.header("Referrer-Policy")) == (200, "no-referrer")
    target.ask(POLL, source=source, Cookie=f"greenwave_token={OTHER}")
    target.ask(f"{POLL}?token={OTHER}", source=source)
    target.ask("/logged", LIMITED, source=source)
    until(lambda: "/logged" in target.server.log.read_text())
    texts = [target.server.log.read_text(), target.proxy.log.read_text() if target.proxy else ""]
    alone = Guarded(target.server, None, target.server.port)
    for path in ("/metrics", "/api/clients", "/api/quarantine", "/api/health"):
        answer = alone.ask(path, EVERYTHING)
        assert answer.status == 200
        texts.append(answer.body.decode())
    secrets = {"ticket": ticket, "limited": LIMITED, "other": OTHER, "everything": EVERYTHING}
    assert [name for name, secret in secrets.items() if any(secret[-20:] in text for text in texts)] == []


def test_a_ticket_opens_one_stream(target):
    source = "127.0.0.11"
    ticket = target.ticket(LIMITED, source)
    first = target.ask(f"{STREAM}?ticket={ticket}", source=source)
    assert (first.status, first.segments) == (200, MINE)
    assert target.ask(f"{STREAM}?ticket={ticket}", source=source).status == 401
    assert target.ask(f"{SOCKET}?ticket={ticket}", source=source, **HANDSHAKE).status == 401
    assert target.ask(f"{POLL}?ticket={target.ticket(LIMITED, source)}", source=source).status == 401


@pytest.mark.parametrize("origin", [EVIL, "null", f"https://{NAME}.evil.example.org"])
def test_a_page_of_another_site_gets_and_changes_nothing(target, origin):
    source = "127.0.0.12"
    cookie = {"Origin": origin, "Cookie": f"greenwave_token={EVERYTHING}"}
    change = {"method": "POST", "Content-Type": "application/json"}
    requests = [
        (POLL, {}),
        (STREAM, {}),
        (SOCKET, HANDSHAKE),
        (POLL, {**change, "body": json.dumps({"segment_id": "x", "timestamp": 1, "predicted_speed": 1}).encode()}),
        ("/api/acknowledgements", {**change, "body": b"{}"}),
        ("/api/tickets", change),
        ("/sign-in", {**change, "Content-Type": "application/x-www-form-urlencoded", "body": b"token=a"}),
        ("/sign-out", {**change, "Content-Type": "application/x-www-form-urlencoded"}),
    ]
    for path, more in requests:
        answer = target.ask(path, source=source, **cookie, **more)
        assert answer.status in (401, 403), (path, answer.head)
        assert (answer.segments, answer.header("Access-Control-Allow-Origin")) == (set(), "")


def test_a_name_that_is_not_allowed_serves_nothing(target):
    """A page of another site has pointed its own name at the server's address (DNS rebinding)."""
    for path, headers in ((POLL, {}), (STREAM, {}), (SOCKET, HANDSHAKE), ("/predictions", {})):
        answer = target.ask(path, EVERYTHING, host="evil.example.org", source="127.0.0.13", **headers)
        assert (answer.segments, b"greenwave" in answer.body.lower()) == (set(), False), path
        # Caddy serves no other name than its own, and answers that with an empty page.
        assert answer.status == 400 or (answer.status, answer.body) == (200, b""), answer.head


LONG = {
    "segments": f"{POLL}?segment={'x' * 60_000}",
    "many segments": f"{POLL}?segment={','.join(f'n{number}' for number in range(2_000))}",
    "commas": f"{POLL}?segment={',' * 5_000}",
    "roads": f"{POLL}?road={','.join(f'I-{number}' for number in range(2_000))}",
    "a parameter many times": f"{POLL}?" + "&".join(["category=free_flow"] * 1_000),
    "many parameters": f"{POLL}?" + "&".join(f"p{number}=1" for number in range(3_000)),
    "a box of no numbers": f"{POLL}?bbox=nan,nan,inf,1e999",
    "a horizon without an end": f"{POLL}?horizon={'9' * 400}",
    "a pace without an end": f"{STREAM}?every=1e400",
    "a time without an end": f"{POLL}/history?since={'9' * 5_000}",
    "a cursor of no meaning": f"{POLL}?after={'A' * 20_000}",
    "a cursor of many partitions": f"{POLL}?after={Position(b'memory-1', (place(10**14),) * 1_000).encode()}",
    "a cursor of a stream": f"{STREAM}?after={'-' * 10_000}",
    "a page of a history": f"{POLL}/history?since=0&limit={'1' * 300}",
    "zeros": f"{POLL}?segment=%00%00&road=%ff%fe",
}


@pytest.mark.parametrize("name", LONG)
def test_a_filter_or_cursor_of_any_size_is_no_fault(target, name):
    source = f"127.0.2.{list(LONG).index(name) + 1}"
    answer = target.ask(LONG[name], EVERYTHING, source=source)
    assert answer.status in (200, 400, 414, 431), answer.head
    assert len(answer.body) < 20_000
    assert target.ask(POLL, EVERYTHING, source=source).segments, "the next request is served"


def test_a_last_event_id_of_any_size_is_no_fault(target):
    for size, statuses in ((20_000, (200, 400)), (60_000, (400, 431))):
        answer = target.ask(STREAM, EVERYTHING, source="127.0.0.14", **{"Last-Event-ID": "A" * size})
        assert answer.status in statuses, answer.head


def test_a_tag_of_another_token_answers_nothing_and_no_cache_keeps_answers(target):
    source = "127.0.0.15"
    first = target.ask(POLL, LIMITED, source=source)
    tag = {"If-None-Match": first.header("ETag")}
    assert target.ask(POLL, LIMITED, source=source, **tag).status == 304
    other = target.ask(POLL, OTHER, source=source, **tag)
    assert (other.status, other.segments) == (200, {"n2"})
    assert target.ask(POLL, source=source, **tag).status == 401
    for answer in (first, other):
        assert "private" in answer.header("Cache-Control")
        assert {"authorization", "cookie"} <= set(answer.header("Vary").lower().split(", "))


def test_claims_hold_on_each_route(target):
    source = "127.0.0.16"
    paths = [POLL, f"{POLL}?segment=n2", f"{POLL}?since=0", f"{POLL}/history?since=0", f"{POLL}/n1", STREAM]
    paths += ["/api/scores", "/api/usual", "/api/network", "/api/acknowledgements", "/api/health", "/predictions"]
    for path in paths:
        answer = target.ask(path, LIMITED, source=source)
        assert (answer.status, answer.segments <= MINE) == (200, True), (path, answer.head)
    hidden = target.ask(f"{POLL}/n2", LIMITED, source=source)
    assert (hidden.status, hidden.segments) == (404, set())
    for path in ("/metrics", "/api/quarantine", "/api/clients"):
        assert target.ask(path, LIMITED, source=source).status == 403
    # What else a client may send in the hope that a proxy or the server takes it for a credential, or for the path.
    for name, value in {
        "X-Original-URL": "/metrics",
        "X-Rewrite-URL": "/metrics",
        "X-HTTP-Method-Override": "PUT",
        "X-Forwarded-User": "operator",
        "X-Forwarded-For": "127.0.0.1",
        "Forwarded": f"for=127.0.0.1;host={NAME}",
    }.items():
        answer = target.ask(POLL, LIMITED, source=source, **{name: value})
        assert (answer.status, answer.segments) == (200, MINE), name


def test_random_filters_give_what_is_within_claims(target):
    pick = random.Random(18)
    names = [f"n{number}" for number in range(1, SEGMENTS + 1)]
    for number in range(60):
        mine, wanted = set(pick.sample(names, pick.randint(0, 4))), pick.sample(names, pick.randint(1, 4))
        token = jwts.signed(sub=f"random {number}", greenwave={"segments": sorted(mine)})
        path = pick.choice([f"{POLL}?", f"{POLL}/history?since=0&", f"{STREAM}?"])
        answer = target.ask(path + urlencode({"segment": ",".join(wanted)}), token, source=f"127.0.3.{number + 1}")
        assert (answer.status, answer.segments) == (200, mine & set(wanted)), (path, mine, wanted)
