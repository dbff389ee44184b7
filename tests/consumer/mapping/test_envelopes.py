"""Envelopes are opened by their structure, with the built-in names and without a mapping."""

import base64
import gzip
import json

import pytest

from consumer.messages.normalise import Normaliser
from consumer.settings import Settings
from tests.consumer.mapping.helpers import predictions, record

GOOD = {"segment_id": "S1", "timestamp": 1737468300000, "predicted_speed": 44.1}
OTHER = GOOD | {"segment_id": "S2"}
EVENT = {"specversion": "1.0", "type": "t", "source": "/m", "id": "1"}
LINES = "\n".join(map(json.dumps, [GOOD, OTHER])).encode()
WRAPPED = {
    "connect": {"schema": {"type": "struct"}, "payload": GOOD},
    "connect without schema": {"schema": None, "payload": GOOD},
    "debezium": {"before": None, "after": GOOD, "op": "c", "source": {}, "ts_ms": 1},
    "debezium update": {"before": OTHER, "after": GOOD, "op": "u", "ts_ms": 1},
    "debezium snapshot in connect": {"schema": {}, "payload": {"before": None, "after": GOOD, "op": "r"}},
    "cloudevents": EVENT | {"data": GOOD},
    "cloudevents with text": EVENT | {"datacontenttype": "application/json", "data": json.dumps(GOOD)},
    "cloudevents with bytes": EVENT | {"data_base64": base64.b64encode(json.dumps(GOOD).encode()).decode()},
    "flattened": GOOD | {"__deleted": "false"},
    "gzip": gzip.compress(json.dumps(GOOD).encode(), mtime=0),
}
normalise = Normaliser(Settings())


@pytest.mark.parametrize("name", WRAPPED)
def test_the_content_of_an_envelope_is_read(name):
    assert predictions(normalise(record(WRAPPED[name]))) == predictions(normalise(record(GOOD)))


@pytest.mark.parametrize("name", WRAPPED)
def test_no_envelope_is_opened_when_all_are_off(name):
    found = Normaliser(Settings(envelopes="none"))(record(WRAPPED[name]))
    assert len(found.predictions) == (name == "flattened")
    assert found.removal is None


def test_an_envelope_is_opened_after_plain_messages_with_such_names():
    """Names that mark envelopes are never learned as names without a meaning."""
    fresh = Normaliser(Settings())
    for _ in range(3):
        assert predictions(fresh(record(GOOD | {"op": "x", "__deleted": False})))
    assert fresh(record(GOOD | {"__deleted": "true"})).removal == "S1"
    assert predictions(fresh(record(GOOD | {"op": "u", "after": OTHER})))[0].segment_id == "S2"


@pytest.mark.parametrize(
    "value",
    [
        {"before": GOOD, "after": None, "op": "d", "ts_ms": 1},
        {"schema": {}, "payload": {"before": {"segment_id": "S1"}, "after": None, "op": "d"}},
        {"before": None, "after": None, "op": "d"},
        {"schema": None, "payload": None},
        GOOD | {"__deleted": "true"},
        {"segment_id": "S1", "__deleted": True},
        None,
    ],
)
@pytest.mark.parametrize(
    "key",
    [
        b"S1",
        b'{"segment_id": "S1"}',
        b'{"schema": {}, "payload": {"sensor_id": "S1"}}',
        b'{"payload": "S1", "schema": 0}',
    ],
)
def test_a_deleted_row_removes_its_segment(value, key):
    found = normalise(record(value, key))
    assert (found.predictions, found.refusals, found.removal) == ([], [], "S1")


@pytest.mark.parametrize("key", [b"{", b'{"segment_id": null, "id": 5}', b'{"a": 1}'])
def test_a_key_that_names_no_segment_in_json_is_the_segment(key):
    assert normalise(record(None, key)).removal == key.decode()


@pytest.mark.parametrize("key", [b'{"segment_id": {"a": 1}}', b'{"segment_id": ""}', b'{"segment_id": true}'])
def test_a_json_key_with_no_usable_id_is_refused(key):
    (refusal,) = normalise(record(None, key)).refusals
    assert refusal.reason == "unknown_tombstone"


def test_each_line_is_a_message_and_a_bad_one_is_refused_alone():
    value = LINES.replace(b"\n", b"\n{broken\n\n") + b"\n"
    found = normalise(record(value))
    assert [(index, each.segment_id) for index, each in found.predictions] == [(0, "S1"), (2, "S2")]
    ((index, reason, detail, *_),) = found.refusals
    assert (index, reason) == (1, "not_json")
    assert detail.startswith("line 2: '{broken' is not JSON")


def test_lines_may_be_packed():
    assert [each.segment_id for each in predictions(normalise(record(gzip.compress(LINES))))] == ["S1", "S2"]


def test_a_deletion_among_other_items_is_refused_alone():
    found = normalise(record([GOOD, GOOD | {"__deleted": "true"}, {"schema": None, "payload": OTHER}]))
    assert [(index, each.segment_id) for index, each in found.predictions] == [(0, "S1"), (2, "S2")]
    ((index, reason, *_),) = found.refusals
    assert (index, reason, found.removal) == (1, "unknown_tombstone", None)


@pytest.mark.parametrize(
    ("value", "reason", "end"),
    [
        ({"op": [], "after": GOOD}, "no_segment", "the object has op, after"),
        ({"op": "c", "after": None}, "not_an_object", "has null as its after; allowed: an object"),
        (EVENT | {"data": "LA_001,61.5"}, "not_json", "(char 0)"),
        (EVENT | {"data_base64": "%%"}, "not_json", "data_base64 of a CloudEvent can't be decoded: "),
        (EVENT | {"data": 5}, "not_an_object", "the value is 5; allowed: an object or an array of objects"),
        ({"schema": None, "payload": []}, "not_an_object", "the array is empty; it must hold predictions"),
        (b"\x1f\x8b\x08\x00 cut off", "not_json", "the gzip in the message is damaged: "),
        (gzip.compress(b"LA_001,61.5", mtime=0), "not_json", "(char 0)"),
        (
            gzip.compress(b" " * 2_000_000, mtime=0),
            "too_large",
            "unpacks to more than 1048576 bytes (MAX_MESSAGE_BYTES)",
        ),
        (b"{}\n" * 10_001, "too_large", "the message has 10001 lines; allowed: at most 10000"),
        (b'{"segment_id": "S1",\n "predicted_speed": 5', "not_json", "(char 42)"),
    ],
)
def test_an_envelope_without_content_is_refused(value, reason, end):
    (refusal,) = normalise(record(value)).refusals
    assert refusal.reason == reason
    assert end in refusal.detail


def test_an_array_in_an_envelope_gives_all_its_items():
    found = predictions(normalise(record(EVENT | {"data": [GOOD, OTHER]})))
    assert [each.segment_id for each in found] == ["S1", "S2"]


def test_several_kinds_can_be_chosen():
    some = Normaliser(Settings(envelopes="lines, debezium"))
    assert predictions(some(record(WRAPPED["debezium"])))
    assert len(predictions(some(record(LINES)))) == 2
    assert some(record(WRAPPED["connect"])).refusals[0].detail.endswith("; the object has schema, payload")
    assert "gzip, which ENVELOPES does not have" in some(record(WRAPPED["gzip"])).refusals[0].detail
