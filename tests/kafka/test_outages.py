"""The broker is killed, stopped and missing while clients are there: what `make chaos` does for an hour, in a minute.

The scenarios assert what must hold: each stream has the topic's log exactly once and in order, each acknowledged
message is in the log, and the state, /readyz and the streams say in time what was done.
"""

from tests.chaos import scenarios


def test_streams_have_the_log_exactly_once_after_the_broker_was_killed_and_killed_again():
    figures = scenarios.kills(count=2, rate=300, clients=20, seed=3)
    assert figures["messages"] >= figures["acknowledged"] > 0


def test_a_broker_that_is_stopped_is_told_and_nothing_is_lost_when_it_goes_on():
    figures = scenarios.pause(seconds=15, clients=10)
    assert figures["seconds_until_the_last_stream_was_told"] <= 10


def test_a_broker_and_a_topic_that_are_missing_at_start_are_waited_for():
    figures = scenarios.absent(seconds=8)
    assert figures["state_then"] in {"reconnecting", "circuit_open"}


def test_streams_come_back_to_a_worker_that_was_killed_and_to_one_that_was_reloaded_and_lose_nothing():
    assert scenarios.worker_killed(clients=10)["messages"] > 0


def test_a_hundred_streams_are_told_bye_and_the_process_is_gone_in_time():
    assert set(scenarios.shutdown(streams=100)) == {"SIGTERM", "SIGINT"}
