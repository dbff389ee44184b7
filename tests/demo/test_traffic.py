import math
from datetime import datetime
from itertools import pairwise
from statistics import correlation, mean

import pytest

from demo.network import segments
from demo.traffic import HIGHEST_MPH, LOS_ANGELES, LOWEST_MPH, Traffic

NETWORK = segments()
TRAFFIC = Traffic(NETWORK, seed=1)
LINE = [segment for segment in NETWORK if segment.corridor == "I-5 N"]


def at(day, hour, minute=0):
    """Return a time of November 2026; the 21st is a Saturday, the 24th a Tuesday."""
    return datetime(2026, 11, day, hour, minute, tzinfo=LOS_ANGELES).timestamp()


def mean_speed(time, traffic=TRAFFIC):
    return mean(traffic.observe(segment, time).speed for segment in NETWORK)


def an_incident(shortest_km=12.0):
    """Find an incident that has its corridor to itself, with room upstream, at night when nothing else slows."""
    for day in range(2, 29):
        for corridor in sorted({segment.corridor for segment in NETWORK}):
            for hour in (21, 22, 23):
                found = TRAFFIC.incidents(corridor, at(day, hour))
                others = TRAFFIC.incidents(corridor, at(day, hour) + 7200)
                alone = len({*found, *others}) == 1
                if alone and found and found[0].km > shortest_km and found[0].start > at(day, hour) - 1800:
                    return corridor, found[0]
    raise AssertionError("no such incident")


def slowed(corridor, time):
    """Return kilometres of the middles of segments that are far below the usual."""
    return [
        segment.middle_km
        for segment in NETWORK
        if segment.corridor == corridor and TRAFFIC.observe(segment, time).speed < 0.8 * TRAFFIC.usual(segment, time)
    ]


def test_rush_hour_is_much_slower_than_night():
    night = mean_speed(at(24, 3))
    assert night > 62
    assert mean_speed(at(24, 8)) < night - 15
    assert mean_speed(at(24, 17)) < night - 15


def test_a_weekend_morning_has_no_rush_hour():
    assert mean_speed(at(21, 8)) > mean_speed(at(24, 8)) + 15


def test_mornings_are_slower_towards_downtown():
    north = mean(TRAFFIC.usual(s, at(24, 7)) for s in NETWORK if s.corridor == "I-110 N")
    south = mean(TRAFFIC.usual(s, at(24, 7)) for s in NETWORK if s.corridor == "I-110 S")
    assert north < south - 3


def test_an_incident_slows_only_the_road_upstream():
    corridor, incident = an_incident()
    queue = slowed(corridor, incident.end)
    assert queue
    assert all(km <= incident.km + 3 for km in queue)
    assert any(km < incident.km for km in queue)


def test_the_queue_of_an_incident_grows_and_then_clears():
    corridor, incident = an_incident()
    assert slowed(corridor, incident.start - 60) == []
    early = slowed(corridor, incident.start + 240)
    late = slowed(corridor, incident.end)
    assert len(late) > len(early)
    assert min(late) < incident.km - 1
    assert slowed(corridor, incident.end + 3600) == []


def test_traffic_depends_on_the_seed_only():
    times = [at(24, 8, minute) for minute in range(0, 30, 10)]

    def speeds(seed):
        traffic = Traffic(NETWORK, seed)
        return [traffic.observe(segment, time) for time in times for segment in LINE]

    assert speeds(5) == speeds(5)
    assert speeds(5) != speeds(6)


def test_noise_correlates_nearby_and_not_far_away():
    times = [at(24, 1) + 600 * step for step in range(-100, 100)]

    def noise(segment, shift=0):
        return [TRAFFIC.noise(segment, time + shift) for time in times]

    assert correlation(noise(LINE[10]), noise(LINE[11])) > 0.4
    assert correlation(noise(LINE[10]), noise(LINE[10], 30)) > 0.8
    assert abs(correlation(noise(LINE[2]), noise(LINE[20]))) < 0.35


def test_speed_and_volume_stay_within_what_a_freeway_can_do():
    for hour in range(24):
        for segment in NETWORK[::7]:
            speed, volume = TRAFFIC.observe(segment, at(24, hour, 13))
            assert LOWEST_MPH <= speed <= HIGHEST_MPH
            assert 0 <= volume <= 5 * 2_000 * 1.2


def test_fewer_vehicles_pass_at_night_than_by_day():
    assert TRAFFIC.observe(LINE[9], at(24, 3)).volume < TRAFFIC.observe(LINE[9], at(24, 12)).volume / 2


@pytest.mark.parametrize("day", [21, 24])
def test_usual_speeds_change_smoothly(day):
    for segment in LINE[::5]:
        speeds = [TRAFFIC.usual(segment, at(day, 5) + 60 * minute) for minute in range(900)]
        assert max(abs(a - b) for a, b in pairwise(speeds)) < 2.5
        assert all(map(math.isfinite, speeds))
