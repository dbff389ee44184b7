"""Reading recorded speeds: a table of one row per step and one column per sensor, and the table of the sensors.

Both are CSV, plain or gzip. Anything that is wrong in them is an InputError that names file and line and what is
allowed, and nothing is published then.
"""

import csv
import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

MAX_MPH = 200.0
_SENSOR_COLUMNS = ("sensor_id", "latitude", "longitude", "freeway", "direction")

Rows = Iterator[tuple[int, list[str]]]


class InputError(Exception):
    """An input can't be used; the text names the file, the line, and what is allowed."""


class Sensor(NamedTuple):
    """A detector on a freeway; `direction` is that of travel."""

    sensor_id: str
    latitude: float
    longitude: float
    freeway: str
    direction: str

    @property
    def corridor(self) -> str:
        """The direction of the freeway that it stands on."""
        return f"{self.freeway} {self.direction}"


class Recording(NamedTuple):
    """Speeds in mph: `columns[i][row]` is that of `sensors[i]`."""

    sensors: list[Sensor]
    columns: list[list[float]]

    @property
    def rows(self) -> int:
        """How many steps there are."""
        return len(self.columns[0])


def read(speeds: Path, sensors: Path) -> Recording:
    """Read both files. Raises InputError."""
    known = _read_sensors(sensors)
    rows = _rows(speeds)
    line, header = _header(speeds, rows)
    unknown = [name for name in header if name not in known]
    if unknown:
        raise InputError(f"{speeds}, line {line}: sensor {unknown[0]!r} is not in {sensors}; allowed: its sensor_ids")
    if len(set(header)) < len(header):
        raise InputError(f"{speeds}, line {line}: a sensor is named twice; allowed: each sensor once")
    table = [_speeds(speeds, line, row, len(header)) for line, row in rows]
    if not table:
        raise InputError(f"{speeds}: there are no speeds in it; allowed: a header of sensor ids, then a row per step")
    return Recording([known[name] for name in header], [list(column) for column in zip(*table, strict=True)])


def _read_sensors(path: Path) -> dict[str, Sensor]:
    rows = _rows(path)
    line, header = _header(path, rows)
    missing = [name for name in _SENSOR_COLUMNS if name not in header]
    if missing:
        raise InputError(
            f"{path}, line {line}: column {missing[0]} is missing; allowed: a header with {', '.join(_SENSOR_COLUMNS)}"
        )
    places = [header.index(name) for name in _SENSOR_COLUMNS]
    found: dict[str, Sensor] = {}
    for line, row in rows:
        _check_length(path, line, row, len(header))
        sensor_id, latitude, longitude, freeway, direction = (row[place].strip() for place in places)
        if not sensor_id or sensor_id in found:
            raise InputError(f"{path}, line {line}: sensor_id {sensor_id!r}; allowed: each id once, and not empty")
        north, east = _number(path, line, latitude, -90, 90), _number(path, line, longitude, -180, 180)
        found[sensor_id] = Sensor(sensor_id, north, east, freeway, direction)
    if not found:
        raise InputError(f"{path}: there are no sensors in it; allowed: one row per sensor below the header")
    return found


def _rows(path: Path) -> Rows:
    """Yield (line number, fields) of every row that isn't blank."""
    try:
        with _open(path) as file:
            reader = csv.reader(file)
            for row in reader:
                if row:
                    yield reader.line_num, row
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; allowed: a CSV file, plain or gzip (.gz)") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: can't be read ({error}); allowed: a CSV file, plain or gzip (.gz)") from error


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _header(path: Path, rows: Rows) -> tuple[int, list[str]]:
    for line, row in rows:
        return line, [name.strip() for name in row]
    raise InputError(f"{path}: it is empty; allowed: a CSV file with a header")


def _speeds(path: Path, line: int, row: list[str], count: int) -> list[float]:
    _check_length(path, line, row, count)
    try:
        speeds = list(map(float, row))
        if min(speeds) >= 0 and max(speeds) <= MAX_MPH and not any(map(math.isnan, speeds)):
            return speeds
    except ValueError:
        pass  # said below, with the field that is to blame
    return [_number(path, line, text, 0, MAX_MPH) for text in row]


def _check_length(path: Path, line: int, row: list[str], count: int) -> None:
    if len(row) != count:
        raise InputError(f"{path}, line {line}: {len(row)} fields; allowed: {count}, as in the header")


def _number(path: Path, line: int, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise InputError(f"{path}, line {line}: {text!r}; allowed: a number from {low:g} to {high:g}")
    return value
