"""Timeouts of calls to Kafka, as the settings give them."""

import pytest

from consumer.settings import Settings
from consumer.sources.options import CALLS_IN_A_ROW, call_seconds, client_options, consumer_options


@pytest.mark.parametrize(("watchdog", "seconds"), [(10, 4), (30, 6), (600, 20)])
def test_calls_in_a_row_end_before_the_watchdog_acts(watchdog, seconds):
    found = call_seconds(Settings(watchdog_seconds=watchdog))
    assert found == seconds
    # A start asks for first offsets, ends, and twice for offsets of a time.
    assert CALLS_IN_A_ROW > 4


@pytest.mark.parametrize("options", [client_options, consumer_options])
def test_every_client_returns_soon_to_a_broker_that_was_away(options):
    assert options(Settings())["reconnect_backoff_max_ms"] <= 1_000
