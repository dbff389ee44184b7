"""Write records to Kafka from several threads: idempotent, acknowledged by all replicas.

Errors of the client become `WriteError`. Importing this module loads kafka-python.
"""

import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from kafka import KafkaProducer
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from consumer.errors import SourceError
from consumer.settings import Settings

from .hooks import ClosedOnFailure
from .net_clients import NetClients
from .options import client_options

CLOSE_SECONDS = 0.5
BESIDE_VALUES_BYTES = 65_536
"""More than what a request has beside the values of its records, such as their keys."""
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
DIRECT = {"proxy_url": f"{ClosedOnFailure.SCHEMES[0]}://"}
"""As in consumer.sources.kafka: an outage leaves no sockets open. kafka-python finds the class once it is imported."""


class Written(NamedTuple):
    """Where Kafka stored a record."""

    partition: int
    offset: int


class WriteError(SourceError):
    """Some records were not acknowledged. `written` has a place for each record that was, None for the others.

    `is_too_large`: a record is larger than Kafka allows, so that a repetition would fail, too.
    """

    def __init__(self, text: str, written: Sequence[Written | None], is_too_large: bool = False) -> None:
        super().__init__(text)
        self.written = written
        self.is_too_large = is_too_large


class Producing:
    """One producer for all threads of a process. It is opened when it is needed, and replaced after an error.

    An idempotent producer that gave up a batch would wait for a new producer id.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Guards the fields below. Opening waits for nothing.
        self._lock = threading.Lock()
        self._open: _Open | None = None
        self._is_closed = False

    def write(self, topic: str, records: Sequence[tuple[bytes, bytes | None]], timeout: float) -> list[Written]:
        """Write records (key, value; None removes) and wait until all are acknowledged. Raises WriteError."""
        futures: list[Any] = []
        used = self._enter()
        try:
            deadline = time.monotonic() + timeout
            for key, value in records:
                futures.append(used.producer.send(topic, value, key=key))
            for future in futures:
                future.get(timeout=max(0.001, deadline - time.monotonic()))
        except KafkaError as error:
            self._drop(used)
            written = [_written(future) if future.is_done and future.succeeded() else None for future in futures]
            written += [None] * (len(records) - len(written))
            raise WriteError(_text_of(error), written, isinstance(error, TOO_LARGE)) from error
        finally:
            self._leave(used)
        return [_written(future) for future in futures]

    def close(self) -> None:
        """Close the producer when no thread uses it."""
        with self._lock:
            self._is_closed = True
            used = self._open
        if used is not None:
            self._drop(used)

    def _enter(self) -> "_Open":
        with self._lock:
            if self._is_closed:
                raise WriteError("the server is closing", ())
            if self._open is None:
                self._open = _Open(self._settings)
            self._open.users += 1
            return self._open

    def _leave(self, used: "_Open") -> None:
        with self._lock:
            used.users -= 1
        self._close_unused(used)

    def _drop(self, used: "_Open") -> None:
        """Let the next write open another producer."""
        with self._lock:
            if self._open is used:
                self._open = None
        self._close_unused(used)

    def _close_unused(self, used: "_Open") -> None:
        with self._lock:
            is_last = self._open is not used and not used.users and not used.is_closed
            used.is_closed = used.is_closed or is_last
        if is_last:
            used.close()


class _Open:
    """A producer, and how many threads use it."""

    def __init__(self, settings: Settings) -> None:
        timeout_ms = int(settings.publish_timeout * 1000)
        self.users = 0
        self.is_closed = False
        self._clients = NetClients()
        with self._clients.closed_on_error():
            self.producer = ClosingProducer(
                **client_options(settings),
                **DIRECT,
                kafka_client=self._clients.create,
                acks="all",
                enable_idempotence=True,
                allow_auto_create_topics=False,
                linger_ms=0,
                # Kafka knows the limit of the topic. A smaller one here would refuse a record after others were sent.
                max_request_size=settings.publish_max_bytes + BESIDE_VALUES_BYTES,
                max_block_ms=timeout_ms,
                request_timeout_ms=max(1, timeout_ms // 2),
                delivery_timeout_ms=timeout_ms,
            )

    def close(self) -> None:
        """Close the producer and its connections."""
        self.producer.close()
        self._clients.close()


class ClosingProducer(KafkaProducer):  # type: ignore[misc]  # the client has no types
    """A producer that closes at once and discards messages in flight.

    The client's own close() first waits for them. If they are not acknowledged, it raises and leaves its thread
    running, and does so again, with a traceback, when the object is garbage-collected.
    """

    _closing = False
    _sender: Any = None

    def close(self, timeout: float | None = None, null_logger: bool = False) -> None:
        """Close the producer within twice CLOSE_SECONDS. Idempotent."""
        self._closing = True
        super().close(timeout=min(CLOSE_SECONDS, timeout or CLOSE_SECONDS), null_logger=null_logger)
        if self._sender is not None:
            self._sender.join(CLOSE_SECONDS)  # ends by itself now, unless it is resolving a host name

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all messages are acknowledged or failed; does nothing when called by the client's close()."""
        if not self._closing:
            super().flush(timeout)


def _written(future: Any) -> Written:
    return Written(future.value.partition, future.value.offset)


def _text_of(error: KafkaError) -> str:
    """Return why Kafka stored nothing, without addresses of brokers."""
    if isinstance(error, KafkaTimeoutError):
        return "Kafka did not acknowledge the records in time"
    if isinstance(error, AuthorizationError):
        return "Kafka does not allow this server to write to the topic"
    if isinstance(error, TOO_LARGE):
        return "a record is larger than Kafka allows (max.message.bytes of the topic)"
    return f"Kafka refused the records: {type(error).__name__}"
