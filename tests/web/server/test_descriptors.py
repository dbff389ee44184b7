"""How the file descriptors of a process are divided."""

import pytest

from web.server import descriptors
from web.server.descriptors import FEWEST_IDLE, Descriptors


@pytest.fixture
def divided(monkeypatch):
    """Return a function that divides a limit of open files, for 16 threads and 7 Kafka clients."""

    def divided(limit, max_streams=10_000):
        monkeypatch.setattr(descriptors, "soft_limit", lambda: limit)
        return Descriptors(16, max_streams, 7)

    return divided


def test_a_high_limit_allows_all_streams_without_a_warning(divided):
    found = divided(100_000)
    assert found.streams == 10_000
    assert found.connections == 10_000 + 16 + descriptors.IDLE_CONNECTIONS
    assert found.warning is None


def test_a_limit_of_exactly_what_is_wanted_is_enough(divided):
    wanted = divided(0).wanted
    assert divided(wanted).warning is None
    assert divided(wanted - 1).warning is not None


def test_a_low_limit_reduces_streams_and_leaves_connections(divided):
    found = divided(1_024)
    assert found.streams == found.connections - 16 - FEWEST_IDLE
    assert f"MAX_STREAMS=10000 is reduced to {found.streams}" in found.warning


def test_a_limit_that_allows_all_streams_does_not_reduce_them(divided):
    found = divided(1_024, max_streams=500)
    assert found.streams == 500
    assert "reduced" not in found.warning


def test_a_very_low_limit_leaves_one_stream_and_all_threads(divided):
    found = divided(64)
    assert found.connections == 16 + FEWEST_IDLE
    assert found.streams == 1
