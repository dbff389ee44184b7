"""Several topics over HTTP: `topic` on the wire, `topic=` as a filter, and which topic health and metrics mean."""

import pytest

from consumer import Consumer
from consumer.settings import Settings
from consumer.sources.memory import MemoryCluster, MemorySource, MemoryTopic
from tests.consumer.helpers import eventually, message

SEVERAL = Settings(kafka_topic="a,b", kafka_backlog="all")


@pytest.fixture
def settings():
    return SEVERAL


@pytest.fixture
def topics():
    return [MemoryTopic(2, b"topic--a", "a"), MemoryTopic(1, b"topic--b", "b")]


@pytest.fixture
def consumer(topics, settings):
    cluster = MemoryCluster(each for each in topics if settings.topics.includes(each.name))
    consumer = Consumer(settings, lambda _: MemorySource(cluster), poll_seconds=0.02)
    consumer.start()
    yield consumer
    consumer.stop()


@pytest.fixture
def filled(topics, live):
    topics[0].append(message("A"), partition=1)
    topics[1].append(message("B"))
    topics[1].append(b"no JSON")
    eventually(lambda: [offset for offset, _ in live.readings] == [0, 1, 2])
    return live


def shown(client, query=""):
    answer = client.get(f"/api/predictions{query}").json["data"]
    return {(each["segment_id"], each["topic"]) for each in answer["predictions"]}, answer["stats"]["total"]


def test_predictions_name_their_topic_and_topic_filters_them(client, filled):
    assert shown(client) == ({("A", "a"), ("B", "b")}, 2)
    assert shown(client, "?topic=b") == ({("B", "b")}, 1)
    assert shown(client, "?topic=a,b") == ({("A", "a"), ("B", "b")}, 2)
    found = client.get("/api/predictions/history?topic=a&since=0").json["data"]["predictions"]
    assert [(each["segment_id"], each["topic"]) for each in found] == [("A", "a")]


def test_a_poll_with_a_filter_by_topic_goes_on_at_its_cursor(client, filled, topics):
    cursor = client.get("/api/predictions?topic=b").json["data"]["cursor"]
    topics[0].append(message("A2"))
    topics[1].append(message("B2"))
    eventually(lambda: filled.records == 5)
    data = client.get(f"/api/predictions?topic=b&after={cursor}").json["data"]
    assert [each["segment_id"] for each in data["predictions"]] == ["B2"]


@pytest.mark.parametrize("path", ["/api/predictions", "/api/predictions/history", "/predictions/stream"])
def test_an_unknown_topic_is_refused_with_those_that_are_read(client, live, path):
    answer = client.get(f"{path}?topic=nowhere")
    assert answer.status_code == 400
    assert "topic='nowhere' can't be used; allowed: a, b" in answer.json["error"]


def test_a_bad_cursor_of_several_topics_is_refused(client, live):
    cursor = client.get("/api/predictions").json["data"]["cursor"]
    answer = client.get(f"/api/predictions?after={cursor[:-3]}")
    assert answer.status_code == 400
    assert "checksum" in answer.json["error"] or "base64url" in answer.json["error"]


def test_health_metrics_and_quarantine_say_which_topic(client, filled, topics):
    health = client.get("/api/health").json["data"]
    partitions = health["consumer"]["partitions"]
    assert [(each["topic"], each["partition"], each["position"]) for each in partitions] == [
        ("a", 0, 0),
        ("a", 1, 1),
        ("b", 0, 2),
    ]
    assert (health["topic"], health["missing_topics"]) == ("a,b", [])
    positions = [
        line
        for line in client.get("/metrics").text.splitlines()
        if line.startswith("greenwave_partition_position_offset{") and 'topic="b"' in line
    ]
    assert [line.rpartition(" ")[2] for line in positions] == ["2.0"]
    assert [each["topic"] for each in client.get("/api/quarantine").json["data"]["messages"]] == ["b"]


@pytest.mark.parametrize("settings", [Settings(kafka_topic="^b", kafka_backlog="all")])
def test_a_topic_that_a_pattern_may_match_later_is_empty_until_then(client, live):
    assert client.get("/api/predictions?topic=b.later").json["data"]["predictions"] == []
    answer = client.get("/api/predictions?topic=a")
    assert "topic='a' can't be used; allowed: names that match ^b" in answer.json["error"]


@pytest.mark.parametrize("settings", [Settings(kafka_topic="a", kafka_backlog="all")])
def test_with_one_topic_its_name_is_not_on_the_wire_and_filters_nothing(client, topics, live):
    topics[0].append(message("A"))
    eventually(lambda: live.records == 1)
    (found,) = client.get("/api/predictions?topic=a").json["data"]["predictions"]
    assert (found["segment_id"], "topic" in found) == ("A", False)
    assert "allowed: a" in client.get("/api/predictions?topic=b").json["error"]
