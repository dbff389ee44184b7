import json
import subprocess
import sys
from itertools import pairwise

import pytest

from demo.network import distance_km, geojson, segments
from demo.waypoints import FREEWAYS


def corridors():
    found = {}
    for segment in segments():
        found.setdefault(segment.corridor, []).append(segment)
    return found


def test_the_network_has_both_directions_of_all_main_freeways():
    assert len(segments()) >= 200
    assert len(corridors()) == 2 * len(FREEWAYS) >= 32


def test_ids_and_names_are_unique_and_ids_are_plain():
    ids = [segment.segment_id for segment in segments()]
    assert len(set(ids)) == len(ids)
    assert len({segment.name for segment in segments()}) == len(ids)
    assert "I405_N_012" in ids
    assert all(each.replace("_", "").isalnum() for each in ids)


def test_every_point_lies_in_greater_los_angeles():
    for segment in segments():
        for latitude, longitude in (*segment.line, segment.middle):
            assert 33.6 < latitude < 34.8
            assert -118.95 < longitude < -117.6


def test_segments_are_two_to_four_kilometres_long():
    for segment in segments():
        assert 2 <= segment.length_km <= 4
        line = sum(distance_km(a, b) for a, b in pairwise(segment.line))
        assert line == pytest.approx(segment.length_km, abs=0.08)


def test_each_segment_begins_where_the_one_before_ends():
    for line in corridors().values():
        for before, after in pairwise(line):
            assert distance_km(before.line[-1], after.line[0]) < 0.03
            assert after.start_km == pytest.approx(before.start_km + before.length_km, abs=0.002)


def test_waypoints_are_less_than_13_km_apart():
    for freeway in FREEWAYS:
        for (_, *a), (_, *b) in pairwise(freeway.waypoints):
            assert distance_km(tuple(a), tuple(b)) < 13


def test_directions_are_side_by_side_with_traffic_on_the_right():
    north, south = corridors()["I-110 N"][0].line[0], corridors()["I-110 S"][-1].line[-1]
    assert 0.015 < distance_km(north, south) < 0.035
    assert north[1] > south[1]  # going north, the right is the east
    east, west = corridors()["I-105 E"][4].middle, corridors()["I-105 W"][4].middle
    assert 0.015 < distance_km(east, west) < 0.035
    assert east[0] < west[0]


@pytest.mark.parametrize(
    ("corridor", "place", "name"),
    [
        ("I-405 N", (34.0870, -118.4750), "Getty Center"),
        ("I-105 E", (33.9310, -118.3700), "LAX"),
        ("US-101 S", (34.1120, -118.3390), "Hollywood Bowl"),
        ("I-210 W", (34.1478, -118.1445), "Pasadena"),
        ("SR-134 E", (34.1545, -118.2850), "Griffith Park"),
    ],
)
def test_well_known_locations_have_the_nearest_segment(corridor, place, name):
    nearest = min(corridors()[corridor], key=lambda each: distance_km(each.middle, place))
    assert distance_km(nearest.middle, place) < 2.5
    assert name in nearest.name


def test_the_network_is_deterministic():
    assert segments.__wrapped__() == segments()


def test_the_module_prints_the_network_as_geojson():
    run = subprocess.run([sys.executable, "-m", "demo.network"], capture_output=True, text=True, check=True)
    printed = json.loads(run.stdout)
    assert printed == json.loads(json.dumps(geojson()))
    assert len(printed["features"]) == len(segments())
    first = printed["features"][0]
    assert first["geometry"]["type"] == "LineString"
    assert first["geometry"]["coordinates"][0] == list(reversed(segments()[0].line[0]))
    assert first["properties"]["name"] == segments()[0].name
