"""Options of the Kafka client: those of every client of these brokers, and those of a consumer that reads a topic."""

from typing import Any

from consumer.settings import Settings

from .security import security_options

METADATA_MAX_AGE_MS = 2_000
"""How often metadata is requested, which is the broker's heartbeat."""
REQUEST_TIMEOUT_MS = 4_000
"""Timeout of each request but fetches, on a connection from which not a byte comes."""
SHORTEST_CALL_SECONDS = 4.0
CALLS_IN_A_ROW = 5
"""More calls than a start makes between two heartbeats."""
FETCH_TIMEOUT_MS = 20_000
"""Shortest timeout of a fetch of which not a byte comes. A slow disk takes that long; a broker that hangs is reported
earlier, after KAFKA_SILENCE_SECONDS."""
MAX_POLL_RECORDS = 2_000
"""The answers of several partitions, when messages are small."""
MAX_PARTITION_FETCH_BYTES = 131_072
"""A larger answer delays those behind it, on the connection and in the client: with the default of 1 MiB a replay
delayed live records by up to 30 ms."""


def client_options(settings: Settings) -> dict[str, Any]:
    """Return the options that every client of these brokers needs, for kafka-python."""
    # A given version spares the client a first request: without a broker the constructor would block for 30 s. 2.8 is
    # the first with topic ids.
    return {
        "bootstrap_servers": settings.brokers,
        "api_version": (2, 8),
        # The client's own limit is 30 s: after an outage of half a minute it may wait as long again.
        "reconnect_backoff_ms": 100,
        "reconnect_backoff_max_ms": 1_000,
        **security_options(settings),
    }


def consumer_options(settings: Settings) -> dict[str, Any]:
    """Return the options of a consumer that assigns partitions itself, without a group."""
    return {
        **client_options(settings),
        "group_id": None,
        "enable_auto_commit": False,
        # A position that Kafka no longer has is an error, not a silent jump.
        "auto_offset_reset": "none",
        "isolation_level": settings.kafka_isolation_level,
        "fetch_max_wait_ms": settings.kafka_fetch_max_wait_ms,
        "max_poll_records": MAX_POLL_RECORDS,
        "max_partition_fetch_bytes": MAX_PARTITION_FETCH_BYTES,
        # With incremental sessions a broker leaves out partitions without news, and a high watermark would not be
        # known after an assignment.
        "enable_incremental_fetch_sessions": False,
        "metadata_max_age_ms": METADATA_MAX_AGE_MS,
        # Its sensors take a sixth of the time of a fetch; nothing reads them.
        "metrics_enabled": False,
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        # The class of connections that closes its sockets, in hooks.
        "proxy_url": "direct://",
    }


def fetch_timeout_ms(settings: Settings) -> int:
    """Return the timeout of a fetch."""
    return max(FETCH_TIMEOUT_MS, int(settings.kafka_silence_seconds * 2_000))


def call_seconds(settings: Settings) -> float:
    """Return how long a call waits for an answer, such as one for offsets: those in a row must not count as a hang."""
    return min(FETCH_TIMEOUT_MS / 1000, max(SHORTEST_CALL_SECONDS, settings.watchdog_seconds / CALLS_IN_A_ROW))
