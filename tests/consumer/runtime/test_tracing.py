"""Traces: a span for each record whose headers continue a sampled trace, and none for others."""

import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from consumer.errors import SettingsError
from consumer.messages.normalised import Normalised
from consumer.parsing.refusal import Refusal
from consumer.runtime.tracing import MAX_AGE_MS, MAX_HEADER_BYTES, Tracing
from consumer.settings import load
from consumer.sources.record import Record, encode_headers
from tests.consumer.helpers import eventually, message
from tests.consumer.runtime.helpers import SETTINGS
from tests.consumer.runtime.otlp import receiver

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01".encode(), f"00-{TRACE}-{PARENT}-00".encode()
PUBLISHED = Normalised([], [], None)


def record(*headers, offset=7, timestamp_ms=None):
    now_ms = int(time.time() * 1000)
    return Record("roads", 3, offset, timestamp_ms or now_ms, None, b"{}", None, encode_headers(headers))


class Traced:
    """Tracing into memory; `spans()` ends it."""

    def __init__(self, per_second=100, clock=lambda: 0.0):
        self._exporter = InMemorySpanExporter()
        self._tracing = Tracing(per_second, self._exporter, clock)

    def note(self, *records, normalised=PUBLISHED):
        self._tracing.note([(each, normalised) for each in records], time.time_ns())

    def spans(self):
        self._tracing.stop()
        return self._exporter.get_finished_spans()


def test_record_of_a_sampled_trace_gets_a_span():
    traced, before = Traced(), time.time_ns()
    sent = record(("x", None), ("traceparent", SAMPLED), ("tracestate", b"a=1"))
    traced.note(sent)
    (span,) = traced.spans()
    assert (span.name, span.kind) == ("process roads", SpanKind.CONSUMER)
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    assert span.context.trace_state.get("a") == "1"
    assert before <= span.start_time <= span.end_time <= time.time_ns()
    assert dict(span.attributes) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "roads",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 7,
        "messaging.message.body.size": 2,
        "greenwave.record.timestamp_ms": sent.timestamp_ms,
        "greenwave.record.items": 0,
    }
    assert span.resource.attributes["service.name"] == "greenwave"


def test_environment_names_the_service(monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "roads")
    traced = Traced()
    traced.note(record(("traceparent", SAMPLED)))
    (span,) = traced.spans()
    assert span.resource.attributes["service.name"] == "roads"


def test_refused_record_gets_a_span_with_the_reason():
    traced = Traced()
    refused = Normalised([], [Refusal(None, "not_json", "it is no JSON")], None)
    traced.note(record(("traceparent", SAMPLED)), normalised=refused)
    (span,) = traced.spans()
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "not_json")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("traceparent", UNSAMPLED)],
        [("traceparent", None)],
        [("traceparent", b"")],
        [("traceparent", b"\xff" * 55)],
        [("traceparent", SAMPLED.upper())],
        [("traceparent", SAMPLED[:-1])],
        [("traceparent", SAMPLED + b"-more")],
        [("traceparent", b"ff" + SAMPLED[2:])],
        [("traceparent", f"00-{'0' * 32}-{PARENT}-01".encode())],
        [("traceparent", SAMPLED), ("traceparent", SAMPLED)],
        [("traceparent", SAMPLED * 200)],
        [("tracestate", b"a=1")],
        [("x", b"traceparent")],
        [("traceparent", SAMPLED), ("x", b"x" * MAX_HEADER_BYTES)],
    ],
)
def test_headers_that_are_no_sampled_trace_context_give_no_span(headers):
    traced = Traced()
    traced.note(record(*headers))
    assert traced.spans() == ()


@pytest.fixture(scope="module")
def shared():
    traced = Traced(per_second=10**9)
    yield traced
    traced.spans()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["traceparent", "tracestate", "x"]),
            st.one_of(st.none(), st.binary(max_size=80), st.just(SAMPLED)),
        ),
        max_size=6,
    ),
    st.binary(max_size=8),
)
def test_any_headers_can_be_read(shared, headers, damage):
    traced = record(*headers)
    shared.note(traced, structs.replace(traced, raw_headers=damage + traced.raw_headers))
    shared.note(structs.replace(traced, raw_headers=traced.raw_headers[: -len(damage) or None]))


def test_tracestate_that_can_not_be_read_is_left_out():
    traced = Traced()
    traced.note(record(("traceparent", SAMPLED), ("tracestate", b"=,;;x" * 100)))
    (span,) = traced.spans()
    assert not span.context.trace_state


def test_spans_per_second_are_limited():
    now = [0.0]
    traced = Traced(per_second=3, clock=lambda: now[0])
    traced.note(*[record(("traceparent", SAMPLED)) for _ in range(10)])
    now[0] = 1.0
    traced.note(*[record(("traceparent", SAMPLED)) for _ in range(2)])
    assert len(traced.spans()) == 5


def test_record_of_the_backlog_gets_no_span():
    traced, now_ms = Traced(), int(time.time() * 1000)
    traced.note(record(("traceparent", SAMPLED), timestamp_ms=now_ms - MAX_AGE_MS - 1_000))
    assert traced.spans() == ()


class Stuck(SpanExporter):
    """An exporter whose receiver does not answer."""

    def __init__(self):
        self.is_asked, self.may_end = threading.Event(), threading.Event()

    def export(self, spans):
        self.is_asked.set()
        self.may_end.wait(60)
        return SpanExportResult.FAILURE

    def shutdown(self):
        pass


def test_receiver_that_does_not_answer_holds_nothing_up():
    exporter = Stuck()
    tracing = Tracing(10**9, exporter)
    for _ in range(30):  # more than its queue takes
        tracing.note([(record(("traceparent", SAMPLED)), PUBLISHED)] * 100, time.time_ns())
    assert exporter.is_asked.wait(60)
    tracing.stop()
    assert not exporter.may_end.is_set()
    exporter.may_end.set()


@pytest.fixture
def received(monkeypatch, integration):
    with receiver(monkeypatch) as received:
        yield received


def test_consumer_sends_spans_of_published_records(received, topic, consume):
    consumer = consume(structs.replace(SETTINGS, traces_per_second=10))
    consumer.wait_ready(30)
    topic.append(message("A"), raw_headers=encode_headers([("traceparent", SAMPLED)]))
    topic.append(message("B"))
    eventually(lambda: received, 60)
    (span,) = received
    assert (span.name, span.trace_id.hex()) == (f"process {topic.name}", TRACE)
    items = {each.key: each.value.int_value for each in span.attributes}["greenwave.record.items"]
    assert items == 1


def test_consumer_without_a_receiver_goes_on(topic, consume, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    consumer = consume(structs.replace(SETTINGS, traces_per_second=1_000))
    consumer.wait_ready(30)
    for _ in range(50):
        topic.append(message("A"), raw_headers=encode_headers([("traceparent", SAMPLED)]))
    eventually(lambda: consumer.records == 50, 60)


def test_traces_need_their_packages(monkeypatch):
    assert load({"TRACES_PER_SECOND": "10"}).traces_per_second == 10
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    with pytest.raises(SettingsError, match=r"TRACES_PER_SECOND=10 can't be used; allowed: 0; more after `pip install"):
        load({"TRACES_PER_SECOND": "10"})


def test_a_variable_that_can_not_be_used_is_said_at_the_start(monkeypatch):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    with pytest.raises(SettingsError, match=r"the OTEL_\* variables can't be used"):
        Tracing(1)


def test_a_fault_of_a_span_does_not_end_the_consumer(caplog):
    traced = Traced()
    traced.note(record(("traceparent", SAMPLED)), normalised=None)
    traced.note(record(("traceparent", SAMPLED)))
    assert len(traced.spans()) == 1
    assert "spans could not be made" in caplog.text
