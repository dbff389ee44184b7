"""Continue the traces of producers: a span for each record whose headers say that its trace is sampled.

    traceparent of a record ── span from its receipt until it is in the feed ── queue ── thread of OpenTelemetry

The SDK reads where to send spans, and more, from the OTEL_* variables. Its queue is bounded and drops what does not
fit, so the consumer never waits for the receiver.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from consumer.errors import SettingsError
from consumer.messages.normalised import Normalised
from consumer.sources.record import Record
from consumer.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

log = logging.getLogger("greenwave.consumer")

MARK = b"\x16traceparent"
"""The name of the header behind its length, as Kafka encodes it."""
MAX_HEADER_BYTES = 4_096
"""Larger headers are not decoded: it would take milliseconds, for each record."""
MAX_AGE_MS = 300_000
"""Older records get no span: those of the backlog were handled before, and their traces have ended."""
STOP_SECONDS = 0.5
"""Time for the last spans at the end of the process; a receiver that does not answer would hold it up."""


class Tracing:
    """Makes at most `per_second` spans per second. The consumer thread calls note().

    Spans go to `exporter`, by default one for OTLP over HTTP, on a thread that runs until stop().
    """

    def __init__(
        self, per_second: int, exporter: "SpanExporter | None" = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        try:
            self._provider = _provider(exporter)
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ValueError as error:  # already importing the SDK reads variables
            raise SettingsError(f"the OTEL_* variables can't be used: {error}") from error
        self._tracer = self._provider.get_tracer("greenwave", VERSION)
        self._extract = TraceContextTextMapPropagator().extract
        self._per_second = per_second
        self._clock = clock
        self._second, self._left = -1, 0
        log.info("traces of records are continued, %d per second at most", per_second)

    def stop(self) -> None:
        """Send the last spans, and end the thread."""
        ending = threading.Thread(target=self._provider.shutdown, name="greenwave-tracing", daemon=True)
        ending.start()
        ending.join(STOP_SECONDS)

    def note(self, batch: Iterable[tuple[Record, Normalised]], received_ns: int) -> None:
        """Make the spans of records that were published just now, and received at a time in epoch nanoseconds."""
        try:
            self._note(batch, received_ns)
        except Exception:  # the records are published: a fault of a span must not have them read again
            log.exception("spans could not be made")

    def _note(self, batch: Iterable[tuple[Record, Normalised]], received_ns: int) -> None:
        for record, normalised in batch:
            headers = record.raw_headers
            # Of a record without headers this is all that is done. Two such headers are no trace context.
            if headers and len(headers) <= MAX_HEADER_BYTES and headers.count(MARK) == 1 and self._take_attempt():
                self._continue(record, normalised, received_ns)

    def _take_attempt(self) -> bool:
        """Count an attempt, and return whether it is allowed: headers that are no trace context take time, too."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._left = second, self._per_second
        self._left -= 1
        return self._left >= 0

    def _continue(self, record: Record, normalised: Normalised, received_ns: int) -> None:
        """Make the span of a record, if its trace is sampled."""
        if record.time_ms < received_ns // 1_000_000 - MAX_AGE_MS:
            return
        from opentelemetry.trace import SpanKind, StatusCode, get_current_span

        parent = self._extract(record.headers)
        context = get_current_span(parent).get_span_context()
        if not (context.is_valid and context.trace_flags.sampled):
            return
        # Names by the semantic conventions of OpenTelemetry for messaging, and for Kafka.
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.message.body.size": len(record.value or b""),
            "greenwave.record.timestamp_ms": record.timestamp_ms,
            "greenwave.record.items": len(normalised.items),
        }
        span = self._tracer.start_span(
            f"process {record.topic}", parent, SpanKind.CONSUMER, attributes, start_time=received_ns
        )
        if normalised.refusals:
            reason = normalised.refusals[0].reason
            span.set_attribute("error.type", reason)
            span.set_status(StatusCode.ERROR, f"refused: {reason}")
        span.end()


def _provider(exporter: "SpanExporter | None") -> "TracerProvider":
    # An optional package, and importing it takes a while.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    ours: dict[str, str | int] = {
        "service.name": "greenwave",
        "service.version": VERSION,
        "process.pid": os.getpid(),
    }
    resource = Resource.create(ours).merge(OTELResourceDetector().detect())  # the environment has precedence
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
    return provider
