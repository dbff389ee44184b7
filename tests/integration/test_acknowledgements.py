"""Acknowledgements in a compacted topic, through the product as it is served."""

import contextlib

import pytest
from msgspec import structs

from cli.publish import create_topic
from tests.integration.acknowledging import Process
from tests.kafka.helpers import eventually, fresh_name


@pytest.fixture
def shared(settings):
    """Settings with a topic of acknowledgements."""
    settings = structs.replace(settings, acknowledgements_topic=fresh_name())
    assert create_topic(settings.for_acknowledgements, 1, timeout=60, is_compacted=True)
    return settings


@pytest.fixture
def start(tmp_path, environ, shared, produce, integration):
    """Start processes that know the segments A and B; they end with the test."""
    produce({"segment_id": "A", "predicted_speed": 10}, {"segment_id": "B", "predicted_speed": 10})
    with contextlib.ExitStack() as stack:

        def start(name):
            more = {"ACKNOWLEDGEMENTS_TOPIC": shared.acknowledgements_topic, "PUBLISH_TIMEOUT": "60"}
            process = stack.enter_context(Process(tmp_path / name, app="wsgi:app", **environ, **more))
            eventually(lambda: process.knows(2))
            eventually(lambda: process.seen() is not None)
            return process

        yield start


def test_processes_of_several_hosts_share_acknowledgements_over_restarts(start):
    one, other = start("one"), start("other")
    assert one.change("acknowledge", "A", name="Ann", note="crew sent")[0] == 200
    assert one.seen() == [("A", "Ann", "crew sent")]
    eventually(lambda: other.seen() == [("A", "Ann", "crew sent")])
    assert other.change("acknowledge", "B", name="Bob")[0] == 200
    assert other.change("undo", "A")[0] == 200
    eventually(lambda: one.seen() == [("B", "Bob", "")])
    one.process.terminate()
    one.process.wait(60)
    assert start("again").seen() == [("B", "Bob", "")]
