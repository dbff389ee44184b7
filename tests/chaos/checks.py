"""What must hold in every scenario, for the events of streams and the answers of health checks."""

import math
import threading

from consumer.runtime.attempts import FIRST_SECONDS
from consumer.settings import Settings
from tests.chaos.streams import Streams
from tests.chaos.world import SAID_WITHIN_SECONDS, belongings
from tests.web.server.test_worker import until

SETTLED_MB = 0.5
GROWTH_MB = 10
"""How much more memory may be held after a long time of the same."""
AWAY = frozenset({"reconnecting", "circuit_open"})
"""The states of a consumer whose broker is away."""
STEP_SECONDS = 0.3
"""How late an attempt may be, since the thread looks for it once per poll."""


def opens_within_seconds():
    """Return how long a broker can be away at most before the circuit breaker opens (attempts.py has the delays)."""
    settings = Settings()
    full = [FIRST_SECONDS * 2**failures for failures in range(settings.circuit_failures)]
    delays = [min(settings.circuit_probe_seconds, each) + STEP_SECONDS for each in full]
    return settings.kafka_silence_seconds + sum(delays)


def pause_for(seconds):
    """Let time pass, in which the scenario happens."""
    threading.Event().wait(seconds)


def open_streams(server, count):
    """Open streams and wait until each has been given its view."""
    streams = Streams(server.port, count)
    until(lambda: all(stream.views for stream in streams.streams))
    return streams


def wait_for_all(streams, log, seconds=120):
    """Wait until every stream has as many events as the log, or received a gap and never will."""
    total = sum(map(len, log.values()))
    until(lambda: all(stream.count >= total or stream.of_type("gap") for stream in streams), seconds=seconds, every=0.2)


def check_streams(streams, log, acknowledged):
    """Each stream has exactly the log, in order per partition; what was acknowledged is in it."""
    for stream in streams:
        assert not stream.of_type("gap"), stream.of_type("gap")
        for partition, numbers in log.items():
            assert stream.seen.get(partition, []) == numbers, f"a stream differs from the log in partition {partition}"
    check_acknowledged(log, acknowledged)


def check_acknowledged(log, acknowledged):
    """Assert that the log has what was acknowledged: a broker that loses messages would hide ours."""
    written = {(partition, number) for partition, numbers in log.items() for number in numbers}
    lost = acknowledged - written
    assert not lost, f"{len(lost)} acknowledged messages are not in the log"


def check_said(delay, what):
    """Assert that something was said; return after how many seconds. check_in_time() limits them."""
    assert delay is not None, f"it was never said that {what}"
    return round(delay, 2)


def seconds_until_informed(streams, after, states=AWAY):
    """Return the longest time until a stream received one of the states."""
    return max(_delay(stream, after, states) for stream in streams)


def check_informed(streams, died, producer, health):
    """Assert that each stream was informed of an outage before it received anything that was sent in it or later.

    Returns the longest time that this took. It includes the time until this process has read its streams, so it is
    limited only on a machine that runs nothing else.
    """

    def news(stream):
        return next((at - died for at, name in stream.arrived if producer.sent_at.get(name, 0) > died), math.inf)

    until(lambda: all(_delay(each, died, AWAY) < math.inf or news(each) < math.inf for each in streams), seconds=60)
    late = [
        f"stream {number}: {_history(stream, died)}, news {news(stream):.1f}"
        for number, stream in enumerate(streams)
        if _delay(stream, died, AWAY) > news(stream)
    ]
    said = [f"{at - died:.1f} {state} ({reason})" for at, state, reason in health.changes(died)]
    assert not late, (
        f"{len(late)} of {len(streams)} streams were not informed before news came (seconds since the broker was "
        f"away); the first: {late[:3]}; health: {said}"
    )
    return round(seconds_until_informed(streams, died), 2)


SAID = (
    "seconds_until_away_is_said",
    "seconds_until_live_again",
    "seconds_from_topic_to_live",
    "seconds_until_the_last_stream_was_informed",
)
"""Figures of what must be said in time."""
LIMITS_SECONDS = {
    "strict": {"said": SAID_WITHIN_SECONDS, "gone": 3.0},
    "loose": {"said": 30.0, "gone": 20.0},
    "none": {"said": math.inf, "gone": math.inf},
}


def check_in_time(figures, limits):
    """Assert that what happened was said to health checks and streams in time, and that a shutdown took no longer."""
    for name in SAID:
        if (found := figures.get(name)) is not None:
            longest = found["max"] if isinstance(found, dict) else found
            assert longest <= limits["said"], f"{name}: {longest}, above {limits['said']:g}"
    for name, found in figures.items():
        if isinstance(found, dict) and (took := found.get("gone_after_seconds")) is not None:
            assert took < limits["gone"], f"{name}: gone after {took} s, above {limits['gone']:g}"


def _delay(stream, after, states):
    """Return how many seconds after a time a stream received one of the states; infinity if it did not."""
    found = (at - after for at, message in stream.of_type("status") if at > after and message["state"] in states)
    return next(found, math.inf)


def _history(stream, since):
    """Return the states that a stream received after a time, in seconds since then, and its last prediction."""
    states = [f"{at - since:.1f} {message['state']}" for at, message in stream.of_type("status") if at > since]
    last = stream.arrived[-1][0] - since if stream.arrived else math.nan
    ended = "open" if stream.ended is None else f"ended {stream.ended - since:.1f}"
    return f"{ended}, states {', '.join(states) or 'none'}, {stream.count} predictions, last {last:.1f}"


def is_away(answer):
    """Tell whether an answer says that the broker is away."""
    return answer.state != "live" and not answer.ready


def is_live(answer):
    """Tell whether an answer says that all is well."""
    return answer.state == "live" and answer.ready


def check_no_false_alarm(health, begin, end):
    """Assert that it was said to be live all the time between two times, in which it was."""
    wrong = [(each.at - begin, each.state) for each in health.between(begin, end) if not is_live(each)]
    assert not wrong, f"the broker was there, and it was said {wrong[:5]}"


def check_stays_away(health, begin, end):
    """Assert that nothing was said to be ready between two times, in which the broker was known to be away."""
    wrong = [each.at - begin for each in health.between(begin, end) if not is_away(each)]
    assert not wrong, f"the broker was away, and ready was said after {wrong[:5]} s"


def check_breaker(health, begin, end):
    """Assert that the circuit breaker was open at some moment of an outage that was long enough for it."""
    if end - begin > opens_within_seconds():
        breakers = {each.breaker for each in health.between(begin, end)}
        assert "open" in breakers, f"the broker was away for {end - begin:.0f} s, and the breaker was {breakers}"


def check_read(health, ends, records, quarantined=0):
    """Wait until health says that all partitions were read to these ends; assert that nothing else is wrong."""
    wanted = {
        "state": "live",
        "ready": True,
        "breaker": "closed",
        "records": records,
        "quarantined": quarantined,
        "positions": ends,
        "ends": ends,
        "lags": [0] * len(ends),
    }

    def differing():
        last = health.answers[-1]._asdict()
        return {name: last[name] for name, value in wanted.items() if last[name] != value}

    try:
        until(lambda: not differing())
    except AssertionError as error:
        raise AssertionError(f"health says {differing()}, and what is true is {wanted}") from error
    assert all(each.alive and each.restarts == 0 for each in health.answers), "the consumer thread was restarted"


def settled(pid, seconds=60):
    """Wait until a process holds no more memory than some seconds ago; return what it has."""
    seen = [belongings(pid)["rss_mb"]]

    def is_flat():
        pause_for(1)
        seen.append(belongings(pid)["rss_mb"])
        return len(seen) > 5 and seen[-1] - seen[-6] < SETTLED_MB

    until(is_flat, seconds=seconds)
    return belongings(pid)


def check_growth(rss_mb, parts=3):
    """Assert that memory at the end is what it was at the beginning, by the medians of the parts; return the growth."""
    size = max(1, len(rss_mb) // parts)
    growth = median(rss_mb[-size:]) - median(rss_mb[:size])
    assert growth <= GROWTH_MB, f"memory grew by {growth:.1f} MB: {rss_mb}"
    return round(growth, 1)


def check_no_more(before, after):
    """Assert that a process has the threads and descriptors that it had."""
    assert after["threads"] <= before["threads"] + 2, (before, after)
    assert after["descriptors"] <= before["descriptors"] + 2, (before, after)


def median(values):
    """Return the (upper) median."""
    return sorted(values)[len(values) // 2]


def spread(values):
    """Return minimum, median and maximum."""
    if not values:
        return None
    return {"min": min(values), "median": median(values), "max": max(values), "of": len(values)}
