"""Metrics: the facts of health, in the format that Prometheus reads."""

import os
import time

import pytest
from msgspec import structs
from prometheus_client.parser import text_string_to_metric_families

from consumer.parsing.refusal import REFUSAL_REASONS
from consumer.view.events import GAP_REASONS
from consumer.view.eviction import EVICTION_REASONS
from tests.consumer.helpers import message
from tests.web.conftest import SETTINGS
from web.access.admission import TRANSPORTS

WITH_WEBHOOK = structs.replace(SETTINGS, webhook_url="http://127.0.0.1:1/", webhook_secret=f"whsec_{'QUJD' * 8}")


@pytest.fixture
def scrape(client):
    def scrape():
        response = client.get("/metrics")
        assert response.status_code == 200
        families = text_string_to_metric_families(response.text)
        return {
            (sample.name, *(value for name, value in sample.labels.items() if name != "pid")): sample.value
            for family in families
            for sample in family.samples
        }

    return scrape


def test_metrics_equal_health(scrape, put, client, live):
    put(message("A"))
    last = put(b"\xff")
    metrics = scrape()
    assert metrics["greenwave_consumer_state", "live"] == 1
    assert metrics["greenwave_consumer_state", "reconnecting"] == 0
    assert metrics["greenwave_ready",] == 1
    assert metrics["greenwave_throttled",] == 0
    assert metrics["greenwave_connection_attempts_total", "success"] == 1
    assert metrics["greenwave_connection_duration_seconds_count",] == 1
    assert metrics["greenwave_circuit_breaker_state", "closed"] == 1
    assert metrics["greenwave_records_consumed_total",] == 2
    assert metrics["greenwave_predictions_unclear_horizon_total",] == 0
    assert metrics["greenwave_messages_quarantined_total", "not_utf8"] == 1
    assert metrics["greenwave_buffer_entries",] == 1
    assert metrics["greenwave_replay_hangs_total",] == 0
    assert metrics["greenwave_partition_end_offset", "3"] == 0
    assert metrics["greenwave_partition_lag_seconds", "3"] == 0
    assert metrics["greenwave_partition_last_record_timestamp_seconds", "0"] == last.timestamp_ms / 1000
    assert ("greenwave_partition_last_record_timestamp_seconds", "1") not in metrics
    assert metrics["greenwave_consumer_state_timestamp_seconds",] == live.feed.status.since
    assert metrics["greenwave_partition_leader_silent_seconds", "1"] < 5


@pytest.mark.parametrize("settings", [WITH_WEBHOOK])
def test_the_webhook_is_measured(scrape, client, live):
    metrics = scrape()
    results = [metrics["greenwave_webhook_documents_total", each] for each in ("sent", "failed", "dropped", "replaced")]
    names = (
        *("documents_waiting", "attempts_failed_total", "alerts_open", "entries_missed_total"),
        *("beginnings_unknown_total", "gone"),
    )
    assert results + [metrics[f"greenwave_webhook_{name}",] for name in names] == [0] * 10
    assert client.get("/api/health").json["data"]["webhook"] == {
        "open": 0,
        "documents": {"sent": 0, "failed": 0, "dropped": 0, "replaced": 0},
        "waiting": 0,
        "failed_attempts": 0,
        "missed": 0,
        "unknown": 0,
        "gone": False,
    }
    assert client.get("/api/health").json["data"]["warnings"] == []
    live.alerts._sender.is_gone = True
    (warning,) = client.get("/api/health").json["data"]["warnings"]
    assert warning.startswith("WEBHOOK_URL: the receiver answers 410")


def test_gaps_and_clients_are_counted(scrape, client, live):
    response = client.get("/predictions/stream?after=damaged")
    frames = response.iter_encoded()
    seen = b""
    while b'"gap"' not in seen:
        seen += next(frames)
    metrics = scrape()
    assert (metrics["greenwave_clients", "sse"], metrics["greenwave_max_streams",]) == (1, 10_000)
    response.close()
    metrics = scrape()
    assert (metrics["greenwave_clients", "sse"], metrics["greenwave_gaps_total", "bad_cursor"]) == (0, 1)


def test_every_series_exists_from_the_start(scrape, live):
    metrics = scrape()
    for transport in TRANSPORTS:
        assert metrics["greenwave_clients", transport] == metrics["greenwave_clients_stalled_total", transport] == 0
    assert {metrics["greenwave_messages_quarantined_total", reason] for reason in REFUSAL_REASONS} == {0}
    assert [metrics["greenwave_gaps_total", reason] for reason in GAP_REASONS] == [0] * len(GAP_REASONS)
    assert {metrics["greenwave_latest_evictions_total", reason] for reason in EVICTION_REASONS} == {0}


def test_every_series_has_the_process_id(client, live):
    families = text_string_to_metric_families(client.get("/metrics").text)
    assert {sample.labels.get("pid") for family in families for sample in family.samples} == {str(os.getpid())}


def test_a_host_clock_that_is_behind_is_reported(scrape, client, live):
    assert scrape()["greenwave_clock_behind_seconds",] == 0
    for number in range(5):
        live.clock.note(f"S{number}", live.clock.now_ms() - live.clock.behind_ms + 7_200_000)
    assert scrape()["greenwave_clock_behind_seconds",] == pytest.approx(7_200, abs=60)
    clock = client.get("/api/health").json["data"]["consumer"]["clock"]
    assert (clock["segments"], clock["segments_ahead"]) == (5, 5)
    assert clock["warning"].startswith("this host's clock is 7")


def test_a_stream_is_measured(scrape, client, live, put):
    response = client.get("/predictions/stream")
    frames = response.iter_encoded()
    seen = b""
    while b'"initial"' not in seen:
        seen += next(frames)
    put(message("A"))
    while b'"prediction"' not in seen:
        seen += next(frames)
    metrics = scrape()
    response.close()
    assert metrics["greenwave_stream_opening_seconds_count", "sse"] == 1
    assert metrics["greenwave_stream_opening_seconds_count", "websocket"] == 0
    assert metrics["greenwave_delivery_seconds_count",] == metrics["greenwave_delivery_seconds_bucket", "+Inf"] == 1
    assert metrics["greenwave_stream_sent_bytes_total",] >= len(seen)


def test_the_process_is_measured(scrape, live):
    metrics = scrape()
    assert metrics["process_resident_memory_bytes",] > 10_000_000
    assert 0 < metrics["process_open_fds",] < metrics["process_max_fds",]
    assert 0 < time.time() - metrics["process_start_time_seconds",] < 86_400
