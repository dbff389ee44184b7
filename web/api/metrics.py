"""Prometheus metrics: the values of /api/health, with names, units and types by the Prometheus conventions.

A scrape reads them from memory, so it never waits for Kafka. An event at a known time is a timestamp, from which a
query makes an age. Silences are durations, since they are measured by a clock that is never set.

Each worker process reports its own values: with several workers behind one port, a scrape reaches one of them. Every
series has the label `pid`, because without it the counters of several processes would look like one that jumps. Series
start at 0, because rate() does not see an increase before the first sample.
"""

import os
from collections.abc import Iterable, Iterator, Mapping

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from consumer import Consumer
from consumer.parsing.refusal import REFUSAL_REASONS
from consumer.usual.learner import LEARNER_STATES
from consumer.version import VERSION
from consumer.view.events import GAP_REASONS, STATES
from web import params
from web.access.admission import TRANSPORTS
from web.services import Services, services

blueprint = Blueprint("metrics", __name__)

_process = ProcessCollector(registry=None)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Answer with all metrics in the text format."""
    params.only()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(services()))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Metrics(Collector):
    """Collects the metrics of one scrape."""

    def __init__(self, here: Services) -> None:
        self._here = here
        self._consumer = here.get_consumer()

    def collect(self) -> Iterator[Metric]:
        """Yield all metric families, with the label `pid` on each series."""
        pid = str(os.getpid())
        for family in self._families():
            family.samples = [
                sample._replace(labels={**sample.labels, "pid": pid})
                for sample in family.samples
                if not sample.name.endswith("_created")  # a metric of its own in this format, and not used
            ]
            yield family

    def _families(self) -> Iterator[Metric]:
        yield from _state(self._consumer)
        yield from _attempts(self._consumer)
        yield from _partitions(self._consumer)
        yield from _intake(self._consumer)
        yield from _schemas(self._consumer)
        yield from _buffer(self._consumer)
        yield from _usual(self._consumer)
        yield from _webhook(self._consumer)
        yield from _clients(self._here, self._consumer)
        yield from self._here.hub.measurements.collect()
        yield from _process.collect()


def _state(consumer: Consumer) -> Iterator[Metric]:
    status = consumer.feed.status
    facts = {"version": VERSION, "topic": consumer.settings.topic}
    yield InfoMetricFamily("greenwave", "Version and topic of the process", value=facts)
    state = GaugeMetricFamily(
        "greenwave_consumer_state", "1 for the current state of the consumer, else 0", labels=["state"]
    )
    for each in STATES:
        state.add_metric([each], float(each == status.state))
    yield state
    yield _gauge("greenwave_ready", "1 if the served data is known to be current, else 0", float(consumer.ready))
    yield _gauge(
        "greenwave_consumer_state_timestamp_seconds",
        "Time of the last change of the state; an outage counts as one state",
        status.since,
    )
    yield _gauge("greenwave_consumer_thread_alive", "1 if the consumer thread runs, else 0", float(consumer.alive))
    yield _gauge(
        "greenwave_consumer_stalled_seconds",
        "Time since the last heartbeat of the consumer thread",
        consumer.stalled_seconds,
    )
    yield _counter(
        "greenwave_consumer_restarts",
        "Sources replaced after an unexpected error or a lost Kafka client",
        consumer.restarts,
    )
    yield _counter(
        "greenwave_replay_hangs", "Replay readers abandoned in a call that hangs", consumer.subscriptions.hangs
    )
    behind = consumer.clock.behind_ms / 1000
    yield _gauge(
        "greenwave_clock_behind_seconds", "Time by which this host's clock is behind the Kafka times of records", behind
    )
    yield _gauge(
        "greenwave_throttled", "1 if a quota of the broker delays its responses, else 0", float(consumer.throttled)
    )
    silent = consumer.broker_silent_seconds
    if silent is not None:
        yield _gauge("greenwave_broker_silent_seconds", "Time since the last response of a broker", silent)


def _attempts(consumer: Consumer) -> Iterator[Metric]:
    report = consumer.attempts.report()
    attempts = CounterMetricFamily(
        "greenwave_connection_attempts", "Attempts to connect to the broker, by result", labels=["result"]
    )
    attempts.add_metric(["success"], report["succeeded"])
    attempts.add_metric(["failure"], report["failed"])
    yield attempts
    yield SummaryMetricFamily(
        "greenwave_connection_duration_seconds",
        "Time from a connection attempt to its first response",
        count_value=report["succeeded"],
        sum_value=consumer.attempts.connect_seconds,
    )
    breaker = GaugeMetricFamily(
        "greenwave_circuit_breaker_state", "1 for the current state of the circuit breaker, else 0", labels=["state"]
    )
    for each in ("closed", "open", "half_open"):
        breaker.add_metric([each], float(each == report["breaker"]))
    yield breaker


def _partitions(consumer: Consumer) -> Iterator[Metric]:
    several = consumer.settings.reads_several
    labels = ["topic", "partition"] if several else ["partition"]

    def labelled(partition: tuple[str, int]) -> list[str]:
        topic, number = partition
        return [topic, str(number)] if several else [str(number)]

    lag = GaugeMetricFamily(
        "greenwave_partition_lag_records", "Records between the position and the high watermark", labels=labels
    )
    behind = GaugeMetricFamily(
        "greenwave_partition_lag_seconds", "Time since the first unread record became known", labels=labels
    )
    position = GaugeMetricFamily(
        "greenwave_partition_position_offset", "Offset of the next record to read", labels=labels
    )
    end = GaugeMetricFamily("greenwave_partition_end_offset", "High watermark", labels=labels)
    last = GaugeMetricFamily(
        "greenwave_partition_last_record_timestamp_seconds",
        "Kafka timestamp of the last record read",
        labels=labels,
    )
    silence = GaugeMetricFamily(
        "greenwave_partition_leader_silent_seconds", "Time since the leader answered a fetch", labels=labels
    )
    names = [labelled(partition) for partition in consumer.partitions]
    for name, reading in zip(names, consumer.readings, strict=False):
        position.add_metric(name, reading.offset)
        if reading.high_watermark is not None:
            end.add_metric(name, reading.high_watermark)
            lag.add_metric(name, max(0, reading.high_watermark - reading.offset))
    for partition, seconds in consumer.record_times().items():
        last.add_metric(labelled(partition), seconds)
    for name, seconds in zip(names, consumer.leader_silent_seconds, strict=False):
        silence.add_metric(name, seconds)
    for name, seconds in zip(names, consumer.lag_seconds, strict=False):
        behind.add_metric(name, seconds)
    yield from (lag, behind, position, end, last, silence)


def _intake(consumer: Consumer) -> Iterator[Metric]:
    yield _counter("greenwave_records_consumed", "Records read, including refused ones", consumer.records)
    fill = consumer.feed.fill()
    yield _counter(
        "greenwave_predictions_received",
        "Predictions and removals added to the feed",
        fill.received - fill.observations,
    )
    yield _counter("greenwave_observations_received", "Observations added to the feed", fill.observations)
    yield _counter(
        "greenwave_predictions_unclear_horizon",
        "Predictions whose horizon is unknown, or whose target is not within 15 s of a whole minute",
        consumer.unclear_horizons,
    )
    yield _gauge(
        "greenwave_messages_refused_in_a_row",
        "Messages refused since the last one that was accepted",
        consumer.refused_in_a_row,
    )
    refused = CounterMetricFamily("greenwave_messages_quarantined", "Messages refused, by reason", labels=["reason"])
    for reason, count in _all(REFUSAL_REASONS, consumer.quarantine.snapshot()["by_reason"]):
        refused.add_metric([reason], count)
    yield refused


def _schemas(consumer: Consumer) -> Iterator[Metric]:
    if consumer.registry is None:
        return
    report = consumer.registry.report()
    requests = CounterMetricFamily(
        "greenwave_schema_registry_requests", "Schemas requested from the registry, by result", labels=["result"]
    )
    for result, count in report["requests"].items():
        requests.add_metric([result], count)
    yield requests
    yield _gauge(
        "greenwave_schema_registry_up",
        "0 if the last request to the registry failed, else 1",
        report["state"] != "away",
    )
    yield _gauge("greenwave_schemas", "Schemas whose decoders are kept", report["schemas"])
    yield _gauge("greenwave_records_waiting", "Records that wait for a schema", consumer.waiting_records)


def _buffer(consumer: Consumer) -> Iterator[Metric]:
    fill, settings = consumer.feed.fill(), consumer.settings
    yield _gauge("greenwave_buffer_entries", "Entries in the ring buffer", fill.entries)
    yield _gauge(
        "greenwave_buffer_max_entries", "Maximum number of entries in the ring buffer", settings.buffer_entries
    )
    yield _gauge("greenwave_buffer_bytes", "Memory of the ring buffer", fill.size_bytes)
    yield _gauge("greenwave_buffer_max_bytes", "Maximum memory of the ring buffer", settings.buffer_bytes)
    yield _gauge("greenwave_segments", "Segments in the latest view", fill.segments)
    yield _gauge("greenwave_observed_segments", "Segments with an observation in the latest view", fill.observed)
    evicted = CounterMetricFamily(
        "greenwave_latest_evictions", "Evictions from the latest view, by reason", labels=["reason"]
    )
    for reason, count in consumer.feed.evictions().items():
        evicted.add_metric([reason], count)
    yield evicted


def _usual(consumer: Consumer) -> Iterator[Metric]:
    usual, learner = consumer.usual, consumer.usual.learner
    state = GaugeMetricFamily(
        "greenwave_usual_state", "1 for the current state of learning usual speeds, else 0", labels=["state"]
    )
    for each in LEARNER_STATES:
        state.add_metric([each], float(each == learner.state))
    yield state
    if learner.state == "off":
        return
    yield _gauge("greenwave_usual_segments", "Segments whose usual speeds are learnt", learner.segments)
    yield _gauge("greenwave_usual_bands", "Usual speeds in memory, by segment and quarter-hour", usual.bands)
    yield _counter("greenwave_usual_speeds_written", "Speeds written to the file by this process", learner.written)
    yield _counter(
        "greenwave_usual_entries_missed", "Entries that left the ring buffer before they were learnt", learner.missed
    )
    yield _counter(
        "greenwave_usual_speeds_left_out", "Speeds not learnt for lack of room for their segment", learner.left_out
    )
    yield _counter("greenwave_usual_failures", "Failed attempts to use the file", learner.failures)
    yield _gauge("greenwave_usual_file_bytes", "Size of the file and its write-ahead log", learner.file_bytes)
    if learner.written_at is not None:
        yield _gauge(
            "greenwave_usual_last_write_timestamp_seconds", "Time of the last write to the file", learner.written_at
        )


def _webhook(consumer: Consumer) -> Iterator[Metric]:
    if consumer.alerts is None:
        return
    report = consumer.alerts.report()
    documents = CounterMetricFamily(
        "greenwave_webhook_documents", "Documents for the webhook, by result", labels=["result"]
    )
    for result, count in report["documents"].items():
        documents.add_metric([result], count)
    yield documents
    yield _gauge("greenwave_webhook_documents_waiting", "Documents that wait to be sent", report["waiting"])
    yield _counter(
        "greenwave_webhook_attempts_failed", "Requests to the webhook that failed", report["failed_attempts"]
    )
    yield _gauge("greenwave_webhook_alerts_open", "Alerts that the webhook follows", report["open"])
    yield _counter(
        "greenwave_webhook_entries_missed",
        "Entries that left the ring buffer before alerts were sought in them",
        report["missed"],
    )
    yield _counter(
        "greenwave_webhook_beginnings_unknown",
        "Beginnings of alerts that were not sent, since they may lie before what was read",
        report["unknown"],
    )
    yield _gauge("greenwave_webhook_gone", "1 after the receiver has answered 410, else 0", report["gone"])


def _clients(here: Services, consumer: Consumer) -> Iterator[Metric]:
    clients = GaugeMetricFamily("greenwave_clients", "Slots in use, by transport", labels=["transport"])
    for transport, count in _all(TRANSPORTS, here.admission.counts()):
        clients.add_metric([transport], count)
    yield clients
    streams = here.hub.counts()
    yield _gauge("greenwave_channels", "Combinations of filter and encoding that streams use", streams["channels"])
    yield _gauge("greenwave_streams_slow", "Streams whose clients have not read what was sent", streams["slow"])
    yield _gauge("greenwave_streams_resuming", "Streams that are sent what others had before", streams["resuming"])
    yield _gauge(
        "greenwave_max_streams", "Maximum number of streams and waiting long polls", here.admission.max_streams
    )
    stalled = CounterMetricFamily(
        "greenwave_clients_stalled", "Clients disconnected because they did not read", labels=["transport"]
    )
    for transport, count in _all(TRANSPORTS, here.admission.stalled()):
        stalled.add_metric([transport], count)
    yield stalled
    refused = CounterMetricFamily(
        "greenwave_client_refusals", "Refusals by the limits per client, by what was limited", labels=["limit"]
    )
    for kind, count in here.admission.shares.refusals().items():
        refused.add_metric([kind], count)
    yield refused
    gaps = CounterMetricFamily("greenwave_gaps", "Gaps sent to clients, by reason", labels=["reason"])
    for reason, count in _all(GAP_REASONS, consumer.feed.gaps()):
        gaps.add_metric([reason], count)
    yield gaps


def _all(known: Iterable[str], counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted({**dict.fromkeys(known, 0), **counts}.items())


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
