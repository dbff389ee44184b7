"""Read recorded speeds: a table with a row per step and a column per sensor, and a table of the sensors.

Both are CSV, plain or gzip. METR-LA and PEMS-BAY are read as published: the first column may hold times, and the sensor
files of DCRNN name no roads; that of PEMS-BAY has no header. An empty cell or NaN is a missing speed. An InputError
names the file, the line and what is allowed.
"""

import csv
import gzip
import math
import zlib
from array import array
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

MAX_MPH = 200.0
MISSING = math.nan
_SENSOR_COLUMNS = ("sensor_id", "latitude", "longitude")
_ROAD_COLUMNS = ("freeway", "direction")
_CLOCK_CHANGE = timedelta(hours=1)

Rows = Iterator[tuple[int, list[str]]]


class InputError(Exception):
    """An input can't be used; the text names the file, the line, and what is allowed."""


class Sensor(NamedTuple):
    """A detector; `freeway` and `direction` of travel are empty where the file names no roads."""

    sensor_id: str
    latitude: float
    longitude: float
    freeway: str
    direction: str

    @property
    def corridor(self) -> str:
        """Freeway and direction, such as "US101 N"."""
        return f"{self.freeway} {self.direction}"


class Recording(NamedTuple):
    """Speeds in mph: `columns[i][row]` is the speed at `sensors[i]`, NaN where it is missing.

    `start` is the local time of the first row, `step_seconds` the time between two rows. Both are None where the file
    has no times.
    """

    sensors: Sequence[Sensor]
    columns: Sequence[Sequence[float]]
    start: datetime | None = None
    step_seconds: int | None = None

    @property
    def rows(self) -> int:
        """Number of steps."""
        return len(self.columns[0])


def read(speeds: Path, sensors: Path, missing: float | None = None) -> Recording:
    """Read both files; a speed that equals `missing` counts as missing. Raises InputError."""
    known = _read_sensors(sensors)
    rows = _rows(speeds)
    line, header = _header(speeds, rows)
    times = _TimeColumn(speeds) if header[0] not in known and len(header) > 1 and _names_time(header[0]) else None
    names = header[1:] if times else header
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"{speeds}, line {line}: sensor {unknown[0]!r} is not in {sensors}; allowed: a sensor_id of that file"
        )
    if len(set(names)) < len(names):
        raise InputError(f"{speeds}, line {line}: two columns of one sensor; allowed: each sensor once")
    table = array("d")  # row by row; with lists of floats, METR-LA would take four times the memory
    for line, row in rows:
        _check_length(speeds, line, row, len(header))
        if times:
            times.take(line, row.pop(0))
        table.extend(_speeds(speeds, line, row, missing))
    if not table:
        raise InputError(f"{speeds}: no rows of speeds; allowed: a header of sensor ids, then a row per step")
    columns = [table[index :: len(names)] for index in range(len(names))]
    if all(map(math.isnan, chain.from_iterable(columns))):
        raise InputError(f"{speeds}: all speeds are missing; allowed: at least one number")
    return Recording([known[name] for name in names], columns, *(times.result() if times else ()))


def _names_time(name: str) -> bool:
    """Return whether a column has times by its name; pandas leaves the name of an index empty."""
    return name.lower() in ("", "unnamed: 0", "index", "time", "timestamp", "date", "datetime")


class _TimeColumn:
    """Checks the column of times: all steps are equal, except at a daylight saving change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._step: timedelta | None = None

    def take(self, line: int, text: str) -> None:
        """Check the time of the next row."""
        try:
            at = datetime.fromisoformat(text.strip()).replace(tzinfo=None)
        except ValueError:
            raise InputError(f"{self._path}, line {line}: {text!r}; allowed: a time like 2012-03-01 00:05:00") from None
        if self._last is None:
            self._first = at
        elif self._step is None:
            self._step = at - self._last
            if self._step < timedelta(seconds=1):
                raise InputError(f"{self._path}, line {line}: {text!r}; allowed: a time after that of the previous row")
        elif at - self._last not in (self._step, self._step + _CLOCK_CHANGE, self._step - _CLOCK_CHANGE):
            seconds = self._step.total_seconds()
            raise InputError(f"{self._path}, line {line}: {text!r}; allowed: {seconds:g} s after the previous row")
        self._last = at

    def result(self) -> tuple[datetime | None, int | None]:
        """Return the first time, and the seconds between two rows."""
        return self._first, int(self._step.total_seconds()) if self._step else None


def _read_sensors(path: Path) -> dict[str, Sensor]:
    rows = _rows(path)
    line, header = _header(path, rows)
    if len(header) == len(_SENSOR_COLUMNS) and _is_number(header[1]) and _is_number(header[2]):
        rows, header = chain([(line, header)], rows), list(_SENSOR_COLUMNS)
    missing = [name for name in _SENSOR_COLUMNS if name not in header]
    if missing:
        raise InputError(
            f"{path}, line {line}: column {missing[0]} is missing; allowed: a header with {', '.join(_SENSOR_COLUMNS)}"
            f" optionally {', '.join(_ROAD_COLUMNS)}, or these three columns without a header"
        )
    columns = [header.index(name) for name in _SENSOR_COLUMNS]
    roads = [header.index(name) if name in header else None for name in _ROAD_COLUMNS]
    found: dict[str, Sensor] = {}
    for line, row in rows:
        _check_length(path, line, row, len(header))
        sensor_id, latitude, longitude = (row[column].strip() for column in columns)
        freeway, direction = ("" if column is None else row[column].strip() for column in roads)
        if not sensor_id or sensor_id in found:
            raise InputError(f"{path}, line {line}: sensor_id {sensor_id!r}; allowed: each id once, and not empty")
        north, east = _number(path, line, latitude, -90, 90), _number(path, line, longitude, -180, 180)
        found[sensor_id] = Sensor(sensor_id, north, east, freeway, direction)
    if not found:
        raise InputError(f"{path}: no sensors; allowed: one row per sensor below the header")
    return found


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _rows(path: Path) -> Rows:
    """Yield (line number, fields) of every row that is not blank."""
    try:
        with _open(path) as file:
            reader = csv.reader(file)
            for row in reader:
                if row:
                    yield reader.line_num, row
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; allowed: a CSV file, plain or gzip (.gz)") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: can't be read ({error}); allowed: a CSV file, plain or gzip (.gz)") from error


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _header(path: Path, rows: Rows) -> tuple[int, list[str]]:
    for line, row in rows:
        return line, [name.strip() for name in row]
    raise InputError(f"{path}: the file is empty; allowed: a CSV file with a header")


def _speeds(path: Path, line: int, row: list[str], missing: float | None) -> list[float]:
    try:
        speeds = list(map(float, row))
        if not (min(speeds) >= 0 and max(speeds) <= MAX_MPH) or any(map(math.isnan, speeds)):
            raise ValueError
    except ValueError:
        speeds = [_speed(path, line, text.strip()) for text in row]
    return speeds if missing is None else [MISSING if speed == missing else speed for speed in speeds]


def _speed(path: Path, line: int, text: str) -> float:
    return MISSING if text.lower() in ("", "nan") else _number(path, line, text, 0, MAX_MPH)


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
