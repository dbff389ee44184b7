"""Pages of other sites: which may send requests, what the browser learns of the answers, and which use cookies."""

import contextlib

import pytest
import websocket

from app import create_app
from consumer.errors import Closing
from consumer.settings import Settings
from tests.consumer.helpers import message
from tests.web.access.tokens_file import bearer, tokens_file
from tests.web.conftest import hold_slot
from tests.web.paths import events_of, serving
from web.access.authentication import COOKIE
from web.access.origins import AllowedOrigins
from web.access.rules import RULES, Rule

MAPS = "https://maps.example"
EVIL = "https://evil.example"
PREFLIGHT = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,last-event-id"}
NEEDED = {"authorization", "content-type", "idempotency-key", "last-event-id"}


@pytest.fixture
def tokens(tmp_path):
    return tokens_file(tmp_path / "t.toml", reader={"roads": ["I-5"]}, publisher={"roles": ["publisher"]})


@pytest.fixture
def make(consumer, tokens):
    """Return a function that makes an app with ALLOWED_ORIGINS and other settings."""
    made = []

    def make(allowed="", auth="", **more):
        given = {"kafka_backlog": "all", "web_threads": 8, "allowed_origins": allowed, "auth": auth, **more}
        app = create_app(Settings(**given, auth_tokens_file=str(tokens.path)), lambda: consumer)
        made.append(app)
        return app

    yield make
    for app in made:
        app.extensions["greenwave"].admission.close()
    consumer.feed.wake()


def cors_of(answer):
    """Return the headers of CORS that name origins."""
    return {
        name.removeprefix("access-control-allow-"): value
        for name, value in ((name.lower(), value) for name, value in answer.headers)
        if name in ("access-control-allow-origin", "access-control-allow-credentials")
    }


NAMED = {"origin": MAPS, "credentials": "true"}


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "is_allowed"),
    [
        ("http://here:8000", "here:8000", "", True),
        ("http://HERE:8000", "here:8000", "", True),
        ("http://here:8001", "here:8000", "", False),
        ("https://here", "here", "", True),  # a proxy that ends TLS
        ("http://here", "here:80", "", True),
        ("http://here.evil", "here", "", False),
        ("http://evil", "here", "", False),
        ("http://evil:x", "here", "", False),
        ("null", "here", "", False),
        ("", "here", "", False),
        ("https://maps.example", "here", "https://maps.example", True),
        ("https://maps.example", "here", "https://a.example, https://maps.example/", True),
        ("http://maps.example", "here", "https://maps.example", False),
        ("https://maps.example.evil", "here", "https://maps.example", False),
        ("https://maps.example:8443", "here", "https://maps.example", False),
        ("https://any.example", "here", "*", True),
        ("http://[::1]:8000", "[::1]:8000", "", True),
    ],
)
def test_own_and_listed_origins_may_send_requests(make, live, origin, host, allowed, is_allowed):
    answer = make(allowed).test_client().get("/api/config", headers={"Origin": origin, "Host": host})
    assert answer.status_code == (200 if is_allowed else 403)


@pytest.mark.parametrize("path", ["/api/predictions", "/predictions/stream", "/api/predictions/stream", "/metrics"])
def test_a_page_of_another_site_is_refused_on_all_routes(make, live, path):
    answer = make(MAPS).test_client().get(path, headers={"Origin": EVIL})
    assert answer.status_code == 403
    assert answer.json["error"].startswith(f"pages of '{EVIL}' may not connect; allowed: this host's own pages")
    assert cors_of(answer) == {}


def test_an_image_of_another_site_opens_no_stream(make, live):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    answer = make().test_client().get("/predictions/stream", headers=headers)
    assert (answer.status_code, "pages of another site may not" in answer.text) == (403, True)


@pytest.mark.parametrize("auth", ["none", "token"])
def test_a_page_of_another_site_publishes_nothing(make, live, tokens, auth):
    client = make(MAPS, auth, publish=True).test_client()
    headers = {"Origin": EVIL, "Content-Type": "application/json", **bearer(tokens["publisher"])}
    answer = client.post("/api/predictions", data=message("A"), headers=headers)
    assert (answer.status_code, "may not connect" in answer.text) == (403, True)


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 422), ("same-site", 403), ("cross-site", 403), ("none", 403), (None, 403)]
)
def test_an_own_page_publishes_behind_a_proxy_that_changes_the_host(make, live, site, status):
    headers = {"Host": "backend:8000", "Origin": "https://traffic.example.org", "Content-Type": "application/json"}
    headers |= {"Sec-Fetch-Site": site} if site else {}
    client = make("", "none", publish=True).test_client()
    assert client.post("/api/predictions", data=b"{}", headers=headers).status_code == status


def test_each_route_with_data_checks_the_origin(make, live, tokens):
    app = make("", "none")
    for rule in app.url_map.iter_rules():
        if "GET" not in rule.methods or rule.websocket or RULES[rule.endpoint] in (Rule.OPEN, Rule.PAGE):
            continue
        path = rule.rule.replace("<segment:segment_id>", "A")
        assert (path, app.test_client().get(path, headers={"Origin": EVIL}).status_code) == (path, 403)


def test_a_listed_origin_reads_answers(make, live, tokens):
    client = make(MAPS, "token").test_client()
    headers = {"Origin": MAPS, **bearer(tokens["reader"])}
    answer = client.get("/api/predictions", headers=headers)
    assert (answer.status_code, cors_of(answer)) == (200, NAMED)
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"ETag", "Retry-After", "X-Request-ID"} <= set(exposed)
    assert {"origin", "authorization", "cookie", "accept-encoding"} <= set(answer.vary.as_set())
    unchanged = client.get("/api/predictions", headers={**headers, "If-None-Match": answer.headers["ETag"]})
    assert (unchanged.status_code, cors_of(unchanged)) == (304, NAMED)
    assert "origin" in unchanged.vary.as_set()


def test_answers_without_an_origin_vary_by_it(make, live):
    answer = make(MAPS).test_client().get("/api/predictions")
    assert ("origin" in answer.vary.as_set(), cors_of(answer)) == (True, {})
    assert "origin" not in make().test_client().get("/api/predictions").vary.as_set()


def test_errors_can_be_read_by_a_listed_origin(make, live, tokens):
    app = make(MAPS, "token")
    client = app.test_client()
    headers = {"Origin": MAPS, **bearer(tokens["reader"])}
    for path, sent, status in (
        ("/api/predictions", {"Origin": MAPS}, 401),
        ("/metrics", headers, 403),
        ("/api/predictions?colour=red", headers, 400),
        ("/api/nothing", headers, 404),
    ):
        answer = client.get(path, headers=sent)
        assert (path, answer.status_code, cors_of(answer)) == (path, status, NAMED)
    held = [hold_slot(app.extensions["greenwave"].admission) for _ in range(6)]
    full = client.get("/api/predictions/history?since=0", headers=headers)
    assert (full.status_code, "Retry-After" in full.headers, cors_of(full)) == (429, True, NAMED)
    for slot in held:
        slot.release()
    assert client.get("/readyz", headers=headers).status_code == 200


def test_unavailable_can_be_read_by_a_listed_origin(consumer):
    def closing():
        raise Closing

    client = create_app(Settings(allowed_origins=MAPS), closing).test_client()
    answer = client.get("/api/predictions", headers={"Origin": MAPS})
    assert (answer.status_code, "Retry-After" in answer.headers, cors_of(answer)) == (503, True, NAMED)


def test_streams_can_be_read_by_a_listed_origin(make, live, tokens):
    client = make(MAPS, "token").test_client()
    answer = client.get("/predictions/stream", headers={"Origin": MAPS, **bearer(tokens["reader"])})
    assert (answer.status_code, cors_of(answer)) == (200, NAMED)
    assert events_of([next(iter(answer.response))])[0][1]["type"] == "connected"
    answer.close()


@pytest.mark.parametrize("path", ["/api/predictions", "/predictions/stream", "/api/nothing"])
def test_a_preflight_needs_no_credentials(make, live, path):
    answer = make(MAPS, "token").test_client().options(path, headers={"Origin": MAPS, **PREFLIGHT})
    assert (answer.status_code, answer.data, cors_of(answer)) == (204, b"", NAMED)
    assert set(answer.headers["Access-Control-Allow-Headers"].lower().split(", ")) >= NEEDED
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert int(answer.headers["Access-Control-Max-Age"]) > 0


def test_a_preflight_of_another_origin_allows_nothing(make, live):
    for app in (make(MAPS), make()):
        answer = app.test_client().options("/api/predictions", headers={"Origin": EVIL, **PREFLIGHT})
        assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-allow")]


def test_a_preflight_under_another_host_name_is_refused(make, live):
    client = make(MAPS, allowed_hosts="a.example").test_client()
    headers = {"Origin": MAPS, "Host": "evil.example", **PREFLIGHT}
    assert client.options("/api/predictions", headers=headers).status_code == 400


def test_any_origin_reads_without_cookies(make, live, tokens):
    client = make("*", "token").test_client()
    client.set_cookie(COOKIE, tokens["reader"])
    refused = client.get("/api/predictions", headers={"Origin": EVIL})
    assert (refused.status_code, cors_of(refused)) == (401, {"origin": "*"})
    answer = client.get("/api/predictions", headers={"Origin": EVIL, **bearer(tokens["reader"])})
    assert (answer.status_code, cors_of(answer)) == (200, {"origin": "*"})


def test_a_named_origin_uses_cookies_beside_a_wildcard(make, live, tokens):
    client = make(f"*,{MAPS}", "token").test_client()
    client.set_cookie(COOKIE, tokens["reader"])
    answer = client.get("/api/predictions", headers={"Origin": MAPS})
    assert (answer.status_code, cors_of(answer)) == (200, NAMED)
    assert client.get("/api/predictions", headers={"Origin": EVIL}).status_code == 401


def test_an_own_page_needs_no_cors(make, live):
    answer = make(MAPS).test_client().get("/api/predictions", headers={"Origin": "http://localhost"})
    assert (answer.status_code, cors_of(answer)) == (200, {})


@pytest.mark.parametrize("origin", [f"{MAPS}\r\nSet-Cookie: a=b", f"{MAPS}, {EVIL}", f"{MAPS} ", f"{MAPS}\0"])
def test_a_strange_origin_is_not_sent_back(make, live, origin):
    environ = {"HTTP_ORIGIN": origin}  # as no server would pass it on
    answer = make(MAPS).test_client().get("/api/predictions", environ_overrides=environ)
    assert (answer.status_code, cors_of(answer)) == (403, {})


def test_files_of_the_page_can_be_used_by_a_listed_origin(make, live):
    with make(MAPS, "token").test_client().get("/static/js/main.js", headers={"Origin": MAPS}) as answer:
        assert (answer.status_code, cors_of(answer)) == (200, NAMED)


@pytest.mark.parametrize(
    ("origin", "allowed", "credentials", "status"),
    [
        (EVIL, "", "cookie", 401),
        ("null", "", "cookie", 401),
        ("http://127.0.0.1:1", "", "cookie", 401),
        (EVIL, "*", "cookie", 401),
        (MAPS, MAPS, "cookie", 101),
        (EVIL, "", "header", 403),
        (MAPS, MAPS, "header", 101),
        (None, "", "cookie", 101),  # of this host
    ],
)
def test_a_websocket_follows_the_same_list(integration, make, live, tokens, origin, allowed, credentials, status):
    given = f"Cookie: {COOKIE}={tokens['reader']}" if credentials == "cookie" else bearer(tokens["reader"])
    with serving(make(allowed, "token")) as server, contextlib.closing(websocket.WebSocket()) as socket:
        try:
            socket.connect(
                f"{server.replace('http', 'ws')}/predictions/ws",
                header=[given] if credentials == "cookie" else given,
                origin=origin or server,
                timeout=60,
            )
            seen = socket.getstatus()
        except websocket.WebSocketBadStatusException as refused:
            seen = refused.status_code
    assert seen == status


@pytest.mark.parametrize(
    ("listed", "sent"),
    [
        ("https://maps.example.org:443", "https://maps.example.org"),
        ("http://maps.example.org:80", "http://maps.example.org"),
        ("https://maps.example.org:80", "https://maps.example.org:80"),
    ],
)
def test_a_listed_origin_may_state_the_default_port_of_its_scheme(listed, sent):
    assert AllowedOrigins(listed).names(sent)
