"""Open envelopes by their structure: Kafka Connect, Debezium, CloudEvents, and rows that are marked as deleted.

An envelope is recognised by the fields that its specification prescribes; any other object is returned as it is.

- Kafka Connect's JSON converter with schemas: https://kafka.apache.org/documentation/#connect_configuring
- Debezium's change events, and its event flattening, which marks deletes: https://debezium.io/documentation/reference/
- CloudEvents 1.0 in JSON. In the binary mode the value is the data itself, and needs no opening.
"""

import base64
import binascii
from typing import Any

from msgspec import Struct

from consumer.parsing.decode import decode
from consumer.parsing.refusal import Refused, shown


class Deleted(Struct, frozen=True):
    """A message that says that its row was deleted; `row` is what it was (None: not stated, so the key names it)."""

    row: Any


def open_envelope(item: dict[str, Any], known: frozenset[str]) -> object:
    """Return the content of an envelope of the known kinds, or `Deleted`. Raises Refused for one that has none."""
    if "connect" in known and item.keys() == {"schema", "payload"}:
        item = item["payload"]
        if type(item) is not dict:
            return Deleted(None) if item is None else item
    if "debezium" in known and item.get("op") in _OPERATIONS and ("after" in item or "before" in item):
        return _changed(item)
    if "cloudevents" in known and type(item.get("specversion")) is str and ("data" in item or "data_base64" in item):
        return _event_data(item)
    if "deleted" in known and "__deleted" in item:
        mark = item["__deleted"]
        if mark is True or mark == "true":
            return Deleted(item)
    return item


_OPERATIONS = ("c", "u", "r", "d")  # no set: any JSON value is compared with it
"""Of Debezium: create, update, read (a snapshot), delete."""


def _changed(event: dict[str, Any]) -> object:
    if event["op"] == "d":
        return Deleted(event.get("before"))
    row = event.get("after")
    if type(row) is not dict:
        raise Refused("not_an_object", f"a change event of Debezium has {shown(row)} as its after; allowed: an object")
    return row


def _event_data(event: dict[str, Any]) -> object:
    """Return the data of a CloudEvent, which may be JSON in a text, or in base64."""
    data = event.get("data")
    if data is None and type(encoded := event.get("data_base64")) is str:
        try:
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refused("not_json", f"data_base64 of a CloudEvent can't be decoded: {error}") from None
        return decode(data)
    return decode(data.encode(errors="replace")) if type(data) is str else data
