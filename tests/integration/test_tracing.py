"""The trace of a producer goes on through the headers of a real broker, with both Kafka clients."""

import contextlib

import pytest
from kafka import KafkaProducer
from msgspec import structs
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from consumer.sources import open_kafka
from consumer.sources.kafka import client_options
from tests.consumer.helpers import message
from tests.consumer.runtime.otlp import receiver
from tests.kafka.helpers import BOTH_CLIENTS, WAIT_SECONDS, eventually


@pytest.fixture
def received(monkeypatch):
    with receiver(monkeypatch) as received:
        yield received


def headers_of_a_new_trace():
    """Return the context of a span as a traced producer sends it, and the headers that carry it."""
    headers = {}
    with TracerProvider(shutdown_on_exit=False).get_tracer("producer").start_as_current_span("send") as span:
        TraceContextTextMapPropagator().inject(headers)
    return span.get_span_context(), [(name, value.encode()) for name, value in headers.items()]


@BOTH_CLIENTS
def test_a_span_continues_the_trace_of_the_producer(settings, consume, received, kafka_client):
    consumer = consume(structs.replace(settings, kafka_client=kafka_client, traces_per_second=10), open_kafka)
    consumer.wait_ready(WAIT_SECONDS)
    context, headers = headers_of_a_new_trace()
    with contextlib.closing(KafkaProducer(**client_options(settings), acks="all")) as producer:
        for name, given in (("A", []), ("B", [("other", b""), *headers])):
            sent = producer.send(settings.topic, message(name), headers=given, partition=2)
            offset = sent.get(WAIT_SECONDS).offset
    eventually(lambda: received)
    (span,) = received
    attributes = {each.key: each.value for each in span.attributes}
    assert (int.from_bytes(span.trace_id), int.from_bytes(span.parent_span_id)) == (context.trace_id, context.span_id)
    assert attributes["messaging.destination.partition.id"].string_value == "2"
    assert attributes["messaging.kafka.offset"].int_value == offset
    assert [each.segment_id for each in consumer.feed.snapshot().predictions] == ["A", "B"]
