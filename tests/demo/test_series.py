import gzip
from datetime import datetime

import pytest

from demo.series import InputError, Sensor, read
from tests.demo.recordings import SENSORS, recording, write

SENSORS_CSV = "sensor_id,latitude,longitude,freeway,direction\n1,34.1,-118.2,I5,N\n2,34.2,-118.3,I5,S\n"


@pytest.mark.parametrize("name", ["speeds.csv", "speeds.csv.gz"])
def test_a_recording_is_read_plain_or_gzipped(tmp_path, name):
    made = recording(days=1)
    found = read(*write(tmp_path, made, name))
    assert found.sensors == made.sensors
    assert list(map(list, found.columns)) == made.columns


def test_columns_have_any_order_and_blank_lines_are_skipped(tmp_path):
    (tmp_path / "speeds.csv").write_text("\ufeff2,1\n\n10,20\n11,21.5\n\n", encoding="utf-8")
    (tmp_path / "sensors.csv").write_text(
        "direction,freeway,note,sensor_id,longitude,latitude\nN,I5,x,1,-118,34\nS,I5,y,2,-118,34\n"
    )
    found = read(tmp_path / "speeds.csv", tmp_path / "sensors.csv")
    assert found.sensors == [Sensor("2", 34, -118, "I5", "S"), Sensor("1", 34, -118, "I5", "N")]
    assert list(map(list, found.columns)) == [[10, 11], [20, 21.5]]
    assert found.rows == 2


def test_a_corridor_is_freeway_and_direction():
    assert SENSORS[0].corridor == "US101 N"


METR_LA_SENSORS = "index,sensor_id,latitude,longitude\n0,773869,34.15497,-118.31829\n1,767541,34.11621,-118.23799\n"
PEMS_BAY_SENSORS = "400001,37.364085,-121.901149\n400017,37.253303,-121.945440\n"


@pytest.mark.parametrize(
    ("sensors", "ids"), [(METR_LA_SENSORS, ["773869", "767541"]), (PEMS_BAY_SENSORS, ["400001", "400017"])]
)
@pytest.mark.parametrize("name", ["", "timestamp", "Unnamed: 0"])
def test_metr_la_and_pems_bay_are_read_as_published(tmp_path, sensors, ids, name):
    (tmp_path / "sensors.csv").write_text(sensors)
    (tmp_path / "speeds.csv").write_text(
        f"{name},{','.join(ids)}\n2017-03-12 01:50:00,64.375,\n2017-03-12 01:55:00,NaN,67.625\n"
        "2017-03-12 03:00:00,0.0,61.5\n"
    )
    found = read(tmp_path / "speeds.csv", tmp_path / "sensors.csv")
    assert [(each.sensor_id, each.corridor.strip()) for each in found.sensors] == [(ids[0], ""), (ids[1], "")]
    assert (found.start, found.step_seconds) == (datetime(2017, 3, 12, 1, 50), 300)
    assert str(list(map(list, found.columns))) == "[[64.375, nan, 0.0], [nan, 67.625, 61.5]]"


def test_the_missing_value_is_read_as_no_speed(tmp_path):
    (tmp_path / "sensors.csv").write_text(SENSORS_CSV)
    (tmp_path / "speeds.csv").write_text("1,2\n0.0,60\n0,61\n5,62\n")
    found = read(tmp_path / "speeds.csv", tmp_path / "sensors.csv", missing=0)
    assert str(list(map(list, found.columns))) == "[[nan, nan, 5.0], [60.0, 61.0, 62.0]]"


@pytest.mark.parametrize(
    ("speeds", "said"),
    [
        ("", "speeds.csv: the file is empty; allowed: a CSV file with a header"),
        ("1,2\n", "speeds.csv: no rows of speeds; allowed: a header of sensor ids, then a row per step"),
        ("1,3\n60,60\n", "speeds.csv, line 1: sensor '3' is not in {sensors}; allowed: a sensor_id of that file"),
        ("1,1\n60,60\n", "speeds.csv, line 1: two columns of one sensor; allowed: each sensor once"),
        ("1,2\n60,60\n60\n", "speeds.csv, line 3: 1 fields; allowed: 2, as in the header"),
        ("1,2\n60,60,60\n", "speeds.csv, line 2: 3 fields; allowed: 2, as in the header"),
        ("1,2\n60,fast\n", "speeds.csv, line 2: 'fast'; allowed: a number from 0 to 200"),
        ("1,2\n,nan\n", "speeds.csv: all speeds are missing; allowed: at least one number"),
        (",1,2\nnoon,60,60\n", "speeds.csv, line 2: 'noon'; allowed: a time like 2012-03-01 00:05:00"),
        (
            ",1,2\n2012-03-01 00:00,60,60\n2012-03-01 00:00,60,60\n",
            "speeds.csv, line 3: '2012-03-01 00:00'; allowed: a time after that of the previous row",
        ),
        (
            ",1,2\n2012-03-01 00:00,6,6\n2012-03-01 00:05,6,6\n2012-03-01 00:15,6,6\n",
            "speeds.csv, line 4: '2012-03-01 00:15'; allowed: 300 s after the previous row",
        ),
        ("1,2\n60,inf\n", "speeds.csv, line 2: 'inf'; allowed: a number from 0 to 200"),
        ("1,2\n-1,60\n", "speeds.csv, line 2: '-1'; allowed: a number from 0 to 200"),
        ("1,2\n60,200.5\n", "speeds.csv, line 2: '200.5'; allowed: a number from 0 to 200"),
    ],
)
def test_wrong_speeds_are_refused_with_file_and_line(tmp_path, speeds, said):
    (tmp_path / "speeds.csv").write_text(speeds)
    sensors = tmp_path / "sensors.csv"
    sensors.write_text(SENSORS_CSV)
    with pytest.raises(InputError) as refused:
        read(tmp_path / "speeds.csv", sensors)
    assert str(refused.value) == f"{tmp_path}/" + said.format(sensors=sensors)


@pytest.mark.parametrize(
    ("sensors", "said"),
    [
        ("", "the file is empty; allowed: a CSV file with a header"),
        ("sensor_id,latitude,longitude,freeway,direction\n", "no sensors; allowed"),
        (
            "sensor_id,latitude,freeway,direction\n",
            "line 1: column longitude is missing; allowed: a header with sensor_id,",
        ),
        (SENSORS_CSV + "2,34,-118,I5,N\n", "line 4: sensor_id '2'; allowed: each id once, and not empty"),
        (SENSORS_CSV + ",34,-118,I5,N\n", "line 4: sensor_id ''; allowed: each id once, and not empty"),
        (SENSORS_CSV + "3,34,-118,I5\n", "line 4: 4 fields; allowed: 5, as in the header"),
        (SENSORS_CSV + "3,north,-118,I5,N\n", "line 4: 'north'; allowed: a number from -90 to 90"),
        (SENSORS_CSV + "3,34,-181,I5,N\n", "line 4: '-181'; allowed: a number from -180 to 180"),
    ],
)
def test_wrong_sensors_are_refused_with_file_and_line(tmp_path, sensors, said):
    (tmp_path / "speeds.csv").write_text("1,2\n60,60\n")
    (tmp_path / "sensors.csv").write_text(sensors)
    with pytest.raises(InputError) as refused:
        read(tmp_path / "speeds.csv", tmp_path / "sensors.csv")
    assert str(refused.value).startswith(str(tmp_path / "sensors.csv"))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.csv", None, "no such file"),
        ("speeds.csv.gz", b"1,2\n60,60\n", "can't be read (Not a gzipped file"),
        ("cut.csv.gz", gzip.compress(b"1,2\n60,60\n" * 1000, mtime=0)[:-20], "can't be read ("),
        ("latin.csv", b"1,2\n60,\xe4\n", "can't be read ("),
    ],
)
def test_an_unreadable_file_is_refused(tmp_path, name, content, said):
    (tmp_path / "sensors.csv").write_text(SENSORS_CSV)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as refused:
        read(tmp_path / name, tmp_path / "sensors.csv")
    assert str(refused.value).startswith(f"{tmp_path / name}: {said}")
    assert "allowed: a CSV file, plain or gzip (.gz)" in str(refused.value)
