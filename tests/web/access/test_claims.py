"""Claims against a small reference model: whatever a request asks for, its answer is within the claims."""

import json
import random
import re
from itertools import islice

import pytest

from consumer import Consumer
from consumer.settings import Settings
from consumer.sources.memory import MemoryCluster, MemorySource, MemoryTopic
from tests.consumer.helpers import eventually, message
from tests.properties import PROFILE
from tests.web.access.tokens_file import bearer, tokens_file
from tests.web.conftest import events_of

SEGMENTS = 24
PAIRS = {"long": 10_000, "quick": 60}.get(PROFILE, 300)
TOKENS = 40
ROADS = ["I-5", "I-5 N", "I-5 N at Main", "I-50", "US-101", "US-101 S"]
TIME_MS = 1_700_000_000_000


class Item:
    """What the model knows of one prediction."""

    def __init__(self, number, generation):
        pick = random.Random(f"{number} {generation}")
        self.segment = f"seg-{number:03d}"
        self.topic = "ab"[number % 2]
        self.road = pick.choice([*ROADS, None])
        self.place = pick.choice([(34.0, 179.5), (34.0, -179.5), (33.0, 10.0), (-20.0, 20.0), None])
        self.speed = pick.choice([10, 35, 50, 70])
        self.generation = generation

    @property
    def category(self):
        return {10: "severe_congestion", 35: "heavy_traffic", 50: "moderate_traffic", 70: "free_flow"}[self.speed]

    def value(self):
        fields = {"segment": self.segment, "speed": self.speed, "timestamp": TIME_MS + self.generation}
        if self.road:
            fields["road_name"] = self.road
        if self.place:
            fields["coordinates"] = {"latitude": self.place[0], "longitude": self.place[1]}
        return message(**fields)


ITEMS = [Item(number, generation) for generation in range(3) for number in range(SEGMENTS)]
LATEST = {each.segment: each for each in ITEMS}


def in_box(place, box):
    west, south, east, north = box
    if place is None or not south <= place[0] <= north:
        return False
    return west <= place[1] <= east if west <= east else place[1] >= west or place[1] <= east


def on_road(road, wanted):
    return road is not None and any(re.match(rf"{re.escape(each)}(?: |$)", road, re.I) for each in wanted)


def allows(wanted, item):
    """Tell whether claims, or the values of a request, match an item."""
    return (
        ("topics" not in wanted or item.topic in wanted["topics"])
        and ("segments" not in wanted or item.segment in wanted["segments"])
        and ("roads" not in wanted or on_road(item.road, wanted["roads"]))
        and ("bbox" not in wanted or in_box(item.place, wanted["bbox"]))
        and ("categories" not in wanted or item.category in wanted["categories"])
    )


def some(pick, values):
    return pick.sample(values, pick.randint(1, 3))


def random_limits(pick):
    kinds = {
        "topics": lambda: pick.sample(["a", "b"], pick.randint(0, 2)),
        "segments": lambda: pick.sample(sorted(LATEST), pick.randint(0, 12)),
        "roads": lambda: some(pick, ROADS),
        "bbox": lambda: pick.choice([[179, 0, -179, 60], [0, -30, 30, 40], [-180, -90, 180, 90], [179, 0, 180, 60]]),
    }
    return {name: make() for name, make in kinds.items() if pick.random() < 0.4}


def random_request(pick, claims):
    request = random_limits(pick)
    if pick.random() < 0.3:
        request["categories"] = some(pick, ["severe_congestion", "free_flow", "heavy_traffic", "moderate_traffic"])
    request = {name: values for name, values in request.items() if values}
    if "topics" in request:  # others are refused
        request["topics"] = [each for each in request["topics"] if each in claims.get("topics", "ab")]
        request = {name: values for name, values in request.items() if values}
    names = {"topics": "topic", "segments": "segment", "roads": "road", "categories": "category", "bbox": "bbox"}
    return request, [(names[each], ",".join(map(str, values))) for each, values in request.items()]


@pytest.fixture(scope="module")
def claims():
    pick = random.Random(18)
    return {f"t{number}": random_limits(pick) for number in range(TOKENS)}


@pytest.fixture
def tokens(tmp_path, claims):
    return tokens_file(tmp_path / "tokens.toml", operator={"roles": ["operator"]}, **claims)


@pytest.fixture
def settings(tokens):
    return Settings(kafka_topic="a,b", kafka_backlog="all", auth="token", auth_tokens_file=str(tokens.path))


@pytest.fixture
def topics():
    return [MemoryTopic(2, b"topic--a", "a"), MemoryTopic(1, b"topic--b", "b")]


@pytest.fixture
def consumer(topics, settings):
    cluster = MemoryCluster(topics)
    consumer = Consumer(settings, lambda _: MemorySource(cluster), poll_seconds=0.02)
    consumer.start()
    yield consumer
    consumer.stop()


@pytest.fixture
def start(client, topics, live, tokens):
    """Publish all items; return the cursor before the first of them."""
    start = client.get("/api/predictions", headers=bearer(tokens["operator"])).json["data"]["cursor"]
    for each in ITEMS:
        topics["ab".index(each.topic)].append(each.value(), partition=0)
    eventually(lambda: live.records == len(ITEMS))
    return start


def named(text):
    return set(re.findall(r"seg-\d{3}", text))


def stream_text(client, query, headers):
    """Return an SSE stream up to its view."""
    response = client.get("/predictions/stream", query_string=query, headers=headers)
    text = b""
    for part in islice(response.response, 20):
        text += part
        if any(event["type"] == "initial" for _, event in events_of([text[: text.rfind(b"\n\n") + 2]])):
            break
    response.close()
    return text.decode()


def check_view(client, pick, headers, start, claim, asked, query):
    data = client.get("/api/predictions", query_string=query, headers=headers).json["data"]
    expected = {each.segment for each in LATEST.values() if allows(claim, each) and allows(asked, each)}
    assert {each["segment_id"] for each in data["predictions"]} == expected
    assert data["stats"]["total"] == len(expected)
    if claim:
        assert data["stats"]["scores"] is None
    return json.dumps(data)


def check_tag(client, pick, headers, start, claim, asked, query):
    """An entity tag that another client was given answers 304 only for the same content."""
    other = client.get("/api/predictions", headers=headers)
    answer = client.get(
        "/api/predictions", query_string=query, headers=headers | {"If-None-Match": other.headers["ETag"]}
    )
    if answer.status_code == 304:
        mine = client.get("/api/predictions", query_string=query, headers=headers).json["data"]["predictions"]
        assert mine == other.json["data"]["predictions"]
    return answer.text


def check_changes(client, pick, headers, start, claim, asked, query):
    return client.get("/api/predictions", query_string=[*query, ("after", start)], headers=headers).text


def check_since(client, pick, headers, start, claim, asked, query):
    return client.get("/api/predictions", query_string=[*query, ("since", "0")], headers=headers).text


def check_history(client, pick, headers, start, claim, asked, query):
    data = client.get("/api/predictions/history", query_string=[*query, ("since", "0")], headers=headers).json["data"]
    expected = sorted((each.segment, each.generation) for each in ITEMS if allows(claim, each) and allows(asked, each))
    assert sorted((each["segment_id"], each["timestamp"] - TIME_MS) for each in data["predictions"]) == expected
    return json.dumps(data)


def check_lines(client, pick, headers, start, claim, asked, query):
    accept = headers | {"Accept": "application/x-ndjson"}
    with client.get("/api/predictions/history", query_string=query, headers=accept) as answer:
        return answer.text


def check_segment(client, pick, headers, start, claim, asked, query):
    segment = pick.choice(sorted(LATEST))
    answer = client.get(f"/api/predictions/{segment}", headers=headers)
    history = [each.generation for each in ITEMS if each.segment == segment and allows(claim, each)]
    if not history:
        assert answer.status_code == 404
        return answer.text.replace(segment, "")  # what the client asked for
    assert [each["timestamp"] - TIME_MS for each in answer.json["data"]["history"]] == history
    return answer.text


def check_stream(client, pick, headers, start, claim, asked, query):
    return stream_text(client, query, headers)


def check_resumed_stream(client, pick, headers, start, claim, asked, query):
    if not claim and not query:
        return ""  # without a filter no view follows
    return stream_text(client, [*query, ("after", start)], headers)


def check_other_routes(client, pick, headers, start, claim, asked, query):
    texts = []
    operated = ("/metrics", "/api/quarantine", "/api/clients")
    for path in (*operated, "/api/network", "/api/config", "/api/health", "/predictions", "/docs", "/openapi.json"):
        answer = client.get(path, headers=headers)
        assert answer.status_code == (403 if path in operated else 200)
        texts.append(answer.text)
    return "".join(texts)


CHECKS = [
    *[check_view, check_tag, check_changes, check_since, check_history, check_lines, check_segment],
    *[check_other_routes, check_stream, check_resumed_stream],
]
WEIGHTS = [6, 3, 3, 1, 3, 2, 3, 1, 1, 1]


def test_no_answer_holds_what_a_token_may_not_see(client, start, claims, tokens):
    pick = random.Random(PAIRS)
    for number in range(PAIRS):
        name = pick.choice(sorted(claims))
        claim, (asked, query) = claims[name], random_request(pick, claims[name])
        (check,) = pick.choices(CHECKS, WEIGHTS)
        text = check(client, pick, bearer(tokens[name]), start, claim, asked, query)
        visible = {each.segment for each in ITEMS if allows(claim, each)}
        assert named(text) <= visible, (number, check.__name__, claim, query)
