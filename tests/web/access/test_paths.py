"""Each path is served in one spelling, whatever a framework would take for the same one."""

import http.client
from urllib.parse import quote

import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client
from werkzeug.wrappers import Response

from tests.consumer.helpers import message
from tests.web.api.test_websocket import HANDSHAKE
from tests.web.server.test_worker import Server, until

FIXED = [
    "/predictions",
    "/predictions/embed",
    "/predictions/stream",
    "/predictions/ws",
    "/api/predictions",
    "/api/predictions/stream",
    "/api/predictions/history",
    "/api/usual",
    "/api/scores",
    "/api/acknowledgements",
    "/api/health",
    "/api/quarantine",
    "/api/config",
    "/api/network",
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/clients",
    "/docs",
    "/openapi.json",
    "/asyncapi.json",
]


def spellings(path):
    """Return what proxies may take for other paths: slashes, encodings, dots, parameters, fragments, case."""
    first, last = path[1], path[-1]
    return [
        f"{path}//",
        f"{path}%2f",
        f"{path}%2F",
        f"{path}/.",
        f"{path}/x/..",
        f"{path}.",
        f"{path}%2e",
        f"{path}%20",
        f"{path}%00",
        f"{path}%0a",
        f"{path}%ff",
        f"{path};",
        f"{path};x=1",
        f"{path}%3f",
        f"{path}%23",
        f"{path}#x",
        f"/{path}",
        f"//{path}",
        f"/.{path}",
        f"/x/..{path}",
        f"/%2e{path}",
        f"%2f{path[1:]}",
        f"/%{ord(first):02x}{path[2:]}",
        f"{path[:-1]}%{ord(last):02X}",
        path.upper(),
        *([] if path == "/predictions" else [f"{path}/"]),
        *([path.replace("/", "//")[1:], path.replace("/", "%2f")] if path.count("/") > 1 else []),
        *([f"{path[:4]}{path[4:].replace('/', '%2F', 1)}"] if path.startswith("/api/") else []),
    ]


@pytest.fixture(scope="module")
def status_of(tmp_path_factory, integration):
    """Start a server; return what gives the status of a target that is sent exactly so."""
    with Server(tmp_path_factory.mktemp("server") / "log") as server:
        server.get("/publish?from=1&to=2")

        def status_of(target):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            try:
                is_websocket = target.endswith("/ws")
                connection.request("GET", target, headers=HANDSHAKE if is_websocket else {})
                return connection.getresponse().status
            finally:
                connection.close()

        until(lambda: status_of("/api/predictions/n1") == 200)
        yield status_of


@pytest.mark.parametrize("path", FIXED)
def test_a_path_is_served_in_one_spelling(status_of, path):
    served = 101 if path == "/predictions/ws" else 200
    until(lambda: status_of(path) == served)  # /readyz takes a moment
    targets = [path, f"http://other.example:80{path}"]
    assert {target: status_of(target) for target in targets} == dict.fromkeys(targets, served)
    others = spellings(path)
    statuses = {target: status_of(target) for target in others}
    assert {target: status for target, status in statuses.items() if status not in (400, 404, 426)} == {}


def test_every_fixed_route_is_tested(app):
    routes = {rule.rule for rule in app.url_map.iter_rules() if not rule.arguments}
    assert routes == {"/", "/predictions/", "/sign-in", "/sign-out", "/api/tickets", *FIXED}


@pytest.mark.parametrize(
    "target", ["/%61pi/predictions/n1", "//api/predictions/n1", "/api%2fpredictions/A", "/api//predictions/n1"]
)
def test_what_comes_before_a_name_is_served_in_one_spelling(status_of, target):
    assert status_of("/api/predictions/n1") == status_of("/api/predictions/%6e1") == 200
    assert status_of(target) == 404


@pytest.mark.parametrize("target", ["/static//js/main.js", "/%73tatic/js/main.js", "//static/js/main.js"])
def test_a_file_is_served_below_its_folder_alone(status_of, target):
    assert status_of("/static/js/main.js") == 200
    assert status_of(target) == 404


@pytest.mark.parametrize("host", ["evil.example", "here"])
@pytest.mark.parametrize("path", ["/api//health", "//evil.example/predictions", "//evil.example/..", "/\\evil.example"])
def test_no_path_leads_to_another_host(client, path, host):
    answer = client.get("/x", headers={"Host": host}, environ_overrides={"PATH_INFO": path, "RAW_URI": path})
    assert (answer.status_code, answer.headers.get("Location")) == (404, None)


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/", "/predictions"),
        ("/?q=a+b&road=I-5&road=I-10", "/predictions?q=a+b&road=I-5&road=I-10"),
        ("/predictions/", "/predictions"),
        ("/predictions/?q=%2F%2Fevil", "/predictions?q=%2F%2Fevil"),
        ("/predictions/?_external=1&_scheme=javascript", "/predictions?_external=1&_scheme=javascript"),
    ],
)
def test_what_people_type_leads_to_the_page(client, target, location):
    answer = client.get(target, headers={"Host": "evil.example"})
    assert (answer.status_code, answer.headers["Location"]) == (302, location)


def test_under_a_prefix_paths_and_redirects_have_it(app, live):
    mounted = Client(DispatcherMiddleware(Response(status=418), {"/a/b": app}), Response)
    assert mounted.get("/a/b/").headers["Location"] == "/a/b/predictions"
    assert mounted.get("/a/b/predictions/").headers["Location"] == "/a/b/predictions"
    assert b'data-root="/a/b"' in mounted.get("/a/b/predictions").data
    assert mounted.get("/a/b/healthz").status_code == 200
    for target in ("/a/b", "/a/b/healthz/", "/a/b//healthz", "/a/b/health%7a"):
        assert mounted.get(target, environ_overrides={"RAW_URI": target}).status_code == 404


def test_a_refusal_says_what_was_meant(client):
    error = client.get("/metrics", environ_overrides={"RAW_URI": "/metric%73?x"}).json["error"]
    assert error == "there is nothing at /metric%73; did you mean /metrics?"


@pytest.mark.parametrize("name", ["//", "a/", "/a", "%2f", "a;b", "a#b", "a?b"])
def test_a_segment_may_have_any_name(client, put, name):
    put(message(name))
    assert client.get(f"/api/predictions/{quote(name, safe='')}").json["data"]["segment_id"] == name
