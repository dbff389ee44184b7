"""The OpenAPI document: valid, complete, and what the app answers."""

import re
import shlex
from urllib.parse import quote, urlencode

import pytest
from jsonschema_rs import ValidationError
from msgspec import structs

from app import create_app
from consumer.settings import Settings
from tests.consumer.helpers import eventually, message
from tests.web.access.tokens_file import tokens_file
from tests.web.conftest import SETTINGS, hold_slot
from tests.web.documents.conformity import check_response, document_for, operation_of, with_topics
from web.server.refusals import LINE_TOO_LONG, TOO_LARGE

OPERATIONS = [
    (path, method, operation)
    for path, methods in document_for(SETTINGS)["paths"].items()
    for method, operation in methods.items()
]


@pytest.fixture
def filled(client, put, live):
    """Return the client of an app that has predictions and an observation."""
    put(message("LA_001", horizon_minutes=15, current_speed=40.0, latitude=34.0, longitude=-118.2, road_name="I-405 N"))
    put(message("LA_002", speed=12.0))
    put(b'{"segment_id": "LA_001", "timestamp": 1700000001000, "current_speed": 47}')
    put(b"no json")
    return client


def answer_of(client, method, target, settings=SETTINGS):
    """Send a request, compare its answer with the document, and return it."""
    path = target.partition("?")[0]
    response = client.open(target, method=method.upper())
    operation = operation_of(document_for(settings), method, path)
    is_endless = response.status_code == 200 and operation is not None and operation["tags"] == ["Streams"]
    check_response(response, method.upper(), path, settings, None if is_endless else response.get_data())
    response.close()
    return response


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        with_topics("roads,sensors"),
        with_topics(r"^traffic\."),
        *[Settings(auth=auth) for auth in ("none", "token", "jwt")],
    ],
    ids=["topics", "pattern", "no authentication", "token", "jwt"],
)
def test_openapi_is_valid(settings):
    # The validator takes half a second for each document, and its import two seconds in each worker of pytest.
    from openapi_spec_validator import OpenAPIV31SpecValidator

    found = OpenAPIV31SpecValidator(document_for(settings)).iter_errors()
    assert [str(error) for error in found] == []


def test_each_route_is_documented(app):
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or {"GET"}) - {"HEAD", "OPTIONS"}
    }
    paths = document_for(SETTINGS)["paths"]
    documented = {(path, method.upper()) for path, methods in paths.items() for method in methods}
    assert documented - {(path, "HEAD") for path, _ in documented} == routes


def test_requests_that_are_too_large_are_documented():
    statuses = {each.partition(" ")[0] for each in (LINE_TOO_LONG, TOO_LARGE)}
    assert [path for path, _, operation in OPERATIONS if statuses - operation["responses"].keys()] == []


@pytest.mark.parametrize("auth", ["none", "token", "jwt"])
def test_credentials_are_documented_where_they_are_needed(auth):
    document = document_for(structs.replace(SETTINGS, auth=auth))
    assert document["security"] == ([] if auth == "none" else [{"bearer": []}, {"cookie": []}])
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert "security" not in document["paths"]["/api/predictions"]["get"]


def test_each_operation_has_its_own_name():
    names = [each["operationId"] for methods in document_for(SETTINGS)["paths"].values() for each in methods.values()]
    assert len(names) == len(set(names))


def test_each_example_is_answered_as_documented(filled, live):
    samples = [(method, each["source"]) for _, method, found in OPERATIONS for each in found.get("x-codeSamples", ())]
    assert len(samples) > 15
    for method, source in samples:
        target = shlex.split(source)[-1].removeprefix("http://localhost:8000")
        response = answer_of(filled, method, target.replace("$CURSOR", live.feed.cursor))
        assert response.status_code in (200, 302), source


def test_each_example_of_a_parameter_can_be_used(filled, live):
    parameters = [
        (path, method, each)
        for path, method, operation in OPERATIONS
        for each in operation["parameters"]
        if each["in"] == "query" and method != "post" and path != "/predictions/ws"  # that takes those of streams
    ]
    assert len(parameters) > 30
    for path, method, parameter in parameters:
        value = parameter.get("example", "")
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value).replace("$CURSOR", live.feed.cursor)
        target = path.replace("{segment_id}", "LA_001") + "?" + urlencode({parameter["name"]: text})
        assert answer_of(filled, method, target).status_code in (200, 302), target


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/predictions?nothing=1", 400),
        ("/api/predictions/unknown", 404),
        ("/api/predictions/LA_001?nothing=1", 400),
        ("/api/predictions/history?since=2&until=1", 400),
        ("/api/usual?at=yesterday", 400),
        ("/api/usual?segment_id=unknown", 404),
        ("/predictions/stream?bbox=1", 400),
        ("/predictions/ws", 426),
        ("/docs?a=1", 400),
        ("/openapi.json?a=1", 400),
        ("/asyncapi.json?a=1", 400),
        ("/static/nothing.js", 404),
    ],
)
def test_errors_are_documented(filled, path, status):
    assert answer_of(filled, "GET", path).status_code == status


@pytest.mark.parametrize(
    "path", ["/openapi.json", "/asyncapi.json", "/docs", "/api/predictions", "/api/network", "/api/usual"]
)
def test_an_answer_with_a_tag_is_not_sent_twice(filled, path):
    tag = filled.get(path).headers["ETag"]
    response = filled.get(path, headers={"If-None-Match": tag})
    assert response.status_code == 304
    check_response(response, "GET", path, SETTINGS, b"")


def test_answers_with_observations_are_documented(filled, live):
    cursor = live.feed.cursor
    for path in (
        "/api/predictions?",
        "/api/predictions/LA_001?",
        "/api/predictions/history?",
        f"/api/predictions?after={cursor}&",
    ):
        assert answer_of(filled, "GET", f"{path}include=observations").status_code == 200


def test_changes_with_removals_are_documented(filled, put, live):
    cursor = live.feed.cursor
    put(message("LA_003"))
    put(None, key=b"LA_001")
    response = answer_of(filled, "GET", f"/api/predictions?after={cursor}")
    assert [each["reason"] for each in response.json["data"]["left"]] == ["removed"]


def test_lines_of_a_history_are_documented(filled):
    path = "/api/predictions/history"
    response = filled.get(f"{path}?include=observations", headers={"Accept": "application/x-ndjson"})
    body = response.get_data()
    assert body.count(b"\n") == 4
    check_response(response, "GET", path, SETTINGS, body)


def test_a_full_server_is_documented(filled, app):
    admission = app.extensions["greenwave"].admission
    held = [hold_slot(admission) for _ in range(admission.size)]
    assert answer_of(filled, "GET", "/api/predictions/history?since=0").status_code == 429
    assert answer_of(filled, "GET", "/predictions/stream").status_code == 200
    for slot in held:
        slot.release()


def test_requests_without_credentials_are_documented(tmp_path, consumer):
    settings = structs.replace(SETTINGS, auth="token", auth_tokens_file=str(tokens_file(tmp_path / "t.toml").path))
    app = create_app(settings, lambda: consumer)
    client = app.test_client()
    for path in ("/predictions", "/predictions/embed", "/docs", "/", "/predictions/"):
        assert answer_of(client, "GET", path, settings).status_code == 302
    for path in ("/api/predictions", "/metrics", "/predictions/stream", "/openapi.json"):
        assert answer_of(client, "GET", path, settings).status_code == 401
    app.extensions["greenwave"].admission.close()


def test_health_is_documented_before_and_after_the_start(client, consumer):
    for path in ("/readyz", "/api/health", "/api/config", "/api/quarantine"):
        answer_of(client, "GET", path)
    eventually(lambda: consumer.ready)
    for path in ("/readyz", "/api/health"):
        assert answer_of(client, "GET", path).status_code == 200


@pytest.mark.parametrize("settings", [structs.replace(SETTINGS, schema_registry_url="http://127.0.0.1:1")])
def test_health_with_a_schema_registry_is_documented(client, live, settings):
    assert answer_of(client, "GET", "/api/health", settings).json["data"]["schema_registry"]


def test_an_undocumented_status_and_field_are_noticed(filled):
    response = filled.get("/api/config")
    response.status_code = 418
    with pytest.raises(AssertionError, match="answered 418"):
        check_response(response, "GET", "/api/config", SETTINGS, b"{}")
    response.status_code = 200
    body = response.get_data().replace(b'"data":{', b'"data":{"extra":1,')
    with pytest.raises(ValidationError, match="'extra' was unexpected"):
        check_response(response, "GET", "/api/config", SETTINGS, body)


def test_the_page_shows_all_operations_and_needs_no_other_host(client):
    page = client.get("/docs").text
    paths = document_for(Settings())["paths"]
    assert [path for path in paths if f"<code>{path}</code>" not in page] == []
    assert re.findall(r'(?:src|href)="(?:https?:)?//', page) == []
    assert "<script" not in page


def test_the_documents_know_the_prefix_of_a_proxy(client):
    def get(path):
        return client.get(path, environ_overrides={"SCRIPT_NAME": "/traffic", "RAW_URI": f"/traffic{path}"})

    assert 'href="/traffic/openapi.json"' in get("/docs").text
    assert get("/openapi.json").json["servers"][0]["url"] == "/traffic"
    assert client.get("/openapi.json").json["servers"][0]["url"] == "/"


def test_only_topics_that_are_read_are_documented():
    def topic_of(topics):
        found = operation_of(document_for(with_topics(topics)), "GET", "/api/predictions")["parameters"]
        return next(each["schema"]["items"] for each in found if each["name"] == "topic")

    assert topic_of("roads,sensors")["enum"] == ["roads", "sensors"]
    assert "enum" not in topic_of(r"^traffic\.")


def test_a_segment_id_may_contain_slashes(filled, put):
    put(message("a/b c"))
    assert answer_of(filled, "GET", f"/api/predictions/{quote('a/b c')}").status_code == 200
