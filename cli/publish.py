"""Publish to the topic, create it, and describe it.

`Publisher` waits for the acknowledgement of all replicas (acks=all). Errors of the client become `PublishError`.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import AuthorizationError, KafkaError, KafkaTimeoutError, TopicAlreadyExistsError

from consumer.errors import GreenwaveError
from consumer.settings import Settings
from consumer.sources.kafka import client_options
from consumer.sources.net_clients import NetClients
from consumer.sources.producing import DIRECT, ClosingProducer

COMPACT = "compact"
"""The cleanup.policy of a compacted topic."""
_MAX_UNACKNOWLEDGED = 2_000


class PublishError(GreenwaveError):
    """Publishing or creating the topic failed; the text says why, and what to do."""


class Acknowledgement(NamedTuple):
    """Where Kafka stored a message."""

    partition: int
    offset: int


class TopicDescription(NamedTuple):
    """A topic: its partitions, 0 if it does not exist, and its cleanup.policy; None if that may not be read."""

    partitions: int
    cleanup_policy: str | None


class Publisher:
    """Publishes JSON objects to the topic of the settings; a context manager, for use by one thread.

    A message that is not acknowledged within `timeout` seconds is an error.
    """

    def __init__(self, settings: Settings, timeout: float = 10.0, clients: NetClients | None = None) -> None:
        _require_one_topic(settings)
        self._settings = settings
        self._timeout = timeout
        self._unacknowledged: list[Any] = []
        self._clients = clients or NetClients()
        self.acknowledged = 0
        timeout_ms = int(timeout * 1000)
        with self._translated(), self._clients.closed_on_error():
            self._producer = ClosingProducer(
                **client_options(settings),
                **DIRECT,
                kafka_client=self._clients.create,
                acks="all",
                allow_auto_create_topics=False,
                linger_ms=0,  # its own flush(timeout), which would end a linger, waits that long for each batch
                max_block_ms=timeout_ms,
                request_timeout_ms=timeout_ms // 2,
                delivery_timeout_ms=timeout_ms,
            )

    def publish(self, key: str, value: Mapping[str, Any], timestamp_ms: int | None = None) -> Acknowledgement:
        """Publish one message and wait for its acknowledgement. Raises PublishError."""
        self.send(key, value, timestamp_ms)
        last = self._unacknowledged[-1]
        self.flush()
        return Acknowledgement(last.value.partition, last.value.offset)

    def send(self, key: str, value: Mapping[str, Any], timestamp_ms: int | None = None) -> None:
        """Queue one message, with `timestamp_ms` as its Kafka time; `flush()` waits for its acknowledgement.

        Flushes by itself when many messages are not acknowledged. Raises PublishError.
        """
        content = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
        with self._translated():
            future = self._producer.send(self._settings.topic, content, key=key.encode(), timestamp_ms=timestamp_ms)
        self._unacknowledged.append(future)
        if len(self._unacknowledged) >= _MAX_UNACKNOWLEDGED:
            self.flush()

    def flush(self) -> None:
        """Wait for the acknowledgements of all queued messages. Raises PublishError."""
        futures, self._unacknowledged = self._unacknowledged, []
        deadline = time.monotonic() + self._timeout
        with self._translated():
            for future in futures:
                future.get(timeout=max(0.0, deadline - time.monotonic()))
                self.acknowledged += 1

    def close(self) -> None:
        """Close the connection at once; messages that are not acknowledged may be lost."""
        self._producer.close()
        self._clients.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with _translated(self._settings):
                yield
        except PublishError as error:
            if isinstance(error.__cause__, KafkaTimeoutError) and self._clients.lack_topic(self._settings.topic):
                raise PublishError(_no_topic(self._settings)) from error
            raise


def create_topic(settings: Settings, partitions: int, timeout: float = 10.0, is_compacted: bool = False) -> bool:
    """Create the topic of the settings; return False if it exists. Raises PublishError."""
    _require_one_topic(settings)
    configs = {"cleanup.policy": COMPACT} if is_compacted else {}
    wanted = {settings.topic: {"num_partitions": partitions, "replication_factor": -1, "configs": configs}}
    try:
        with _admin(settings, timeout) as admin:
            admin.create_topics(wanted, timeout_ms=int(timeout * 1000))
            return True
    except _TopicExists:
        return False


def describe_topic(settings: Settings, timeout: float) -> TopicDescription:
    """Return what the brokers say of the topic of the settings. Raises PublishError."""
    wanted = ConfigResource(ConfigResourceType.TOPIC, settings.topic)
    with _admin(settings, timeout) as admin:
        partitions = sum(len(topic["partitions"]) for topic in admin.describe_topics([settings.topic]))
        described = admin.describe_configs([wanted], config_filter="all") if partitions else {}
    values = described.get("topic", {}).get(settings.topic, {})
    return TopicDescription(partitions, values.get("cleanup.policy", {}).get("value"))


@contextlib.contextmanager
def _admin(settings: Settings, timeout: float) -> Iterator[KafkaAdminClient]:
    clients = NetClients()
    timeout_ms = int(timeout * 1000)
    options = {
        **DIRECT,
        "bootstrap_timeout_ms": timeout_ms,
        "request_timeout_ms": timeout_ms,
        "kafka_client": clients.create,
    }
    try:
        with (
            _translated(settings),
            contextlib.closing(KafkaAdminClient(**client_options(settings), **options)) as admin,
        ):
            yield admin
    finally:
        clients.close()


class _TopicExists(Exception):
    pass


@contextlib.contextmanager
def _translated(settings: Settings) -> Iterator[None]:
    try:
        yield
    except TopicAlreadyExistsError as error:
        raise _TopicExists from error
    except KafkaError as error:
        raise PublishError(_what_to_do(settings, error)) from error


def _require_one_topic(settings: Settings) -> None:
    if settings.reads_several:
        stated = settings.kafka_topic[:200]
        raise PublishError(
            f"KAFKA_TOPIC={stated!r} may be several topics: set it to the one to write to, for this command"
        )


def _no_topic(settings: Settings) -> str:
    where = f"{settings.topic} does not exist at {', '.join(settings.brokers)}, or may not be written"
    how = "create it with `flask --app app create-topic`, correct KAFKA_TOPIC or KAFKA_PREFIX"
    return f"topic {where}: {how}, or grant the right to write it"


def _what_to_do(settings: Settings, error: KafkaError) -> str:
    where = f"topic {settings.topic} at {', '.join(settings.brokers)}"
    if isinstance(error, KafkaTimeoutError):
        return (
            f"no answer for {where}: check KAFKA_BROKERS and that the broker is running; "
            "`flask --app app doctor` finds the reason"
        )
    if isinstance(error, AuthorizationError):
        return f"not authorized to publish to {where}: grant the user the right to write, or use another (KAFKA_SASL_*)"
    return f"can't publish to {where}: {type(error).__name__}: {error}; `flask --app app doctor` finds the reason"
