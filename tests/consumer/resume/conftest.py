"""Replays that notice their end soon."""

import pytest

from consumer.resume import readers, reading


@pytest.fixture(autouse=True)
def short_polls(monkeypatch):
    """Let readers and clients look sooner whether their wait is over: half a second of each test goes into that."""
    monkeypatch.setattr(reading, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(readers, "CHECK_SECONDS", 0.02)
