"""The AsyncAPI 3 document: the messages of Server-Sent Events and WebSocket."""

from typing import Any

import msgspec

from consumer.settings import Settings
from consumer.version import VERSION
from web.streams.websocket_protocol import RenewMessage, SubscribeMessage

from .parameters import AFTER, EVERY, SINCE, TICKET, filters
from .streams import STREAM_MESSAGES

REF = "#/components/schemas/{name}"
SSE = (
    "Each event has one `data:` line of JSON, and an `id:` line with the cursor if it moves the client forward; the "
    "message has no `cursor` then. A client resumes with the last `id` in the header Last-Event-ID, which an "
    "EventSource sends by itself."
)
WEBSOCKET = "Each message is JSON, with `cursor` if it moves the client forward. `subscribe` changes the filter."
WEBSOCKET_ONLY = ("subscribed", "renewed")
RECEIVED = {"subscribe": SubscribeMessage, "renew": RenewMessage}
"""What a client may send, by `type`."""


def asyncapi(settings: Settings) -> dict[str, Any]:
    """Return the document for a process with these settings."""
    types = [*STREAM_MESSAGES.values(), *RECEIVED.values()]
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    names = [*STREAM_MESSAGES, *RECEIVED]
    sent = list(STREAM_MESSAGES)
    events = [name for name in sent if name not in WEBSOCKET_ONLY]
    channels = {
        "sse": _channel("/predictions/stream", "Server-Sent Events", SSE, events, "http", settings),
        "websocket": _channel("/predictions/ws", "WebSocket", WEBSOCKET, names, "ws", settings),
    }
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
        "channels": channels,
        "operations": {
            "sendEvents": _operation("send", "sse", events, "Send the view, and then each change"),
            "sendMessages": _operation("send", "websocket", sent, "Send the view, and then each change"),
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


def _channel(
    address: str, title: str, text: str, names: list[str], protocol: str, settings: Settings
) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": address,
        "title": title,
        "description": text,
        "servers": [{"$ref": f"#/servers/{protocol}"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }
    if protocol == "ws":
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
