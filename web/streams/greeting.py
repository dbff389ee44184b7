"""The first message of a stream."""

from consumer.settings import Settings
from web import wire
from web.access.principal import Principal
from web.access.rules import StreamTransport
from web.times import now_iso


def greeting(transport: StreamTransport, principal: Principal, settings: Settings) -> bytes:
    """Return the `connected` message of a stream that a principal has opened."""
    details = {
        "topic": principal.shown_topic(settings.topic),
        "heartbeat_seconds": settings.heartbeat_seconds,
        "expires_at": principal.shown_expiry,
    }
    return wire.connected(transport, now_iso(), details)
