"""Metrics: the facts of health, in the format that Prometheus reads."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.consumer.helpers import message


@pytest.fixture
def scrape(client):
    def scrape():
        response = client.get("/metrics")
        assert response.status_code == 200
        families = text_string_to_metric_families(response.text)
        return {
            (sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples
        }

    return scrape


def test_metrics_tell_what_health_tells(scrape, put, client, live):
    put(message("A"))
    put(b"\xff")
    metrics = scrape()
    assert metrics["greenwave_consumer_state", "live"] == 1
    assert metrics["greenwave_consumer_state", "reconnecting"] == 0
    assert metrics["greenwave_ready",] == 1
    assert metrics["greenwave_connection_attempts_total", "success"] == 1
    assert metrics["greenwave_connection_duration_seconds_count",] == 1
    assert metrics["greenwave_circuit_breaker_state", "closed"] == 1
    assert metrics["greenwave_records_consumed_total",] == 2
    assert metrics["greenwave_messages_quarantined_total", "not_utf8"] == 1
    assert metrics["greenwave_buffer_entries",] == 1
    assert metrics["greenwave_partition_end_offset", "3"] == 0
    assert ("greenwave_partition_last_record_age_seconds", "0") in metrics
    assert ("greenwave_partition_last_record_age_seconds", "1") not in metrics


def test_gaps_and_clients_are_counted(scrape, client, live):
    response = client.get("/predictions/stream?after=damaged")
    frames = response.iter_encoded()
    seen = b""
    while b'"gap"' not in seen:
        seen += next(frames)
    assert scrape()["greenwave_clients", "sse"] == 1
    response.close()
    assert scrape().get(("greenwave_clients", "sse"), 0) == 0
