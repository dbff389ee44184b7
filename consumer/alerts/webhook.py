"""Documents and signatures by Standard Webhooks 1.0: https://github.com/standard-webhooks/standard-webhooks. Pure.

The id is made of the alert, so it is the same in all processes and at each attempt: receivers keep one of each. That
of an end has no onset, which a process that started later may not know.
"""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from consumer.prediction import Prediction

from .changes import AlertChange


class WebhookDocument(NamedTuple):
    """What is posted: the id of the event, a body of JSON, and of which alert it is, by segment and kind."""

    id: str
    body: bytes
    alert: tuple[str, str]


def headers_of(document: WebhookDocument, key: bytes, now: float) -> dict[str, str]:
    """Return the headers of an attempt at a time (epoch seconds)."""
    timestamp = str(int(now))
    signed = b"%b.%b.%b" % (document.id.encode(), timestamp.encode(), document.body)
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": document.id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }


def document_of(change: AlertChange, speed_unit: str) -> WebhookDocument:
    """Return the document of a change."""
    step = change.step
    kind = "alert.began" if change.ended is None else "alert.ended"
    named = "\0".join((kind, step.segment_id, change.kind, str(change.since if change.ended is None else change.ended)))
    data: dict[str, Any] = {
        "segment_id": step.segment_id,
        "kind": change.kind,
        "since": None if change.since is None else _iso(change.since),
        "timestamp": _iso(step.timestamp),
        "speed_unit": speed_unit,
        "current_speed": step.current_speed,
        **({"ended": _iso(change.ended), "reason": change.reason} if change.ended is not None else {}),
    }
    if isinstance(step, Prediction):
        data |= {"predicted_speed": step.predicted_speed, "horizon_minutes": step.horizon_minutes}
    for name in ("road_name", "coordinates", "source"):
        if (value := getattr(step, name)) is not UNSET:
            data[name] = value
    body = {"type": kind, "timestamp": _iso(change.at), "data": data}
    digest = hashlib.sha256(named.encode()).hexdigest()
    return WebhookDocument(f"alert_{digest[:32]}", msgspec.json.encode(body), (step.segment_id, change.kind))


def _iso(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
