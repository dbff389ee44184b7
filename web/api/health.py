"""Liveness, readiness, a full health report and the public configuration.

All of it is read from memory, so health never waits for Kafka.
"""

import time
from typing import Any

from flask import Blueprint, Response

from consumer import Consumer
from consumer.messages.network import Network
from consumer.usual.usual import Usual
from consumer.version import VERSION
from web import params, wire
from web.access.admission import ClientProgress
from web.access.principal import current
from web.services import services
from web.times import iso, now_iso

blueprint = Blueprint("health", __name__)

SLOWEST = 10
"""Number of slow clients in the report."""


@blueprint.get("/healthz")
def healthz() -> Response:
    """Answer that the process is alive."""
    return _json(200, {"success": True, "status": "alive"})


@blueprint.get("/readyz")
def readyz() -> Response:
    """Answer 200 if the served data is known to be current and the process stays, else 503.

    The reason is left out while AUTH is on.
    """
    status, missing = services().get_consumer().feed.status, services().not_ready
    if not _is_operator():
        code, word = (200, "ready") if missing is None else (503, "not ready")
        return _json(code, {"success": missing is None, "status": word, "state": status.state})
    answer = {"state": status.state, "since": iso(status.since), "reason": status.reason}
    if missing is None:
        return _json(200, {"success": True, "status": "ready", **answer})
    return _json(503, {"success": False, "status": "not ready", "error": f"not ready: {missing}", **answer})


@blueprint.get("/api/health")
def health() -> Response:
    """Answer with the state of the consumer; operators get the full report: consumer, buffer, clients, warnings."""
    params.only()
    consumer = services().get_consumer()
    report = _health(consumer) if _is_operator() else _state(consumer)
    return _json(200, {"success": True, "data": report})


@blueprint.get("/api/config")
def config() -> Response:
    """Answer with the settings that matter to clients; none of them is secret."""
    params.only()
    settings = services().settings
    shown = {
        "topic": current().shown_topic(settings.topic),
        "speed_unit": settings.speed_unit,
        "category_thresholds_mph": settings.thresholds_mph,
        "expected_interval_seconds": settings.expected_interval,
        "heartbeat_seconds": settings.heartbeat_seconds,
        "max_limit": params.MAX_LIMIT,
        "max_wait_seconds": params.MAX_WAIT_SECONDS,
        "buffer_entries": settings.buffer_entries,
        "max_segments": settings.max_segments,
        "max_age_seconds": settings.max_age,
    }
    return _json(200, {"success": True, "data": shown})


def _is_operator() -> bool:
    return "operator" in current().roles


def _state(consumer: Consumer) -> dict[str, Any]:
    status, missing = consumer.feed.status, services().not_ready
    return {
        "version": VERSION,
        "state": status.state,
        "since": iso(status.since),
        "seconds_in_state": round(time.time() - status.since, 1),
        "reason": status.reason,
        "retry_in": status.retry_in,
        "ready": missing is None,
    }


def _health(consumer: Consumer) -> dict[str, Any]:
    fill, admission, refused = consumer.feed.fill(), services().admission, consumer.quarantine.snapshot()
    return {
        **_state(consumer),
        "not_ready": services().not_ready,
        "topic": consumer.settings.topic,
        **({"missing_topics": list(consumer.missing_topics)} if consumer.settings.reads_several else {}),
        "consumer": _consumer(consumer),
        "buffer": {
            "entries": fill.entries,
            "max_entries": consumer.settings.buffer_entries,
            "bytes": fill.size_bytes,
            "max_bytes": consumer.settings.buffer_bytes,
            "received": fill.received,
        },
        "segments": fill.segments,
        "observations": {"segments": fill.observed, "received": fill.observations},
        "network": _network(consumer.network),
        "latest": {
            "segments": fill.segments,
            "max_segments": consumer.settings.max_segments,
            "evicted": consumer.feed.evictions(),
        },
        "clients": admission.counts(),
        "slowest_clients": [_client(each) for each in admission.slowest(SLOWEST)],
        "warnings": _warnings(consumer),
        "quarantine": {"total": refused["total"], "by_reason": refused["by_reason"]},
        "schema_registry": _registry(consumer, refused["by_reason"]),
        "usual": _usual(consumer.usual),
        "webhook": consumer.alerts.report() if consumer.alerts is not None else None,
        "timestamp": now_iso(),
    }


def _warnings(consumer: Consumer) -> list[str]:
    shared = consumer.acknowledgements
    missing = f"ACKNOWLEDGEMENTS_TOPIC: {shared.missing}" if shared is not None and shared.missing else None
    is_gone = consumer.alerts is not None and consumer.alerts.is_gone
    gone = "WEBHOOK_URL: the receiver answers 410, so nothing more is sent before a restart" if is_gone else None
    return list(filter(None, (consumer.feed.warning, consumer.usual.learner.error, missing, gone)))


def _usual(usual: Usual) -> dict[str, Any]:
    learner = usual.learner
    return {
        "state": learner.state,
        "error": learner.error,
        "segments": learner.segments,
        "bands": usual.bands,
        "written": learner.written,
        "last_write": None if learner.written_at is None else iso(learner.written_at),
        "missed": learner.missed,
        "left_out": learner.left_out,
        "failures": learner.failures,
        "file_bytes": learner.file_bytes,
    }


def _registry(consumer: Consumer, refused: dict[str, int]) -> dict[str, Any] | None:
    """Return the state of the schema registry and what was refused for lack of a schema; None without a registry.

    Clients see neither its address nor its errors.
    """
    if consumer.registry is None:
        return None
    first, last = consumer.quarantine.times_of("schema_unavailable") or (None, None)
    return {
        **consumer.registry.report(),
        "waiting_records": consumer.waiting_records,
        "refused": refused.get("schema_unavailable", 0),
        "first_refused": first,
        "last_refused": last,
    }


def _client(client: ClientProgress) -> dict[str, Any]:
    return {
        "transport": client.transport,
        "age_seconds": round(client.age_seconds, 1),
        "behind": client.behind,
        "sent_bytes": client.sent_bytes,
        "blocked_seconds": round(client.blocked_seconds, 1),
    }


def _consumer(consumer: Consumer) -> dict[str, Any]:
    return {
        "thread_alive": consumer.alive,
        "stalled_seconds": round(consumer.stalled_seconds, 1),
        "uptime_seconds": round(consumer.uptime_seconds, 1),
        "restarts": consumer.restarts,
        "broker_silent_seconds": _rounded(consumer.broker_silent_seconds),
        "throttled": consumer.throttled,
        "attempts": consumer.attempts.report(),
        "clock": _clock(consumer),
        "records": consumer.records,
        "unclear_horizons": consumer.unclear_horizons,
        "last_record_age_seconds": _rounded(min(consumer.record_ages().values(), default=None)),
        "lag_seconds": _rounded(max(consumer.lag_seconds, default=None)),
        "partitions": _partitions(consumer),
    }


def _network(network: Network) -> dict[str, int]:
    """Return the number of segments in NETWORK_FILE, and of its features that can't be used."""
    return {
        "segments": len(network.segments),
        "skipped_features": network.skipped.features if network.skipped is not None else 0,
    }


def _clock(consumer: Consumer) -> dict[str, Any]:
    clock = consumer.clock
    behind = clock.behind_ms / 1000
    return {
        "behind_seconds": round(behind, 1),
        "segments": clock.voters,
        "segments_ahead": clock.ahead,
        "warning": f"this host's clock is {behind:.0f} s behind the Kafka times of most segments" if behind else None,
    }


def _partitions(consumer: Consumer) -> list[dict[str, Any]]:
    ages, silences = consumer.record_ages(), dict(enumerate(consumer.leader_silent_seconds))
    lags, several = dict(enumerate(consumer.lag_seconds)), consumer.settings.reads_several
    return [
        {
            **({"topic": partition.topic} if several else {}),
            "partition": partition.number,
            "position": at,
            "end": mark,
            "lag": None if mark is None else max(0, mark - at),
            "lag_seconds": _rounded(lags.get(number)),
            "last_record_age_seconds": _rounded(ages.get(partition)),
            "leader_silent_seconds": _rounded(silences.get(number)),
        }
        for number, (partition, (at, mark)) in enumerate(zip(consumer.partitions, consumer.readings, strict=False))
    ]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _json(code: int, answer: dict[str, Any]) -> Response:
    content = wire.json_bytes(answer)
    return Response(content, status=code, mimetype="application/json", headers={"Cache-Control": "no-store"})
