"""Requests with and without credentials, the sign-in page, and a start without a word on access."""

import os
import subprocess
import sys

import pytest
from gunicorn.config import Config

from app import create_app
from consumer.errors import SettingsError
from consumer.settings import Settings
from tests.consumer.helpers import message
from tests.web.access.tokens_file import bearer, tokens_file
from tests.web.paths import events_of
from web.access.authentication import COOKIE
from web.access.exposure import check_access, check_listeners, warnings_of
from web.access.rules import RULES, Rule

HERE = {"Origin": "http://localhost"}
ELSEWHERE = {"Origin": "http://evil.example"}


@pytest.fixture
def tokens(tmp_path):
    return tokens_file(tmp_path / "t.toml", reader={"roads": ["I-5"]}, operator={"roles": ["operator"]})


@pytest.fixture
def settings(tokens):
    return Settings(kafka_backlog="all", web_threads=8, auth="token", auth_tokens_file=str(tokens.path))


def routes(app, *wanted):
    """Return a path of each GET route with one of these rules."""
    rules = [each for each in app.url_map.iter_rules() if "GET" in each.methods and not each.websocket]
    rules = [each for each in rules if RULES[each.endpoint] in wanted]
    return [each.rule.replace("<segment:segment_id>", "A").replace("<path:filename>", "css/page.css") for each in rules]


def sign_in(client, token, headers=HERE, **fields):
    return client.post("/sign-in", data={"token": token, **fields}, headers=headers)


def test_without_credentials_only_open_routes_answer(app, client, live):
    for path in routes(app, Rule.READ, Rule.OPERATE):
        answer = client.get(path)
        assert (path, answer.status_code) == (path, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer realm=greenwave"
        assert answer.json["error"].startswith("credentials are missing; send the header Authorization: Bearer TOKEN")
    for path in routes(app, Rule.PAGE):
        answer = client.get(f"{path}?q=a b")
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/sign-in?next=%2F")
    for path in routes(app, Rule.OPEN):
        with client.get(path) as answer:
            assert (path, answer.status_code) == (path, 200)


def test_a_route_without_a_rule_is_refused(app, client, live, tokens):
    app.add_url_rule("/new", "new", lambda: "secret")
    answer = client.get("/new", headers=bearer(tokens["operator"]))
    assert (answer.status_code, "secret" in answer.text) == (403, False)


@pytest.mark.parametrize(
    "authorization", ["Bearer wrong", "Bearer", "Basic dTpw", "bearer ", "Bearer a b", "Bearer " + "x" * 9000]
)
def test_wrong_credentials_are_refused(client, live, authorization):
    answer = client.get("/api/predictions", headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert answer.json["error"].startswith(("the token is", "credentials are missing"))


def test_operator_routes_need_the_role(app, client, live, tokens):
    for path in routes(app, Rule.OPERATE):
        assert client.get(path, headers=bearer(tokens["reader"])).status_code == 403
        assert client.get(path, headers=bearer(tokens["operator"])).status_code == 200


def test_details_of_health_are_for_operators(client, live, tokens):
    def report(name):
        return client.get("/api/health", headers=bearer(tokens[name])).json["data"]

    assert set(report("reader")) == {
        *["version", "state", "since", "seconds_in_state", "reason", "retry_in", "ready"],
    }
    assert {"consumer", "clients", "quarantine"} <= set(report("operator"))


def test_readiness_has_no_reason(client, live, tokens):
    assert client.get("/readyz").json == {"success": True, "status": "ready", "state": "live"}
    assert client.get("/readyz", headers=bearer(tokens["operator"])).json == client.get("/readyz").json


def test_answers_are_kept_out_of_shared_caches(client, live, tokens):
    for path in ("/api/predictions", "/predictions", "/api/predictions/history"):
        answer = client.get(path, headers=bearer(tokens["reader"]))
        assert "private" in answer.headers["Cache-Control"]
        assert {"authorization", "cookie"} <= set(answer.vary.as_set())
    assert "private" in client.get("/api/predictions").headers["Cache-Control"]


def test_entity_tags_of_another_token_answer_nothing(client, put, tokens):
    put(message("A", road_name="US-101"))
    tag = client.get("/api/predictions", headers=bearer(tokens["operator"])).headers["ETag"]
    answer = client.get("/api/predictions", headers={**bearer(tokens["reader"]), "If-None-Match": tag})
    assert (answer.status_code, answer.json["data"]["predictions"]) == (200, [])


def test_a_signed_in_browser_reads_by_its_cookie(client, live, tokens):
    answer = sign_in(client, tokens["reader"], next="/predictions?q=a")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/predictions?q=a")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    assert client.get("/predictions").status_code == client.get("/api/predictions").status_code == 200
    assert client.post("/sign-out", headers=HERE).status_code == 303
    assert client.get("/api/predictions").status_code == 401


def test_over_https_the_cookie_is_secure(client, live, tokens):
    answer = client.post("/sign-in", data={"token": tokens["reader"]}, headers=HERE, base_url="https://localhost")
    assert "Secure" in answer.headers["Set-Cookie"]


def test_a_wrong_token_gives_the_form_again_and_no_cookie(client, live):
    answer = sign_in(client, "<script>")
    assert answer.status_code == 401
    assert "Sign-in failed: the token is not valid." in answer.text
    assert "<script>" not in answer.text
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nSet-Cookie: x", "evil", "/\tx", ""]
)
def test_after_the_sign_in_only_own_pages_are_opened(client, live, tokens, target):
    assert sign_in(client, tokens["reader"], next=target).headers["Location"] == "/predictions"


@pytest.mark.parametrize("headers", [ELSEWHERE, {}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}])
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out"])
def test_a_page_of_another_site_can_not_sign_in_or_out(client, live, tokens, path, headers):
    answer = client.post(path, data={"token": tokens["reader"]}, headers=headers)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_a_page_signs_in_behind_a_proxy_that_changes_the_host(client, live, tokens):
    behind = {"Host": "backend:8000", "Origin": "https://traffic.example.org"}
    own = {**behind, "Sec-Fetch-Site": "same-origin"}
    assert sign_in(client, tokens["reader"], headers=own).status_code == 303
    client.set_cookie(COOKIE, tokens["reader"], domain="backend")
    assert client.get("/api/predictions", headers=own).status_code == 200
    assert client.post("/sign-out", headers=own).status_code == 303
    for site in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"}):
        assert sign_in(client, tokens["reader"], headers={**behind, **site}).status_code == 403


@pytest.mark.parametrize(
    "headers", [ELSEWHERE, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}]
)
@pytest.mark.parametrize("path", ["/api/predictions", "/predictions/stream"])
def test_a_cookie_serves_no_page_of_another_site(client, live, tokens, path, headers):
    client.set_cookie(COOKIE, tokens["reader"])
    answer = client.get(path, headers=headers)
    assert answer.status_code == 401


def test_links_of_other_sites_open_the_page(client, live, tokens):
    client.set_cookie(COOKIE, tokens["reader"])
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/predictions", headers=headers).status_code == 200


@pytest.mark.slow  # the file of tokens is read again after a second
def test_an_open_stream_ends_when_its_token_is_revoked(client, stream, live, tokens):
    it = stream(**bearer(tokens["reader"]))
    it.event("initial")
    tokens.write(operator={"roles": ["operator"]})
    assert events_of(it.frames)[-1][1] == {"type": "bye", "reason": "expired"}
    assert client.get("/predictions/stream", headers=bearer(tokens["reader"])).status_code == 401


def test_a_stream_says_when_its_token_expires(client, live, tokens):
    tokens.write(reader={"expires": "2099-01-01T00:00:00Z"}, operator={})
    for name, expected in (("reader", "2099-01-01T00:00:00.000Z"), ("operator", None)):
        with client.get("/predictions/stream", headers=bearer(tokens[name])) as response:
            connected = events_of([next(iter(response.response))])[0][1]
        assert (connected["type"], connected["expires_at"]) == ("connected", expected)


def test_a_large_form_is_refused(client, live):
    assert sign_in(client, "x" * 20_000).status_code == 413


def test_without_authentication_the_sign_in_page_leads_on(consumer):
    client = create_app(Settings(), lambda: consumer).test_client()
    assert client.get("/sign-in").headers["Location"] == "/predictions"


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "[::]", "192.0.2.1", "example"])
def test_a_start_that_others_can_reach_needs_a_word_on_access(bind):
    with pytest.raises(
        SettingsError, match=r"AUTH is not set, and other hosts may reach BIND=.*; set AUTH=none .*AUTH"
    ):
        check_access(Settings(bind=bind))
    check_access(Settings(bind=bind, auth="none"))


@pytest.mark.parametrize("bind", ["0.0.0.0:80", "[::]:80", ":80", "192.0.2.1:80", "example:80"])
def test_an_option_of_gunicorn_that_others_can_reach_is_refused(bind):
    config = Config()
    config.set("bind", ["127.0.0.1:8000", bind])
    with pytest.raises(SettingsError, match=r"AUTH is not set, and other hosts may reach --bind .*:80; set AUTH=none"):
        check_listeners(Settings(), config.address)
    check_listeners(Settings(auth="none"), config.address)


def test_gunicorn_may_listen_on_this_host():
    config = Config()
    config.set("bind", ["127.0.0.1:8000", "[::1]:8000", "localhost:80", "unix:/run/greenwave.sock", "fd://3"])
    check_listeners(Settings(), config.address)


@pytest.mark.integration
def test_gunicorn_checks_its_option_at_the_start():
    environ = {**os.environ, "KAFKA_BROKERS": "127.0.0.1:1"}
    environ = {name: value for name, value in environ.items() if name not in ("AUTH", "BIND")}
    ended = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--bind", "0.0.0.0:0", "wsgi:app"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "greenwave: AUTH is not set, and other hosts may reach --bind 0.0.0.0:0" in ended.stderr
    assert "Listening" not in ended.stderr


@pytest.mark.parametrize("bind", ["127.0.0.1", "localhost", "::1", "[::1]", "127.0.0.2"])
def test_on_loopback_a_start_is_open(bind):
    check_access(Settings(bind=bind))
    assert warnings_of(Settings(bind=bind, auth="none")) == []


def test_without_a_word_on_access_only_this_host_is_served():
    settings = Settings()
    check_access(settings)
    assert settings.address == "127.0.0.1"
    (warning,) = warnings_of(settings)
    assert warning.startswith("AUTH is not set: only this host is served, at 127.0.0.1:8000; set AUTH=none")
    assert warnings_of(Settings(bind="127.0.0.1")) == []


def test_open_access_from_other_hosts_is_warned_of():
    assert warnings_of(Settings(auth="none")) == [
        "AUTH=none: every client that reaches 0.0.0.0:8000 may read all predictions"
    ]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *[("a.example", 200), ("A.example:8000", 200), ("[::1]:8000", 200)],
        *[("evil.example", 400), ("a.example.evil", 400), ("[", 400), ("", 400), ("a.example@evil", 400)],
    ],
)
def test_requests_are_served_under_allowed_hosts_only(consumer, live, host, status):
    client = create_app(Settings(allowed_hosts="a.example, ::1"), lambda: consumer).test_client()
    assert client.get("/api/config", headers={"Host": host}).status_code == status
    assert client.get("/healthz", headers={"Host": host}).status_code in (200, 400)  # Werkzeug refuses some
    assert client.get("/healthz", headers={"Host": "10.0.0.1:8000"}).status_code == 200
