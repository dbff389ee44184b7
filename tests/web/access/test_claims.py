"""Claims against a small reference model: whatever a request asks for, its answer is within the claims."""

import contextlib
import json
import random
import re
from itertools import islice
from urllib.parse import unquote_plus

import pytest
import websocket
from flask import request, request_started

from consumer import Consumer
from consumer.settings import Settings
from consumer.sources.memory import MemoryCluster, MemorySource, MemoryTopic
from consumer.usual.quarters import quarters_in
from consumer.usual.store import Counted, open_writer
from tests.consumer.helpers import eventually, message
from tests.properties import PROFILE
from tests.web.access.tokens_file import bearer, tokens_file
from tests.web.paths import events_of
from web.access.rules import RULES

SEGMENTS = 24
PAIRS = {"long": 10_000, "quick": 60}.get(PROFILE, 300)
SOCKETS = PAIRS // 20
TOKENS = 40
ROADS = ["I-5", "I-5 N", "I-5 N at Main", "I-50", "US-101", "US-101 S"]
TIME_MS = 1_700_000_000_000
STEP_MS = 300_000
"""The time between generations, and the horizon of each prediction: the next generation judges it."""
WEEK_MS = 7 * 86_400_000
PLACES = [(34.0, 179.5), (34.0, -179.5), (33.0, 10.0), (-20.0, 20.0), None]


class Item:
    """What the model knows of one prediction, or of one observation."""

    def __init__(self, number, generation, is_observation=False):
        pick = random.Random(f"{number} {generation}")
        self.segment = f"seg-{number:03d}"
        self.topic = "ab"[number % 2]
        self.own = pick.choice([*ROADS, None]), pick.choice(PLACES)
        known = NETWORK.get(self.segment, (None, None))
        self.road, self.place = (mine or its for mine, its in zip(self.own, known, strict=True))
        self.speed = pick.choice([10, 35, 50, 70])
        self.generation = generation
        self.is_observation = is_observation

    @property
    def category(self):
        return {10: "severe_congestion", 35: "heavy_traffic", 50: "moderate_traffic", 70: "free_flow"}[self.speed]

    def value(self):
        road, place = self.own
        fields = {"segment": self.segment, "timestamp": TIME_MS + self.generation * STEP_MS}
        fields |= {"speed": self.speed, "current_speed": self.speed}
        if self.is_observation:
            fields["speed"] = None
        else:
            fields |= {"horizon_minutes": STEP_MS // 60_000, "model": f"model of {self.segment}"}
        if road:
            fields["road_name"] = road
        if place:
            fields["coordinates"] = {"latitude": place[0], "longitude": place[1]}
        return message(**fields)


class Located:
    """What the network has of a segment, as far as claims ask for it."""

    def __init__(self, segment):
        self.segment, (self.road, self.place) = segment, NETWORK[segment]


NETWORK = {
    f"seg-{number:03d}": (["US-101 N", None][number % 2], PLACES[number % 4]) for number in range(0, SEGMENTS + 8, 3)
}
"""Road and place by segment; of some, nothing was ever published."""
ITEMS = [Item(number, generation) for generation in range(3) for number in range(SEGMENTS)]
LATEST = {each.segment: each for each in ITEMS}
OBSERVED = [Item(number, 3, is_observation=True) for number in range(0, SEGMENTS, 2)]


def network_json():
    features = [
        {
            "type": "Feature",
            "properties": {"segment_id": segment} | ({"road": road} if road else {}),
            "geometry": {"type": "Point", "coordinates": place[::-1]},
        }
        for segment, (road, place) in NETWORK.items()
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


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
def settings(tokens, tmp_path):
    (tmp_path / "network.geojson").write_text(network_json())
    settings = Settings(
        kafka_topic="a,b",
        kafka_backlog="all",
        auth="token",
        auth_tokens_file=str(tokens.path),
        network_file=str(tmp_path / "network.geojson"),
        usual_file=str(tmp_path / "usual.db"),
        acknowledgements_file=str(tmp_path / "acknowledgements.db"),
    )
    writer = open_writer(settings.usual_file, {"speed_unit": "mph", "timezone": "UTC"}, latest=1_000)
    before = quarters_in(settings.usual_zone)(TIME_MS - WEEK_MS)
    numbers = {name: number for number, name in enumerate(sorted(LATEST), 1)}
    writer.add(
        [(number, before, 2 * speed) for number in numbers.values() for speed in (20, 30, 40)],
        {name: Counted(number, 1_000) for name, number in numbers.items()},
    )
    writer.close()
    return settings


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
    """Publish all items, and acknowledge an alert of each segment; return the cursor before the first item."""
    operator = bearer(tokens["operator"])
    start = client.get("/api/predictions", headers=operator).json["data"]["cursor"]
    items = ITEMS + OBSERVED
    for each in items:
        topics["ab".index(each.topic)].append(each.value(), partition=0)
    eventually(lambda: live.records == len(items))
    for segment in LATEST:
        given = {"action": "acknowledge", "note": f"note of {segment}", "alerts": [alert(segment)]}
        assert client.post("/api/acknowledgements", json=given, headers=operator).status_code == 200
    scored = client.get("/api/scores", headers=operator).json["data"]
    assert scored["total"]["count"] > SEGMENTS
    assert "model of seg-000" in {each["model"] for each in scored["by_model"]}
    return start


def alert(segment):
    return {"segment_id": segment, "kind": "severe", "since": TIME_MS, "until": TIME_MS + STEP_MS}


def in_view(claim):
    """Return the segments whose newest prediction or observation is within the claims."""
    return {each.segment for each in [*LATEST.values(), *OBSERVED] if allows(claim, each)}


def named(text):
    return set(re.findall(r"seg-\d{3}", text))


def stream_text(client, query, headers, path="/predictions/stream"):
    """Return an SSE stream up to its view."""
    response = client.get(path, query_string=query, headers=headers)
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
    assert sorted((each["segment_id"], generation_of(each)) for each in data["predictions"]) == expected
    return json.dumps(data)


def generation_of(item):
    return (item["timestamp"] - TIME_MS) // STEP_MS


def check_observations(client, pick, headers, start, claim, asked, query):
    """Observations of the view and of the history are those that both match."""
    query = [*query, ("include", "observations")]
    expected = {each.segment for each in OBSERVED if allows(claim, each) and allows(asked, each)}
    texts = []
    for path, more in (("", []), ("/history", [("since", "0")])):
        data = client.get(f"/api/predictions{path}", query_string=[*query, *more], headers=headers).json["data"]
        assert {each["segment_id"] for each in data["observations"]} == expected
        texts.append(json.dumps(data))
    return "".join(texts)


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
    data = answer.json["data"]
    assert [generation_of(each) for each in data["history"]] == history
    is_whole = all(allows(claim, each) for each in [*ITEMS, *OBSERVED] if each.segment == segment)
    if not is_whole or "topics" in claim:
        assert (data["scores"], {each["actual"] for each in data["history"]}) == (None, {None})
    return answer.text


def check_scores(client, pick, headers, start, claim, asked, query):
    data = client.get("/api/scores", headers=headers).json["data"]
    if claim:
        assert (data["total"], data["by_horizon"], data["by_model"]) == (None, [], [])
    return json.dumps(data)


def check_usual(client, pick, headers, start, claim, asked, query):
    expected = in_view(claim) if claim else set(LATEST)
    with_speeds = set() if "topics" in claim else expected
    at = [("at", str(TIME_MS))]
    answer = client.get("/api/usual", query_string=at, headers=headers)
    assert set(answer.json["data"]["segments"]) == with_speeds
    segment = pick.choice(sorted(LATEST))
    day = client.get("/api/usual", query_string=[*at, ("segment_id", segment)], headers=headers)
    assert day.status_code == (200 if segment in expected else 404)
    if day.status_code == 200:
        assert any(day.json["data"]["quarters"]) == (segment in with_speeds)
    return answer.text + day.text.replace(segment, "")


def check_network(client, pick, headers, start, claim, asked, query):
    """A segment is shown where it is, by the network, or by what was read of it."""
    features = client.get("/api/network", headers=headers).json["features"]
    located = {name for name in NETWORK if "topics" not in claim and allows(claim, Located(name))}
    assert {each["id"] for each in features} == NETWORK.keys() & (in_view(claim) | located)
    return ""


def check_acknowledgements(client, pick, headers, start, claim, asked, query):
    path, seen = "/api/acknowledgements", in_view(claim)
    listed = client.get(path, headers=headers)
    given = some(pick, sorted(LATEST))
    change = {"action": "renew", "alerts": [alert(each) for each in given]}
    changed = client.post(path, json=change, headers=headers)
    assert changed.status_code == (200 if seen & set(given) else 404)
    for answer in (listed, changed):
        if answer.status_code == 200:
            assert {each["segment_id"] for each in answer.json["data"]["acknowledgements"]} == seen
    return listed.text + (changed.text if changed.status_code == 200 else changed.text.replace(given[0], ""))


def check_roads(client, pick, headers, start, claim, asked, query):
    """The page of a road links the roads of what may be seen, and no others."""
    names = {each.road for each in [*LATEST.values(), *OBSERVED] if allows(claim, each)}
    names |= {road for road, _ in NETWORK.values()} if not claim else set()
    expected = {name.removesuffix(" at Main") for name in names if name}
    road = pick.choice(["I-5", "I-5 N", "I-50", "US-101", "US-101 N", "US-101 S", "I-9"])
    page = client.get(f"/predictions/road/{road.replace(' ', '+')}", headers=headers)
    assert page.status_code == (200 if road in expected else 404)
    linked = {unquote_plus(each) for each in re.findall(r'href="/predictions/road/([^"]+)"', page.text)}
    assert linked | ({road} & expected) == expected
    return page.text


def check_stream(client, pick, headers, start, claim, asked, query):
    return stream_text(client, query, headers)


def check_stream_by_ticket(client, pick, headers, start, claim, asked, query):
    ticket = client.post("/api/tickets", headers=headers).json["data"]["ticket"]
    return stream_text(client, [*query, ("ticket", ticket)], {}, "/api/predictions/stream")


def check_resumed_stream(client, pick, headers, start, claim, asked, query):
    if not claim and not query:
        return ""  # without a filter no view follows
    return stream_text(client, [*query, ("after", start)], headers)


def check_other_routes(client, pick, headers, start, claim, asked, query):
    texts = []
    operated = ("/metrics", "/api/quarantine", "/api/clients")
    redirects = ("/", "/predictions/")
    pages = ("/predictions", "/predictions/embed", "/docs", "/openapi.json", "/asyncapi.json")
    for path in (*operated, *redirects, *pages, "/api/config", "/api/health"):
        answer = client.get(path, headers=headers)
        assert answer.status_code == (403 if path in operated else 302 if path in redirects else 200)
        texts.append(answer.text)
    return "".join(texts)


CHECKS = {
    check_view: 6,
    check_tag: 3,
    check_changes: 3,
    check_since: 1,
    check_history: 3,
    check_observations: 2,
    check_lines: 2,
    check_segment: 3,
    check_scores: 2,
    check_usual: 2,
    check_network: 2,
    check_acknowledgements: 2,
    check_roads: 2,
    check_other_routes: 1,
    check_stream: 1,
    check_stream_by_ticket: 1,
    check_resumed_stream: 1,
}
"""What is asked, and how often."""
NOT_ASKED = {
    "static": "files that are the same for all",
    "health.healthz": "says no more than a status",
    "health.readyz": "says no more than a status",
    "sign_in.form": "has no data",
    "sign_in.sign_in": "has no data",
    "sign_in.sign_out": "has no data",
    "publish.publish": "answers what was sent; tests/web/publish has what may be written",
    "websocket.websocket": "needs a server; asked by the test of WebSockets below",
}
"""Routes that the checks leave out, and why."""


def test_each_route_is_asked_within_claims_or_has_no_data(app, client, start, claims, tokens):
    asked = set()

    def note(*_, **__):
        asked.add(request.endpoint)

    assert claims["t0"], "a token with limits"
    pick = random.Random(PAIRS)
    with request_started.connected_to(note, app):
        for check in CHECKS:
            check(client, pick, bearer(tokens["t0"]), start, claims["t0"], {}, [])
    assert asked | NOT_ASKED.keys() == RULES.keys()
    assert not asked & NOT_ASKED.keys()


def visible(claim):
    return {each.segment for each in [*ITEMS, *OBSERVED] if allows(claim, each)}


def test_no_answer_holds_what_a_token_may_not_see(client, start, claims, tokens):
    pick = random.Random(PAIRS)
    for number in range(PAIRS):
        name = pick.choice(sorted(claims))
        claim, (asked, query) = claims[name], random_request(pick, claims[name])
        (check,) = pick.choices(list(CHECKS), list(CHECKS.values()))
        text = check(client, pick, bearer(tokens[name]), start, claim, asked, query)
        assert named(text) <= visible(claim), (number, check.__name__, claim, query)


def views_of(socket):
    """Yield the texts of a WebSocket up to each view, and the segments of that view."""
    texts = []
    while True:
        text = socket.recv()
        content = json.loads(text)
        if content["type"] != "subscribed":  # repeats what the client asked for
            texts.append(text)
        if content["type"] == "initial":
            yield "".join(texts), {each["segment_id"] for each in content["predictions"]}
            texts.clear()


def test_no_websocket_sends_what_its_token_may_not_see(server, start, claims, tokens):
    pick = random.Random(PAIRS)
    for _ in range(SOCKETS):
        name = pick.choice(sorted(claims))
        claim = claims[name]
        url = f"{server.replace('http', 'ws')}/predictions/ws"
        with contextlib.closing(websocket.create_connection(url, timeout=60, header=bearer(tokens[name]))) as socket:
            asked, views = {}, views_of(socket)
            for _ in range(4):
                text, shown = next(views)
                assert shown == {
                    each.segment for each in LATEST.values() if allows(claim, each) and allows(asked, each)
                }
                assert named(text) <= visible(claim)
                asked, query = random_request(pick, claim)
                socket.send(json.dumps({"type": "subscribe", "filter": dict(query)}))
