"""Where segments are, from GeoJSON: what is taken from it, and what can't be."""

import gzip
import json
import re

import msgspec
import pytest
from msgspec import UNSET

from consumer import Consumer
from consumer.errors import SettingsError
from consumer.messages.files import check_files
from consumer.messages.network import NOT_KNOWN, load_network, read_network
from consumer.messages.normalise import Normaliser
from consumer.prediction import Coordinates
from consumer.settings import Settings
from tests.consumer.helpers import message, record

HERE = [-118.25, 34.05]


def collection(*features):
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def feature(geometry, **properties):
    return {"type": "Feature", "geometry": geometry, "properties": {"segment_id": "A"} | properties}


def point(*position):
    return {"type": "Point", "coordinates": list(position)}


def line(*positions):
    return {"type": "LineString", "coordinates": [list(each) for each in positions]}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (feature(None), "A"),
        (feature(None, segment_id=717447), "717447"),
        (feature(None, segment_id=717447.0), "717447"),
        (feature(None, segment_id=None, sensor_id="S 1"), "S 1"),
        (feature(None, segment_id="NaN", sensor_id="null") | {"id": 5.0}, "5"),
        (feature(None, segment_id=" ") | {"id": 5}, "5"),
        ({"type": "Feature", "geometry": None, "properties": None, "id": "B"}, "B"),
    ],
)
def test_a_segment_is_named_by_its_properties_or_its_id(given, name):
    assert list(read_network(collection(given)).segments) == [name]


@pytest.mark.parametrize(
    ("geometry", "place"),
    [
        (None, UNSET),
        (point(*HERE), Coordinates(34.05, -118.25)),
        (point(*HERE, 90.5), Coordinates(34.05, -118.25)),
        (line([0, 0], [0, 2]), Coordinates(1.0, 0.0)),
        (line([0, 0], [0, 1], [0, 4]), Coordinates(2.0, 0.0)),
        (line([5, 5], [5, 5]), Coordinates(5, 5)),
        (
            {"type": "MultiLineString", "coordinates": [[[9, 9], [9, 9.5]], [[0, 0], [0, 2]]]},
            Coordinates(1.0, 0.0),
        ),
    ],
)
def test_a_segment_is_at_its_point_or_half_way_along_its_longest_line(geometry, place):
    assert read_network(collection(feature(geometry))).get("A").coordinates == place


def test_the_middle_is_measured_in_kilometres_and_not_in_degrees():
    # At 60 degrees north a degree of longitude is half as long as one of latitude.
    found = read_network(collection(feature(line([0, 60], [2, 60], [2, 61])))).get("A").coordinates
    assert (found.latitude, found.longitude) == pytest.approx((60, 2))


@pytest.mark.parametrize("name", ["road_name", "road", "name"])
def test_a_road_has_one_of_three_names(name):
    assert read_network(collection(feature(None, **{name: "I-405 N"}))).get("A").road_name == "I-405 N"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"type": "Topology", "features": []}', "Invalid enum value 'Topology'"),
        (b'{"type": "FeatureCollection"}', "missing required field `features`"),
        (
            collection(feature({"type": "Polygon", "coordinates": []})),
            r"features\[0\]: Invalid value 'Polygon' - at `\$.geometry.type",
        ),
        (collection(feature(point(1))), "length >= 2"),
        (collection(feature(line([1, 2]))), "length >= 2"),
        (collection(feature(point("a", 1))), "Expected `float`, got `str`"),
        (
            collection(feature(point(34.05, -118.25))),
            r"features\[0\]: \[34.05, -118.25\] is no point.*longitude, latitude",
        ),
        (collection(feature(None, segment_id=None)), r"features\[0\]: no segment is named"),
        (collection(feature(None, segment_id="x" * 257)), "1 to 256 characters"),
        (
            collection(feature(None, segment_id=1.5)),
            "segment_id is 1.5; allowed: text of 1 to 256 characters or a whole",
        ),
        (collection(), "`features` are empty"),
        (collection(feature(None, segment_id=None), feature(None, segment_id=None)), "none of its 2 features"),
        (
            collection({"type": "Feature", "geometry": None, "properties": {"osmid": 5, "na\nme": "I-5"}}),
            r"needed: segment_id, sensor_id or an id; its properties: 'osmid', 'na\\nme'; NETWORK_ID_PROPERTY",
        ),
        (
            collection({"type": "Feature", "geometry": None, "properties": {f"p{n}": n for n in range(99)}}),
            r"'p0', 'p1', .* 'p19', …;",
        ),
        (collection({"type": "Feature", "geometry": None}), "its properties: none"),
        (gzip.compress(collection(feature(None)), mtime=0)[:-9], "gzip in it is damaged"),
        (b"\x1f\x8b but no gzip", "compression method"),
    ],
)
def test_a_bad_network_file_is_refused_with_reason_and_position(content, said, tmp_path):
    file = tmp_path / "network.geojson"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"NETWORK_FILE=.*GeoJSON") as caught:
        load_network(str(file))
    assert re.search(said, str(caught.value))


PROPERTIES = {"osmid": 4021.0, "a": {"b": {"c": "deep"}, "b.c": "no path"}, "x.y": "dotted", "fid": None, "n": "NaN"}


@pytest.mark.parametrize(("path", "name"), [("osmid", "4021"), ("a.b.c", "deep"), ("x.y", "dotted")])
def test_a_setting_names_the_property_that_identifies_a_segment(path, name):
    assert list(read_network(collection(feature(None, **PROPERTIES)), path).segments) == [name]


@pytest.mark.parametrize("path", ["fid", "n", "a.b", "a.x.c", "osmid.b", "missing"])
def test_a_segment_without_the_property_of_the_setting_has_no_other_id(path):
    with pytest.raises(ValueError, match=r"features\[0\]") as caught:
        read_network(collection(feature(None, **PROPERTIES)), path)
    assert path in str(caught.value)
    assert "'osmid'" in str(caught.value) or path == "a.b"


def test_features_that_cannot_be_used_are_skipped_and_counted(tmp_path, caplog):
    polygon = feature({"type": "Polygon", "coordinates": []}, segment_id="P")
    features = [feature(None), feature(None, segment_id=None), 5, polygon, feature(None), feature(None, segment_id="B")]
    network = read_network(collection(*features))
    assert list(network.segments) == ["A", "B"]
    assert network.skipped.features == 4
    assert network.skipped.first.startswith("$.features[1]: no segment is named")
    assert read_network(collection(feature(None))).skipped is None
    file = tmp_path / "network.geojson"
    file.write_bytes(collection(*features))
    Consumer(Settings(network_file=str(file)))
    assert [each.getMessage() for each in caplog.records] == [f"NETWORK_FILE: {network.skipped}"]


def test_a_gzip_network_is_read_and_its_size_is_bounded(tmp_path, monkeypatch):
    file = tmp_path / "network.geojson.gz"
    content = collection(feature(point(*HERE)))
    file.write_bytes(gzip.compress(content))
    assert load_network(str(file)).segments == read_network(content).segments
    monkeypatch.setattr("consumer.messages.network.MAX_BYTES", len(content) - 1)
    with pytest.raises(SettingsError, match="when unpacked"):
        load_network(str(file))
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="it has more than"):
        load_network(str(file))


def test_a_bad_feature_of_a_network_file_does_not_stop_a_start(tmp_path):
    file = tmp_path / "network.geojson"
    file.write_bytes(collection(feature(None, osmid=[1, 2]), feature(None, osmid=3)))
    settings = Settings(network_file=str(file), network_id_property="osmid")
    assert list(check_files(settings).segments) == list(Consumer(settings).network.segments) == ["3"]


def test_a_missing_network_file_is_a_settings_error(tmp_path):
    with pytest.raises(SettingsError, match="No such file"):
        load_network(str(tmp_path / "network.geojson"))
    assert load_network("").segments == {}


def test_a_network_is_served_as_it_was_read():
    network = read_network(collection(feature(line([0, 0], [0, 2]), name="I-5 N"), feature(None, segment_id="B")))
    assert read_network(msgspec.json.encode(network.geojson())).segments == network.segments


def test_a_message_without_place_or_road_gets_those_of_the_network():
    network = read_network(collection(feature(point(*HERE), name="I-405 N at Carson")))
    normalise = Normaliser(Settings(), network)
    (_, found) = normalise(record(0, 0, message("A"))).predictions[0]
    assert (found.coordinates, found.road_name) == (Coordinates(34.05, -118.25), "I-405 N at Carson")
    (_, other) = normalise(record(0, 1, message("B"))).predictions[0]
    assert (other.coordinates, other.road_name) == NOT_KNOWN[:2]
    own = message("A", coordinates={"latitude": 1, "longitude": 2}, road_name="own")
    (_, kept) = normalise(record(0, 2, own)).predictions[0]
    assert (kept.coordinates, kept.road_name) == (Coordinates(1, 2), "own")
