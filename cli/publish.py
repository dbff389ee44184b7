"""Publishing to the topic: the only module outside the consumer that knows the Kafka client.

`Publisher` waits for the acknowledgement of all replicas (acks=all), so what it says is published is published.
Errors of the client end here, as `PublishError`.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import AuthorizationError, KafkaError, KafkaTimeoutError, TopicAlreadyExistsError
from kafka.net.compat import KafkaNetClient

from consumer.settings import Settings
from consumer.sources.kafka import client_options

_MOST_UNACKNOWLEDGED = 2_000
_CLOSE_SECONDS = 0.5
_DIRECT = {"proxy_url": "direct://"}  # of consumer.sources.kafka: no outage leaves sockets behind


class PublishError(Exception):
    """Something could not be published; the text says what, and what to do."""


class Place(NamedTuple):
    """Where a message went."""

    partition: int
    offset: int


class Publisher:
    """Publishes to the topic of the settings; use it as a context manager, from one thread.

    Values are objects that become JSON. A message that isn't acknowledged after `timeout` seconds is an error.
    """

    def __init__(self, settings: Settings, timeout: float = 10.0) -> None:
        self._settings = settings
        self._timeout = timeout
        self._waiting: list[Any] = []
        self._clients = _Clients()
        self.acknowledged = 0
        timeout_ms = int(timeout * 1000)
        with self._translated(), self._clients.closed_on_error():
            self._producer = _Producer(
                **client_options(settings),
                **_DIRECT,
                kafka_client=self._clients.keep,
                acks="all",
                allow_auto_create_topics=False,
                linger_ms=0,  # so that flush() need not ask for haste; the client's takes its timeout for each batch
                max_block_ms=timeout_ms,
                request_timeout_ms=timeout_ms // 2,
                delivery_timeout_ms=timeout_ms,
                reconnect_backoff_max_ms=1_000,
            )

    def publish(self, key: str, value: Mapping[str, Any], timestamp_ms: int | None = None) -> Place:
        """Publish one message, wait until it is acknowledged, and return its place. Raises PublishError."""
        self.send(key, value, timestamp_ms)
        last = self._waiting[-1]
        self.flush()
        return Place(last.value.partition, last.value.offset)

    def send(self, key: str, value: Mapping[str, Any], timestamp_ms: int | None = None) -> None:
        """Hand over one message; `flush()` waits for its acknowledgement. `timestamp_ms` is its Kafka time.

        Waits by itself once many are not acknowledged yet. Raises PublishError.
        """
        content = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
        with self._translated():
            future = self._producer.send(self._settings.topic, content, key=key.encode(), timestamp_ms=timestamp_ms)
        self._waiting.append(future)
        if len(self._waiting) >= _MOST_UNACKNOWLEDGED:
            self.flush()

    def flush(self) -> None:
        """Wait until everything that was sent is acknowledged. Raises PublishError."""
        waiting, self._waiting = self._waiting, []
        deadline = time.monotonic() + self._timeout
        with self._translated():
            for future in waiting:
                future.get(timeout=max(0.0, deadline - time.monotonic()))
                self.acknowledged += 1

    def close(self) -> None:
        """Let go of the connection at once; what isn't acknowledged by now may be lost."""
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
            if isinstance(error.__cause__, KafkaTimeoutError) and self._clients.miss(self._settings.topic):
                raise PublishError(_missing(self._settings)) from error
            raise


def create_topic(settings: Settings, partitions: int, timeout: float = 10.0) -> bool:
    """Create the topic of the settings; return False when it was there already. Raises PublishError."""
    clients = _Clients()
    timeout_ms = int(timeout * 1000)
    options = {
        **_DIRECT,
        "bootstrap_timeout_ms": timeout_ms,
        "request_timeout_ms": timeout_ms,
        "kafka_client": clients.keep,
    }
    wanted = {settings.topic: {"num_partitions": partitions, "replication_factor": -1}}
    try:
        with (
            _translated(settings),
            contextlib.closing(KafkaAdminClient(**client_options(settings), **options)) as admin,
        ):
            admin.create_topics(wanted, timeout_ms=timeout_ms)
            return True
    except _AlreadyThere:
        return False
    finally:
        clients.close()


class _Producer(KafkaProducer):  # type: ignore[misc]  # the client has no types
    """A producer that closes at once and gives up what is on its way.

    The client's own close() waits for that first. When it doesn't arrive, it raises, leaves its thread behind, and does
    so again, with a traceback, when the object is collected.
    """

    _closing = False
    _sender: Any = None

    def close(self, timeout: float | None = None, null_logger: bool = False) -> None:
        """Close it, in _CLOSE_SECONDS at most; once more does no harm."""
        self._closing = True
        super().close(timeout=min(_CLOSE_SECONDS, timeout or _CLOSE_SECONDS), null_logger=null_logger)
        if self._sender is not None:
            self._sender.join(_CLOSE_SECONDS)  # it ends by itself now, unless it looks up a name

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all is acknowledged or given up; the client's close() asks for it too."""
        if not self._closing:
            super().flush(timeout)


class _Clients:
    """Keeps the net clients below producers, which close neither after a failed constructor nor a failed flush."""

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def keep(self, **configs: Any) -> Any:
        """Make a net client: the hook that kafka-python calls."""
        self._kept.append(KafkaNetClient(**configs))
        return self._kept[-1]

    def miss(self, topic: str) -> bool:
        """Tell whether brokers have answered, and know no such topic. A memory read."""
        clusters = [client.cluster for client in self._kept]
        return any(cluster.brokers() and cluster.partitions_for_topic(topic) is None for cluster in clusters)

    def close(self) -> None:
        """Close them with their IO threads and sockets; once more does no harm."""
        for client in self._kept:
            client.close()

    @contextlib.contextmanager
    def closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise


class _AlreadyThere(Exception):
    pass


@contextlib.contextmanager
def _translated(settings: Settings) -> Iterator[None]:
    try:
        yield
    except TopicAlreadyExistsError as error:
        raise _AlreadyThere from error
    except KafkaError as error:
        raise PublishError(_what_to_do(settings, error)) from error


def _missing(settings: Settings) -> str:
    return (
        f"topic {settings.topic} is not there at {', '.join(settings.brokers)}, or may not be used: create it "
        "(`flask --app app create-topic`), correct KAFKA_TOPIC and KAFKA_PREFIX, or give the right to write"
    )


def _what_to_do(settings: Settings, error: KafkaError) -> str:
    where = f"topic {settings.topic} at {', '.join(settings.brokers)}"
    if isinstance(error, KafkaTimeoutError):
        return (
            f"no answer for {where}: check that the broker runs, and KAFKA_BROKERS; "
            "`flask --app app doctor` looks for the reason"
        )
    if isinstance(error, AuthorizationError):
        return f"not allowed to publish to {where}: give the user the right to write, or use another (KAFKA_SASL_*)"
    return f"can't publish to {where}: {type(error).__name__}: {error}; `flask --app app doctor` looks for the reason"
