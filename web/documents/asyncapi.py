"""The AsyncAPI 3 document: the messages of Server-Sent Events and WebSocket."""

from typing import Any

import msgspec

from consumer.settings import Settings
from consumer.version import VERSION
from web.streams.websocket_protocol import RenewMessage, SubscribeMessage

from .parameters import AFTER, EVERY, SINCE, TICKET, filters
from .streams import CHANNELS, STREAM_MESSAGES, StreamChannel

REF = "#/components/schemas/{name}"
WEBSOCKET_ONLY = ("subscribed", "renewed")
RECEIVED = {"subscribe": SubscribeMessage, "renew": RenewMessage}
"""What a client may send, by `type`."""


def asyncapi(settings: Settings) -> dict[str, Any]:
    """Return the document for a process with these settings."""
    types = [*STREAM_MESSAGES.values(), *RECEIVED.values()]
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    names = [*STREAM_MESSAGES, *RECEIVED]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Greenwave",
            "version": VERSION,
            "description": "Streams of predictions. Requests are described in openapi.json beside this document.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {kind: _server(kind) for kind in ("http", "ws")},
        "channels": {name: _channel(each, settings) for name, each in CHANNELS.items()},
        "operations": {
            **{
                each.sends: _operation("send", name, _sent(each), "Send the view, and then each change")
                for name, each in CHANNELS.items()
            },
            "subscribe": _operation("receive", "websocket", ["subscribe"], "Change the filter, the pace or the cursor")
            | _reply("subscribed"),
            "renew": _operation("receive", "websocket", ["renew"], "Go on with another token of the same claims")
            | _reply("renewed"),
        },
        "components": {
            "schemas": components,
            "messages": {
                name: {"name": name, "title": name, "payload": schema}
                for name, schema in zip(names, schemas, strict=True)
            },
        },
    }


def _server(protocol: str) -> dict[str, Any]:
    variable = {"default": "localhost:8000", "description": "Host and port of this server"}
    return {"host": "{host}", "protocol": protocol, "variables": {"host": variable}}


def _sent(of: StreamChannel) -> list[str]:
    """Return the names of the messages that a channel may send."""
    return [name for name in STREAM_MESSAGES if of.protocol == "ws" or name not in WEBSOCKET_ONLY]


def _channel(of: StreamChannel, settings: Settings) -> dict[str, Any]:
    names = [*_sent(of), *(RECEIVED if of.protocol == "ws" else ())]
    channel: dict[str, Any] = {
        "address": of.address,
        "title": of.title,
        "description": of.text,
        "servers": [{"$ref": f"#/servers/{of.protocol}"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }
    if of.protocol == "ws":
        given = [TICKET, AFTER, SINCE, EVERY, *filters(settings)]
        query = {each["name"]: each["schema"] | {"description": each["description"]} for each in given}
        channel["bindings"] = {"ws": {"method": "GET", "query": {"type": "object", "properties": query}}}
    return channel


def _operation(action: str, channel: str, names: list[str], summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": _refs(channel, names),
    }


def _reply(name: str) -> dict[str, Any]:
    return {"reply": {"channel": {"$ref": "#/channels/websocket"}, "messages": _refs("websocket", [name])}}


def _refs(channel: str, names: list[str]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]
