"""When the Python client renews a token."""

import math
from types import SimpleNamespace

import pytest
from greenwave_client.renewal import Renewal


def connected(expires_at: str | None) -> dict[str, str | None]:
    return {"type": "connected", "timestamp": "2026-01-01T00:00:00.000Z", "expires_at": expires_at}


@pytest.fixture
def renewal(monkeypatch: pytest.MonkeyPatch) -> Renewal:
    """Return one whose clock stands at 100 s."""
    stand_at(100.0, monkeypatch)
    return Renewal()


def stand_at(now: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenwave_client.renewal.time", SimpleNamespace(monotonic=lambda: now))


def test_each_renewal_is_due_after_half_of_the_rest(renewal: Renewal) -> None:
    renewal.take(connected("2026-01-01T00:00:16.000Z"))
    due = []
    for _ in range(5):
        due.append(renewal.due_at)
        renewal.postpone()
    assert due == [108.0, 112.0, 114.0, 115.0, math.inf]


def test_a_program_that_comes_late_has_another_attempt(renewal: Renewal, monkeypatch: pytest.MonkeyPatch) -> None:
    renewal.take(connected("2026-01-01T00:00:05.000Z"))
    stand_at(104.0, monkeypatch)
    renewal.postpone()
    assert renewal.due_at == 103.75


@pytest.mark.parametrize("expires_at", [None, "soon", "2025-12-31T23:00:00Z", "2026-01-01T00:00:01Z"])
def test_a_token_without_a_lifetime_is_not_renewed(renewal: Renewal, expires_at: str | None) -> None:
    renewal.take(connected(expires_at))
    assert renewal.due_at == math.inf
