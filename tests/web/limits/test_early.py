"""Requests beyond their rate that are refused before they are parsed."""

import pytest
from msgspec import structs

from app import create_app
from tests.web.access.tokens_file import tokens_file
from tests.web.conftest import SETTINGS
from tests.web.limits.test_limiter import CLIENT, FEW, OTHER, UNLIMITED
from web.limits import early

ONCE = structs.replace(FEW, client_request_rate=1e-6)
"""A client may ask once, and again in 12 days: slow machines change nothing."""
PATH = "/api/predictions"


def head(path=PATH, *lines, method="GET", version="1.1"):
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: test", *lines]).encode()


@pytest.fixture
def refuse(app):
    return early.of(app)


@pytest.fixture
def ask(client):
    return lambda: client.get(PATH, environ_base={"REMOTE_ADDR": CLIENT})


@pytest.fixture
def refused(ask):
    """The client has used its rate."""
    assert ask().status_code == 200


def fields(answer):
    first, *lines = answer.decode().partition("\r\n\r\n")[0].split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines)


@pytest.mark.parametrize("settings", [ONCE])
def test_none_is_refused_within_its_rate_and_none_is_counted(ask, refuse):
    assert refuse(CLIENT, head()) is refuse(CLIENT, head()) is None
    assert ask().status_code == 200
    assert refuse(CLIENT, head()) is not None
    assert refuse(OTHER, head()) is None


@pytest.mark.parametrize("auth", ["none", "token"])
@pytest.mark.parametrize("origins", ["", "https://maps.example.org"])
def test_the_answer_is_that_of_the_app(tmp_path, consumer, auth, origins):
    tokens = tokens_file(tmp_path / "t.toml", reader={})
    settings = structs.replace(ONCE, auth=auth, auth_tokens_file=str(tokens.path), allowed_origins=origins)
    app = create_app(settings, lambda: consumer)
    client, refuse = app.test_client(), early.of(app)
    _, theirs = (client.get(PATH, environ_base={"REMOTE_ADDR": CLIENT}) for _ in range(2))
    first, headers = fields(refuse(CLIENT, head()))
    assert first == f"HTTP/1.1 {theirs.status}" == "HTTP/1.1 429 TOO MANY REQUESTS"
    assert headers.pop("Date").endswith(" GMT")
    assert headers.pop("Connection") == "close"
    number = headers.pop("X-Request-ID")
    wait = headers.pop("Retry-After")
    own = {"X-Request-ID", "Retry-After"}
    assert headers == {name: value for name, value in theirs.headers if name not in own}
    assert float(wait) == pytest.approx(float(theirs.headers["Retry-After"]), abs=600)
    body = refuse(CLIENT, head()).partition(b"\r\n\r\n")[2]
    assert len(body) == int(headers["Content-Length"])
    assert number.encode() not in body, "each has an id of its own"
    app.extensions["greenwave"].admission.close()


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("settings", [ONCE])
def test_body_and_header_name_the_same_request(refuse):
    answer = refuse(CLIENT, head())
    number = fields(answer)[1]["X-Request-ID"]
    assert answer.endswith(b'"request_id":"%b"}' % number.encode())


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("settings", [ONCE])
@pytest.mark.parametrize("path", [PATH, f"{PATH}?road=I-405", "/predictions", "/metrics"])
def test_routes_with_a_rate_are_refused(refuse, path):
    assert refuse(CLIENT, head(path)) is not None
    assert refuse(CLIENT, head(path, version="1.0")) is not None


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("settings", [ONCE])
@pytest.mark.parametrize(
    "left",
    [
        head("/healthz"),
        head("/readyz"),
        head("/static/css/tokens.css"),
        head("/predictions/stream"),
        head("/predictions/ws"),
        head("/api/predictions/LA_001"),
        head("/nothing"),
        head("/api//predictions"),
        head("http://test/api/predictions"),
        head(f"{PATH}?ticket=gwt_x"),
        head(PATH, method="HEAD"),
        head(PATH, method="OPTIONS"),
        head(PATH, "origin: https://maps.example.org"),
        head(PATH, "X-Request-Id: mine"),
        head(PATH, "X-Forwarded-For : 198.51.100.1"),
        b"hello",
        b"",
    ],
)
def test_what_may_have_another_answer_is_left_to_the_app(refuse, left):
    assert refuse(CLIENT, left) is None


@pytest.mark.parametrize("settings", [UNLIMITED])
def test_without_a_rate_none_is_refused(ask, refuse):
    assert {ask().status_code for _ in range(3)} == {200}
    assert refuse(CLIENT, head()) is None


@pytest.mark.parametrize("settings", [structs.replace(SETTINGS, client_request_rate=1e-6)])
@pytest.mark.parametrize("peer", ["10.0.0.7", ""])
def test_exempt_peers_are_not_refused(client, refuse, peer):
    for _ in range(3):
        client.get(PATH, environ_base={"REMOTE_ADDR": peer})
    assert refuse(peer, head()) is None


@pytest.mark.usefixtures("refused", "live")
@pytest.mark.parametrize("settings", [ONCE])
def test_early_refusals_are_counted_and_logged_as_others(client, refuse, caplog):
    for _ in range(30):
        refuse(CLIENT, head())
    report = client.get("/api/clients").json["data"]
    assert {each["client"]: each["refused"]["requests"] for each in report["clients"]} == {CLIENT: 30}
    assert sum("too many" in each.getMessage() for each in caplog.records) == 1


@pytest.mark.parametrize("settings", [structs.replace(ONCE, script_name="/traffic")])
@pytest.mark.usefixtures("refused")
def test_routes_are_below_the_prefix(refuse):
    assert refuse(CLIENT, head(f"/traffic{PATH}")) is not None
    assert refuse(CLIENT, head()) is None


def test_another_application_refuses_none():
    assert early.of(object())(CLIENT, head()) is None
