"""The broker is killed, stopped and missing while clients are there: what `make chaos` does for an hour, in minutes.

The scenarios assert what must hold: each stream has the topic's log exactly once and in order, each acknowledged
message is in the log, the state, /readyz and the streams say what was done, and health answers all the while and is
true. `make chaos` limits the seconds that this takes; the limits here are for a busy machine. They run as a process of
their own, since the producer that they use drops sockets when its broker dies.

Three workers of pytest get the first two tests, the next three and the last three, which take equally long together.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 400
"""A run takes a minute, of which Kafka's starts take more on a slower machine."""

pytestmark = pytest.mark.timeout(LIMIT_SECONDS + 60)


@pytest.fixture
def hurt(tmp_path):
    """Run a scenario and return its figures."""

    def hurt(scenario, *options):
        command = [sys.executable, "-m", "tests.chaos", scenario, *options, "--loose", "--results", tmp_path]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "chaos" / f"{scenario}.json").read_text())["figures"]

    return hurt


def test_short_streams_get_each_message_once_and_leak_nothing(hurt):
    assert hurt("soak", "--minutes=0.5")["events_delivered"] > 0


def test_paused_broker_is_reported_and_nothing_is_lost(hurt):
    assert hurt("pause", "--seconds=22")["seconds_until_the_last_stream_was_informed"] < 22


def test_streams_get_each_message_once_over_broker_kills(hurt):
    figures = hurt("kills", "--kills=2")
    assert figures["seconds_until_the_last_stream_was_informed"]["of"] == 1, "only one of the outages is long"
    assert figures["messages"] >= figures["acknowledged"] > 0


def test_streams_lose_nothing_when_a_worker_is_killed_or_reloaded(hurt):
    assert hurt("worker_killed")["messages"] > 0


def test_streams_are_exact_or_get_gaps_when_the_topic_changes(hurt):
    figures = hurt("topic_events", "--bad=5000")
    assert figures["refused"] > figures["bad_messages"] == 5000
    assert figures["records_dropped_unread"] > 0


def test_clients_that_read_nothing_are_closed_on_every_transport(hurt):
    figures = hurt("stalled")
    closed = figures["closed_since_they_read_nothing"]
    assert (closed["sse"], closed["websocket"]) == (15, 15)
    assert closed["history"] > 0, "one that was overtaken before it had filled its socket has ended with a gap"
    assert figures["lost_by_others"] == 0


def test_broker_and_topic_missing_at_start_are_waited_for(hurt):
    assert "does not exist" in hurt("absent", "--seconds=15")["said_without_the_topic"]


def test_shutdown_sends_bye_to_a_hundred_streams(hurt):
    assert set(hurt("shutdown", "--streams=100")) == {"SIGTERM", "SIGINT"}
