"""ADMIN_BIND: what operators see is served at an address of its own, and there only."""

import contextlib
import http.client
import json
import socket

import pytest
from gunicorn.config import Config

from app import create_app
from consumer.errors import SettingsError
from consumer.settings import Settings, load
from tests.web.access.tokens_file import bearer, tokens_file
from tests.web.server.test_worker import Server, free_port
from web.access.exposure import check_listeners, warnings_of

ADMIN = "127.0.0.1:9090"
PATHS = ("/metrics", "/api/quarantine", "/api/clients")
AT_ADMIN = {"SERVER_NAME": "127.0.0.1", "SERVER_PORT": "9090"}


@pytest.fixture
def tokens(tmp_path):
    return tokens_file(tmp_path / "t.toml", reader={}, operator={"roles": ["operator"]})


@pytest.fixture(params=["none", "token"])
def client(request, consumer, live, tokens):
    settings = Settings(admin_bind=ADMIN, auth=request.param, auth_tokens_file=str(tokens.path))
    return create_app(settings, lambda: consumer).test_client()


def test_operators_are_served_at_the_own_address_without_credentials(client):
    for path in PATHS:
        assert client.get(path, environ_overrides=AT_ADMIN).status_code == 200
    assert "quarantine" in client.get("/api/health", environ_overrides=AT_ADMIN).json["data"]


@pytest.mark.parametrize("headers", [{}, {"Host": ADMIN}, {"X-Forwarded-Port": "9090", "Server-Port": "9090"}])
def test_elsewhere_no_client_sees_what_operators_do(client, tokens, headers):
    given = {**bearer(tokens["operator"]), **headers}
    for path in PATHS:
        answer = client.get(path, headers=given)
        assert (answer.status_code, answer.json["error"]) == (403, "routes of operators are served at ADMIN_BIND only")
    assert "quarantine" not in client.get("/api/health", headers=given).json["data"]


def test_pages_of_other_sites_are_refused_there_too(client):
    answer = client.get("/metrics", environ_overrides=AT_ADMIN, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


def test_other_routes_need_credentials_at_both_addresses(consumer, live, tokens):
    settings = Settings(admin_bind=ADMIN, auth="token", auth_tokens_file=str(tokens.path))
    client = create_app(settings, lambda: consumer).test_client()
    for environ in ({}, AT_ADMIN):
        assert client.get("/api/predictions", environ_overrides=environ).status_code == 401
        answer = client.get("/api/predictions", environ_overrides=environ, headers=bearer(tokens["reader"]))
        assert answer.status_code == 200
    assert client.get("/api/health").status_code == 401


@pytest.mark.parametrize("given", ["9090", "127.0.0.1", "127.0.0.1:0", "a b:1", "127.0.0.1:8000", ":9090"])
def test_an_address_that_can_not_be_used_is_refused(given):
    with pytest.raises(
        SettingsError, match=r"ADMIN_BIND='.*' can't be used; allowed: an address and a port other than"
    ):
        load({"ADMIN_BIND": given})


def test_an_option_of_gunicorn_must_have_the_address():
    config = Config()
    config.set("bind", ["127.0.0.1:8000", ADMIN])
    check_listeners(Settings(admin_bind=ADMIN), config.address)
    config.set("bind", ["127.0.0.1:8000"])
    with pytest.raises(SettingsError, match=r"ADMIN_BIND='127.0.0.1:9090' is not among the addresses of --bind"):
        check_listeners(Settings(admin_bind=ADMIN), config.address)


@pytest.mark.parametrize("other", ["0.0.0.0", "[::]", "10.0.0.5"])
def test_no_other_address_has_the_port(other):
    config = Config()
    config.set("bind", [f"{other}:9090"])
    with pytest.raises(SettingsError, match="is not among the addresses of --bind"):
        check_listeners(Settings(admin_bind=ADMIN, auth="none"), config.address)
    config.set("bind", [ADMIN, f"{other}:9090"])
    with pytest.raises(SettingsError, match=r"--bind .*:9090 has the port of ADMIN_BIND='127.0.0.1:9090'"):
        check_listeners(Settings(admin_bind=ADMIN, auth="none"), config.address)


@pytest.mark.parametrize("given", ["[::1]:9090", "LocalHost:9090", "127.0.0.1:09090"])
def test_an_address_is_found_in_each_spelling(given):
    config = Config()
    config.set("bind", ["127.0.0.1:8000", given])
    check_listeners(Settings(admin_bind=given), config.address)


def test_a_unix_socket_is_not_the_own_address_whatever_the_host_says(client):
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        for path in PATHS:
            answer = client.get(path, environ_overrides={**AT_ADMIN, "gunicorn.socket": here})
            assert answer.status_code == 403


@pytest.mark.integration
def test_a_host_with_the_port_opens_nothing_behind_a_unix_socket(tmp_path):
    admin, path = f"127.0.0.1:{free_port()}", tmp_path / "s"
    options = ("--bind", f"127.0.0.1:{free_port()}", "--bind", admin, "--bind", f"unix:{path}")
    server = Server(tmp_path / "log", *options, AUTH="none", ADMIN_BIND=admin)
    server.port = int(options[1].rpartition(":")[2])
    with server, contextlib.closing(http.client.HTTPConnection(admin, timeout=60)) as connection:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(60)
        connection.sock.connect(str(path))
        connection.request("GET", "/metrics")  # with the port of ADMIN_BIND in the header Host
        assert connection.getresponse().status == 403


@pytest.mark.parametrize("auth", ["token", "jwt"])
def test_an_address_for_operators_that_other_hosts_may_reach_is_warned_of(auth):
    (warning,) = warnings_of(Settings(auth=auth, admin_bind="0.0.0.0:9090"))
    assert warning.startswith("ADMIN_BIND=0.0.0.0:9090: every client that reaches this address may read metrics")
    assert "without authentication" in warning
    for bind in ("127.0.0.1:9090", "[::1]:9090", "localhost:9090", ""):
        assert warnings_of(Settings(auth=auth, admin_bind=bind)) == []


@pytest.mark.integration
def test_gunicorn_serves_both_addresses(tmp_path):
    def get(port, path):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", path, headers={"Host": f"127.0.0.1:{admin}"})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    admin = free_port()
    with Server(tmp_path / "log", AUTH="none", ADMIN_BIND=f"127.0.0.1:{admin}") as server:
        assert [get(port, "/metrics")[0] for port in (server.port, admin)] == [403, 200]
        assert [get(port, "/healthz")[0] for port in (server.port, admin)] == [200, 200]
        reports = [json.loads(get(port, "/api/health")[1])["data"] for port in (server.port, admin)]
        assert ["consumer" in each for each in reports] == [False, True]
