"""Gaps for cursors that can't be resumed, on every transport of the served product."""

import base64
import contextlib
import json
import os
import re

import pytest
from kafka import TopicPartition

from consumer.view.cursor import Position, decode, place
from tests.consumer.helpers import message
from tests.integration.test_serving import ready
from tests.kafka.helpers import eventually, recreate
from tests.web.server.test_worker import Server, read_until

GAP = re.compile(rb'\{"type":"gap","reason":"(\w+)","missed":(\w+)')


@pytest.fixture
def settings(apache, settings_for):
    return settings_for(apache.create_topic(partitions=2))


@pytest.fixture
def server(settings, tmp_path):
    """Return the product with little memory, on a topic of two partitions."""
    environ = {"KAFKA_BROKERS": settings.kafka_brokers, "KAFKA_TOPIC": settings.kafka_topic, "KAFKA_BACKLOG": "all"}
    with Server(tmp_path / "log", app="wsgi:app", **environ, BUFFER_ENTRIES="100", REPLAY_RECORDS="500") as server:
        eventually(lambda: ready(server))
        yield server


def polled(server, path="/api/predictions"):
    return json.loads(server.get(path, timeout=60))


def cursor_of(server):
    return polled(server)["data"]["cursor"]


def until_read(server, records):
    """Wait until the server has read so many records."""
    eventually(lambda: sum(at >> 24 for at in decode(cursor_of(server)).places) >= records)


def by_stream(server, cursor):
    with contextlib.closing(server.open(**{"Last-Event-ID": cursor})) as client:
        client.settimeout(60)
        seen = read_until(client, b'"type":"initial"')
        assert seen.index(b'"gap"') < seen.index(b'"initial"'), "the view follows its reason"
        return GAP.findall(seen)


def by_websocket(server, cursor):
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
    }
    with contextlib.closing(server.open(f"/predictions/ws?after={cursor}", **headers)) as client:
        client.settimeout(60)
        return GAP.findall(read_until(client, b'"type":"initial"'))


def by_poll(server, cursor):
    data = polled(server, f"/api/predictions?after={cursor}&wait=20")["data"]
    assert "stats" in data, "the view comes along"
    return [(data["gap"]["reason"].encode(), json.dumps(data["gap"]["missed"]).encode())]


def by_history(server, cursor):
    gap = polled(server, f"/api/predictions/history?after={cursor}")["data"]["gap"]
    return [(gap["reason"].encode(), json.dumps(gap["missed"]).encode())]


def assert_gap_everywhere(server, cursor, reason, missed=b"null"):
    for transport in (by_stream, by_websocket, by_poll, by_history):
        assert transport(server, cursor) == [(reason, missed)], transport.__name__


def test_expired_records_are_a_gap_with_their_number(apache, server, settings, publish):
    cursor = cursor_of(server)
    publish(settings, *[message(f"S{number}") for number in range(300)], partition=0)
    until_read(server, 300)
    with apache.admin() as admin:
        admin.delete_records({TopicPartition(settings.topic, 0): 120})
    assert_gap_everywhere(server, cursor, b"expired", b"120")


def test_more_than_a_replay_may_read_is_a_gap_with_its_number(server, settings, publish):
    cursor = cursor_of(server)
    publish(settings, *[message(f"S{number}") for number in range(700)], partition=1)
    until_read(server, 700)
    assert_gap_everywhere(server, cursor, b"replay_limit", b"700")


def test_cursor_of_another_or_a_recreated_topic_is_a_gap(apache, server, settings, publish):
    publish(settings, message("old"), partition=0)
    until_read(server, 1)
    old = cursor_of(server)
    assert_gap_everywhere(server, Position(b"another1", (place(0),) * 2).encode(), b"other_topic")
    recreate(apache, settings.topic, partitions=2)
    eventually(lambda: decode(cursor_of(server)).incarnation != decode(old).incarnation)
    assert_gap_everywhere(server, old, b"other_topic")


def test_forged_cursor_beyond_the_end_is_a_gap(server, settings, publish):
    publish(settings, message("A"), partition=0)
    until_read(server, 1)
    here = decode(cursor_of(server))
    forged = Position(here.incarnation, tuple(at + place(10**9) for at in here.places)).encode()
    assert_gap_everywhere(server, forged, b"ahead")


def test_damaged_cursor_is_a_gap_in_streams_and_an_error_elsewhere(server):
    damaged = cursor_of(server)[:-3] + "AAA"
    assert by_stream(server, damaged) == by_websocket(server, damaged) == [(b"bad_cursor", b"null")]
    for route in ("/api/predictions", "/api/predictions/history"):
        answer = polled(server, f"{route}?after={damaged}")
        assert answer["success"] is False
        assert answer["error"].startswith("after can't be used: ")
