"""The AsyncAPI document: valid, and what streams contain."""

import gzip
import json
import re
from pathlib import Path
from typing import get_args

import jsonschema_rs
import msgspec
import pytest

from consumer.prediction import Observation
from consumer.view.events import Evicted, Status
from consumer.view.statistics import statistics
from tests.consumer.helpers import feed_of, message, normalise, record
from tests.web.conftest import SETTINGS
from tests.web.documents.conformity import check, with_topics
from tests.web.paths import events_of
from web import wire
from web.access.principal import ANYONE
from web.access.rules import STREAM_ROUTES, StreamTransport
from web.documents.asyncapi import asyncapi
from web.documents.streams import CHANNELS, STREAM_MESSAGES
from web.streams.websocket_protocol import ClientMessages

SPECIFICATION = Path(__file__).with_name("asyncapi-3.0.0.json.gz")
"""The JSON schema of AsyncAPI 3.0.0, from @asyncapi/specs 6.11.1 (Apache License 2.0)."""
PREDICTION = normalise(record(0, 0, message("LA_001", horizon_minutes=15))).predictions[0][1]
OBSERVED = Observation("LA_001", 1_700_000_000_000, 47.0, None, "moderate_traffic")
NOW = "2026-11-28T00:00:00.000Z"
MESSAGES = {
    "connected": wire.connected("sse", NOW, {"topic": "t", "heartbeat_seconds": 15.0, "expires_at": None}),
    "initial": wire.initial([PREDICTION], "abc", [OBSERVED])[0],
    "prediction": wire.item(PREDICTION),
    "observation": wire.item(OBSERVED),
    "left": wire.left_by(Evicted("LA_001", 15, "expired", is_observation=True)),
    "stats": wire.stats(statistics([PREDICTION], feed_of().account(), [OBSERVED])),
    "status": wire.status(Status("live", 0.0, "read to the end"), NOW, None),
    "position": wire.position(),
    "gap": wire.gap("too_old", None),
    "subscribed": wire.subscribed({"segment": ["LA_001"]}),
    "renewed": wire.renewed(NOW, NOW),
    "error": wire.error("failed", "detail", NOW),
    "busy": wire.busy(),
    "bye": wire.bye("the server is closing"),
}


def check_message(content):
    name = json.loads(content)["type"]
    check(json.loads(content), asyncapi(SETTINGS)["components"]["messages"][name]["payload"], SETTINGS)


@pytest.mark.parametrize("topics", ["traffic-predictions", "roads,sensors", r"^traffic\."])
def test_asyncapi_is_valid(topics):
    document = json.loads(wire.json_bytes(asyncapi(with_topics(topics))))
    specification = json.loads(gzip.decompress(SPECIFICATION.read_bytes()))
    validator = jsonschema_rs.validator_for(specification)
    assert [error.message for error in validator.iter_errors(document)] == []


def test_each_transport_of_streams_is_documented():
    assert set(CHANNELS) == set(get_args(StreamTransport)) == set(STREAM_ROUTES.values())


def test_references_of_asyncapi_resolve():
    document = asyncapi(SETTINGS)
    references = re.findall(r'"\$ref":"#/([^"]+)"', wire.json_bytes(document).decode())
    assert references
    for reference in references:
        found = document
        for part in reference.split("/"):
            found = found[part]


def test_all_messages_of_streams_are_documented():
    source = Path(wire.__file__).read_text(encoding="utf-8")
    made = set(re.findall(r'\\?"type\\?": ?"(\w+)"', source)) | {"prediction", "observation"}
    assert set(STREAM_MESSAGES) == set(MESSAGES) == made - {"end"}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_as_documented(name):
    assert json.loads(MESSAGES[name])["type"] == name
    check_message(MESSAGES[name])


@pytest.mark.parametrize("name", ["initial", "prediction", "observation", "left", "position"])
def test_a_message_with_a_cursor_is_as_documented(name):
    check_message(wire.with_cursor(MESSAGES[name], "abc"))


def test_events_of_a_stream_are_as_documented(client, put):
    put(message("LA_001"))
    response = client.get("/predictions/stream")
    seen = set()
    for frame in response.response:
        for _, content in events_of([frame]):
            seen.add(content["type"])
            check_message(json.dumps(content))
        if {"connected", "initial", "status"} <= seen:
            break
    response.close()


def test_the_documented_messages_of_a_client_are_understood():
    schema = asyncapi(SETTINGS)["components"]["schemas"]["SubscribeMessage"]
    sent = {"type": "subscribe", "filter": {"segment": ["LA_001"]}, "after": None, "since": 0, "every": 5}
    assert set(sent) == set(schema["properties"])
    jsonschema_rs.Draft202012Validator(schema).validate(sent)
    asked = ClientMessages(SETTINGS.topics, ANYONE).read(msgspec.json.encode(sent).decode(), 0.0)
    assert (asked.since_ms, asked.every) == (0, 5.0)
    schema = asyncapi(SETTINGS)["components"]["schemas"]["RenewMessage"]
    renewal = {"type": "renew", "token": "gw_abc"}
    assert set(renewal) == set(schema["properties"])
    jsonschema_rs.Draft202012Validator(schema).validate(renewal)
    assert ClientMessages(SETTINGS.topics, ANYONE).read(json.dumps(renewal), 0.0).token == "gw_abc"
