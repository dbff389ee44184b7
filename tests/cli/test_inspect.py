"""The command `inspect`: what is in a topic, and the first mapping file."""

import gzip
import json
import re
import tomllib

import pytest
from kafka import KafkaProducer

from cli.guesses import mapping_text
from cli.publish import create_topic
from cli.survey import MAX_DEPTH, MAX_NOT_POSITIVE, MAX_PATHS, Survey
from consumer.mapping.file import read_shapes
from consumer.messages.normalise import Normaliser
from consumer.settings import Settings
from consumer.sources.kafka import client_options
from tests.cli.helpers import closed_port, invoke
from tests.consumer.mapping.helpers import predictions, record

NESTED = {
    "updated": "2025-01-21T14:05:00Z",
    "results": [{"link": {"id": 5}, "speed": {"current": 30.5, "forecastKmh": 80.0}, "lat": 34.1, "lng": -118.2}],
}
ROW = {"WINDOWSTART": 1, "WINDOWEND": 1737468300000, "AVG_SPEED_MPS": 21.5, "NEXT_SPEED_MPS": 20.0, "AHEAD_S": 300}
CASES = [
    (
        NESTED,
        (5).to_bytes(8, "big"),
        {"segment_id": "5", "timestamp": 1737468300000, "current_speed": 30.5, "predicted_speed": 49.71},
    ),
    (
        ROW,
        b"I-405:12",
        {"segment_id": "I-405:12", "timestamp": 1737468300000, "predicted_speed": 44.74, "horizon_minutes": 5},
    ),
    (
        {"segmentId": "S1", "timestamp": 1737468300000, "predictedSpeed": 44.1, "speedLimit": 55},
        None,
        {"segment_id": "S1", "timestamp": 1737468300000, "predicted_speed": 44.1, "current_speed": None},
    ),
    (
        {"schema": {}, "payload": {"op": "c", "after": {"road_id": "R-12", "predicted_avg_speed_mph": "34.2"}}},
        b'{"schema": null, "payload": {"road_id": "R-12"}}',
        {"segment_id": "R-12", "predicted_speed": 34.2},
    ),
    (
        {"id": "4", "speed": "45.98", "forecast_speed": 44, "data_as_of": "2025-01-21T14:05:00", "link_id": "4616337"},
        None,
        {"segment_id": "4616337", "timestamp": 1737468300000, "current_speed": 45.98, "predicted_speed": 44},
    ),
    (
        {"results": [{"id": "A", "forecastMph": 44}], "meta": {"updated": "01/21/2025 02:05:00 PM"}},
        None,
        {"segment_id": "A", "timestamp": 1737468300000, "predicted_speed": 44},
    ),
]


def survey(*records):
    found = Survey(Settings())
    for each in records:
        found.add(each)
    return found


@pytest.mark.parametrize(("value", "key", "expected"), CASES)
def test_the_guessed_mapping_reads_the_messages(tmp_path, value, key, expected):
    found = survey(record(value, key))
    file = tmp_path / "mapping.toml"
    file.write_text(mapping_text("traffic-predictions", found.paths, found.keys.most_common(1)[0][0]))
    (prediction,) = predictions(Normaliser(Settings(mapping_file=str(file)))(record(value, key)))
    assert {name: getattr(prediction, name) for name in expected} == expected


DATEX = {
    "payloadPublication": {
        "publicationTime": "2025-01-21T15:05:02+01:00",
        "siteMeasurements": [
            {
                "measurementSiteReference": {"id": "DE.BAB.A8.MQ17", "version": "3"},
                "measurementTimeDefault": "2025-01-21T15:05:00+01:00",
                "measuredValue": [
                    {"measuredValue": {"basicData": {"vehicleFlow": {"vehicleFlowRate": 640}}}},
                    {
                        "measuredValue": {
                            "basicData": {"averageVehicleSpeed": {"numberOfInputValuesUsed": 12, "speed": 87.0}}
                        }
                    },
                ],
            }
        ],
    }
}
JDBC = {
    "schema": {"type": "struct", "name": "readings", "fields": [{"type": "int32", "field": "READING_ID"}]},
    "payload": {
        "READING_ID": 9912,
        "DETECTOR_ID": "DET-0041",
        "MEASURED_AT": 1737468300000,
        "AVG_SPEED_KMH": 63.5,
        "VEHICLE_COUNT": 17,
        "GEO_LAT": 48.77,
        "GEO_LON": 9.18,
    },
}
COUNTER = {"report": [{"segment_id": 9000004711, "date": "2025-01-21T14:05:00.000Z", "car": 212.0, "v85": 41.5}]}
LANES = {
    "counterId": "C-12",
    "observedAt": "2025-01-21T14:05:00Z",
    "position": {"lat": 52.1, "lng": 5.1},
    "lanes": [{"lane": 1, "vehicles": 12, "meanSpeedKph": 54.2}, {"lane": 2, "vehicles": 7, "meanSpeedKph": 61.0}],
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (DATEX, [("DE.BAB.A8.MQ17", 87.0, 640, None)]),
        (JDBC, [("DET-0041", 39.46, 17, 48.77)]),
        (COUNTER, [("9000004711", 41.5, None, None)]),
        (LANES, [("C-12-1", 33.68, 12, 52.1), ("C-12-2", 37.9, 7, 52.1)]),
    ],
    ids=["DATEX II", "Kafka Connect JDBC", "counter", "lanes"],
)
def test_feeds_of_detectors_are_guessed(tmp_path, value, expected):
    text = mapping_text("traffic-predictions", survey(record(value)).paths, "none")
    file = tmp_path / "mapping.toml"
    file.write_text(text)
    found = predictions(Normaliser(Settings(mapping_file=str(file)))(record(value)))
    assert {each.timestamp for each in found} == {1737468300000}
    places = [each.coordinates.latitude if each.coordinates else None for each in found]
    shown = [(each.segment_id, each.current_speed, each.current_volume) for each in found]
    assert [(*one, place) for one, place in zip(shown, places, strict=True)] == expected


NYC = {"LINK_ID": "4616337", "SPEED": "45.98", "LINK_POINTS": "40.76112,-73.98201 40.7623,-73.98"}


@pytest.mark.parametrize("time", ["2025-01-21T14:05:00.000", "01/21/2025 02:05:00 PM", "21.01.2025 14:05:00"])
def test_rows_as_of_an_open_data_portal_are_guessed(tmp_path, time):
    row = {**NYC, "DATA_AS_OF": time}
    text = mapping_text("nyc", survey(record(row)).paths, "none")
    assert "# These times name no zone. " in text
    file = tmp_path / "mapping.toml"
    file.write_text(text)
    ((_, found),) = Normaliser(Settings(mapping_file=str(file), kafka_topic="nyc"))(record(row)).items
    local = tmp_path / "local.toml"
    local.write_text(re.sub("(timestamp = .*?) }", r'\1, zone = "Europe/Berlin" }', text))
    ((_, earlier),) = Normaliser(Settings(mapping_file=str(local), kafka_topic="nyc"))(record(row)).items
    assert earlier.timestamp == found.timestamp - 3_600_000
    assert (found.segment_id, found.timestamp, found.current_speed) == ("4616337", 1737468300000, 45.98)
    assert (found.coordinates.latitude, found.coordinates.longitude) == (40.76112, -73.98201)


def test_speeds_that_may_stand_for_a_missing_one_are_counted():
    rows = [{**NYC, "SPEED": speed} for speed in ("45.98", "0.00", -1, 0.5, "0.00", None, [], False, "-")]
    text = mapping_text("nyc", survey(*map(record, rows)).paths, "none").splitlines()
    at = next(number for number, line in enumerate(text) if line.startswith("current_speed = "))
    assert text[at + 1 : at + 3] == [
        "# 3 of 9 are 0 or less. If that means that nothing was measured:",
        '# { from = …, missing = ["0.00", -1] }',
    ]
    many = survey(*(record({**NYC, "SPEED": -number}) for number in range(100))).paths["SPEED"]
    assert len(many.not_positive) == MAX_NOT_POSITIVE


def test_a_day_and_month_that_may_be_swapped_are_not_guessed():
    text = mapping_text("nyc", survey(record({**NYC, "DATA_AS_OF": "01/02/2025 14:05:00"})).paths, "none")
    assert '# timestamp = ""  # not found; without it, Kafka\'s time of the record is used' in text.splitlines()


def test_each_guess_is_marked_and_what_is_missing_is_a_comment():
    found = survey(record({"time": "2025-01-21T14:05:00Z", "link": "N1M1", "vcount": 4, "vspeed": 22.5}))
    text = mapping_text("roads", found.paths, "none")
    assert text.splitlines()[3:] == [
        "[[shape]]",
        'topic = "roads"',
        "",
        "[shape.fields]",
        "segment_id = \"link\"  # guess: 'N1M1'",
        "timestamp = \"time\"  # guess: '2025-01-21T14:05:00Z'",
        'current_speed = "vspeed"  # guess: 22.5; without unit, in SPEED_UNIT',
        'current_volume = "vcount"  # guess: 4',
        '# coordinates = ""  # not found; without it, segments are not on the map',
    ]
    assert read_shapes(text, Settings(kafka_topic="roads")), "of measured speeds come observations"
    without = survey(record({"time": "2025-01-21T14:05:00Z", "link": "N1M1", "vcount": 4}))
    text = mapping_text("roads", without.paths, "none")
    assert '# predicted_speed = ""  # not found, and needed; or current_speed, if speeds are measured' in text
    with pytest.raises(ValueError, match="predicted_speed is needed"):
        read_shapes(text, Settings())


HOSTILE = ['a"b', "a\\b", "x\ny", "\u2028", "\ud800", "a.b", "[0]", "", "é", "$key", "#", '"""', "a}b{", "a" * 5_000]


def test_any_names_and_values_give_a_file_that_can_be_read():
    rows = [{f"road id {name}": name, f"{name} predicted speed": 50.5, name: [{name: name}]} for name in HOSTILE]
    lanes = [{f"counter id {each}": "C", "x": [{f"lane {each}": 1, f"{each} speed": 5.5}]} for each in HOSTILE]
    nested = [{f"counter id {each}": "C", f"x {each}": [{f"{each} speed": 5.5}]} for each in HOSTILE]
    for row in (*rows, *lanes, *nested):
        found = survey(record(row, b"\xff"))
        assert all(line.isprintable() for line in found.lines())
        text = mapping_text('a"b\\', found.paths, "bytes")
        assert tomllib.loads(text)["shape"][0]["topic"] == 'a"b\\'
        if len(str(row)) < 1_000:  # longer names are no guesses, so fields are missing
            assert read_shapes(text, Settings(kafka_topic='a"b\\'))


def test_a_topic_of_endless_names_takes_bounded_memory():
    found = survey(*[record({f"n{number}-{index}": {"a": 1} for index in range(100)}) for number in range(10)])
    assert len(found.paths) == MAX_PATHS
    deep = record(b'{"a":' * 50 + b"1" + b"}" * 50)
    assert max(path.count(".") for path in survey(deep).paths) == MAX_DEPTH - 1


def test_encodings_envelopes_keys_and_headers_are_counted():
    plain = {"segment_id": "S", "predicted_speed": 50}
    lines = list(
        survey(
            record(plain, b"S", [("ce_specversion", b"1.0")]),
            record([plain], b'{"id": 1}'),
            record({"schema": 0, "payload": {"op": "c", "after": plain}}, (5).to_bytes(4, "big")),
            record(gzip.compress(b"{}"), b"\xff"),
            record(b"\x00\x00\x00\x04\xd2\x10avro"),
            record(b"{}\n{}"),
            record(b"Obj\x01avro"),
            record(b"LA_001,61"),
            record("{}".encode("utf-16")),
            record(None),
        ).lines()
    )
    assert lines[0] == (
        "values: JSON object, CloudEvents in headers 1; JSON array 1; JSON object, Kafka Connect, Debezium 1; gzip 1; "
        "schema registry, schema id 1234 1; lines 1; Avro container 1; not_json 1; UTF-16 1; null (tombstone) 1"
    )
    assert lines[1] == "keys: none 6; text 1; json 1; int 1; bytes 1"
    assert lines[2] == "headers: 'ce_specversion' 1"
    assert lines[3] == "paths in 6 messages:"
    assert lines[4].split() == ["segment_id", "text", "3:", "'S'"]


def test_a_topic_is_inspected_and_its_mapping_works(broker, tmp_path):
    settings = Settings(kafka_brokers=broker.address, kafka_topic="inspected")
    create_topic(settings, 2)
    with_key = (5).to_bytes(8, "big")
    producer = KafkaProducer(**client_options(settings), acks="all")
    for number in range(10):
        producer.send("inspected", json.dumps(NESTED).encode(), key=with_key, partition=number % 2).get(20)
    producer.close()
    file = tmp_path / "mapping.toml"
    other = Settings(kafka_brokers=broker.address)
    done = invoke(other, "inspect", "--topic", "inspected", "--last", "6", "--write", str(file))
    assert done.exit_code == 0, done.output
    output = done.output.splitlines()
    assert output[:4] == ["records: 6", "values: JSON object 6", "keys: long 6", "headers: none"]
    assert "understood: 0 of 6" in output
    assert output[-2].startswith("refused (no_segment): 6; the first: neither segment_id nor sensor_id is given")
    assert output[-1] == f"written to {file}; check its guesses, then set KAFKA_TOPIC=inspected MAPPING_FILE={file}"
    again = invoke(Settings(kafka_brokers=broker.address, mapping_file=str(file)), "inspect", "--topic", "inspected")
    assert "understood: 10 of 10" in again.output.splitlines()
    refused = invoke(other, "inspect", "--topic", "inspected", "--write", str(file))
    assert refused.exit_code == 2
    assert refused.output == f"Error: {file} exists; name another file\n"


def test_a_topic_that_is_not_found_is_one_line(monkeypatch):
    monkeypatch.setattr("cli.mapping._TOPIC_SECONDS", 0.2)
    with closed_port() as address:
        done = invoke(Settings(kafka_brokers=address), "inspect", "--topic", "none")
    assert done.exit_code == 1
    assert done.output == (
        f"Error: topic none at {address} was not found in 0.2 s; `flask --app app doctor` finds the reason\n"
    )
