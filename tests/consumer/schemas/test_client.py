"""Requests to a registry: what is asked, and answers that can't be used."""

import base64
import time

import pytest

from consumer.schemas import client
from consumer.schemas.client import RegistryAway, RegistryClient, SchemaMissing
from consumer.schemas.schema import Referred, SchemaText
from consumer.settings import Settings

from .helpers import PREDICTION, answer_of


def fetch(fake, schema_id=7, **more):
    return RegistryClient(fake.settings(**more)).fetch(schema_id)


def test_a_schema_is_fetched_by_its_id(fake):
    fake.has(7, "{}")
    assert fetch(fake) == SchemaText("AVRO", "{}")
    fake.has(7, "text", "PROTOBUF")
    assert fetch(fake) == SchemaText("PROTOBUF", "text")
    assert fake.requests == ["/schemas/ids/7"] * 2
    assert "Authorization" not in fake.headers[0]


def test_a_path_in_the_url_is_kept(fake):
    fake.answers["/apis/ccompat/v7/schemas/ids/7"] = answer_of("{}")
    settings = Settings(schema_registry_url=f"{fake.url}/apis/ccompat/v7/")
    assert RegistryClient(settings).fetch(7).text == "{}"


def test_a_user_logs_in(fake):
    fake.has(7, "{}")
    fetch(fake, schema_registry_username="ada", schema_registry_password="se:cret/@ß")
    login = fake.headers[0]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(login).decode() == "ada:se:cret/@ß"


def reference(name, subject, version):
    return {"name": name, "subject": subject, "version": version}


def test_references_come_before_what_refers_to_them(fake):
    fake.has(7, "main", "PROTOBUF", [reference("a.proto", "a/b", 1), reference("c.proto", "c", 2)])
    fake.has_version("a%2Fb", 1, "a", "PROTOBUF", [reference("c.proto", "c", 2)])
    fake.has_version("c", 2, "c", "PROTOBUF")
    assert fetch(fake).references == (Referred("c.proto", "c"), Referred("a.proto", "a"))


def test_references_in_a_circle_end(fake):
    fake.has(7, "main", "AVRO", [reference("A", "a", 1)])
    fake.has_version("a", 1, "a", "AVRO", [reference("B", "b", 1)])
    fake.has_version("b", 1, "b", "AVRO", [reference("A", "a", 1)])
    assert {each.name for each in fetch(fake).references} == {"A", "B"}


def test_a_reference_that_is_not_there(fake):
    fake.has(7, "main", "AVRO", [reference("A", "a", 1)])
    with pytest.raises(ValueError, match="version 1 of 'a', which the registry does not have"):
        fetch(fake)


def test_too_many_references(fake):
    fake.has(7, "main", "AVRO", [reference(f"A{number}", "a", number) for number in range(60)])
    for number in range(60):
        fake.has_version("a", number, "x")
    with pytest.raises(ValueError, match="more than 50 schemas"):
        fetch(fake)


def test_references_that_are_too_large(fake):
    fake.has(7, "main", "AVRO", [reference(f"A{number}", "a", number) for number in range(3)])
    for number in range(3):
        fake.has_version("a", number, "x" * 400_000)
    with pytest.raises(ValueError, match="more than 1048576 characters"):
        fetch(fake)


def test_an_unknown_id(fake):
    with pytest.raises(SchemaMissing):
        fetch(fake)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, b"", "status 500"),
        (401, b"", "status 401; check SCHEMA_REGISTRY_USERNAME"),
        (403, b"{}", "status 403; this user"),
        (404, b"<html>", "status 404; check the path of SCHEMA_REGISTRY_URL"),
        (404, b"{}", "status 404; check the path"),
        (302, b"", "status 302"),
        (200, b"<html>", "not that of a schema registry"),
        (200, b"", "not that of a schema registry"),
        (200, b'{"schema": 7}', "not that of a schema registry"),
        (200, b"[" * 100_000, "not that of a schema registry"),
        (200, b"\xff\xfe", "not that of a schema registry"),
    ],
)
def test_answers_that_can_not_be_used(fake, status, body, why):
    fake.answers["/schemas/ids/7"] = status, body
    with pytest.raises(RegistryAway, match=why):
        fetch(fake)


@pytest.mark.parametrize(
    ("answer", "why"),
    [(answer_of("x" * 1_100_000), "more than 1048576 bytes"), (answer_of("x", "XML"), "its type is 'XML'")],
)
def test_schemas_that_can_not_be_used(fake, answer, why):
    fake.answers["/schemas/ids/7"] = answer
    with pytest.raises(ValueError, match=why):
        fetch(fake)


def test_nothing_listens():
    with pytest.raises(RegistryAway, match="no answer: ConnectionRefusedError"):
        RegistryClient(Settings(schema_registry_url="http://127.0.0.1:1")).fetch(7)


def endless(handler):
    """Answer without an end, a byte at a time."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
    try:
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.01)
    except OSError:
        pass


def silent(handler):
    """Answer nothing until the client hangs up."""
    handler.rfile.read(1)


def no_http(handler):
    handler.wfile.write(b"220 mail.example.org ESMTP\r\n")


def headers_without_end(handler):
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n" + b"X: y\r\n" * 500)


def half(handler):
    handler.wfile.write(b'HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\n{"schema": "')


@pytest.mark.parametrize("fault", [endless, silent, no_http, headers_without_end, half])
def test_a_request_ends_whatever_the_registry_does(fake, fault, monkeypatch):
    monkeypatch.setattr(client, "WAIT_SECONDS", 0.3)
    monkeypatch.setattr(client, "REQUEST_SECONDS", 0.6)
    fake.fault = fault
    with pytest.raises(RegistryAway):
        fetch(fake)


def test_an_error_quotes_no_login_and_no_control_characters(fake):
    def echo(handler):
        login = handler.headers["Authorization"].encode()
        handler.wfile.write(b"WRONG \x1b[2J\rline " + login + b"\r\n")

    fake.fault = echo
    with pytest.raises(RegistryAway, match="BadStatusLine") as caught:
        RegistryClient(fake.settings(schema_registry_username="u", schema_registry_password="secret")).fetch(7)
    assert str(caught.value).isprintable()
    assert base64.b64encode(b"u:secret").decode() not in str(caught.value)


def test_a_huge_answer_is_not_read_to_its_end(fake):
    sent = []

    def huge(handler):
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        try:
            while True:
                sent.append(handler.wfile.write(b"x" * 65_536))
        except OSError:
            pass

    fake.fault = huge
    with pytest.raises(ValueError, match="more than 1048576 bytes"):
        fetch(fake)
    assert sum(sent) < 50_000_000


def test_a_ca_file_is_read_at_the_start(tmp_path):
    from consumer.errors import SettingsError

    with pytest.raises(SettingsError, match=r"SCHEMA_REGISTRY_CAFILE=.*can't be used"):
        RegistryClient(Settings(schema_registry_url="https://localhost", schema_registry_cafile=str(tmp_path / "no")))


def test_the_example_is_a_schema(fake):
    fake.has(7, PREDICTION)
    assert fetch(fake).kind == "AVRO"
