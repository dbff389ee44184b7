"""Guess which path of a topic's messages is which field of a prediction, by names and values.

The result is the first version of a mapping file. Each guess is marked as one, with what it is based on.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from consumer.mapping.readers import SPEEDS
from consumer.parsing.fields import number
from consumer.parsing.refusal import shown
from consumer.times import Times

from .survey import PathSurvey

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_AHEAD = {"predicted", "prediction", "forecast", "forecasted", "pred", "next", "expected", "future", "estimated"}
_UNITS = {
    "kmh": "kmh",
    "kph": "kmh",
    "kmph": "kmh",
    "mph": "mph",
    "mps": "mps",
    "ms": "mps",
    "knots": "knots",
    "kn": "knots",
}
_SPEED = {"speed", "velocity", "vspeed", "kmh", "kph", "mph", "v85"}
_ENTITIES = {
    *("segment", "link", "road", "edge", "sensor", "station", "detector", "way", "location", "site", "street"),
    *("counter", "camera", "device"),
}
_PARTS = {"lane", "direction", "index", "channel", "number"}
"""What tells the items of one entity apart."""
_TIME = {
    "timestamp",
    "time",
    "date",
    "datetime",
    "at",
    "of",
    "measured",
    "observed",
    "updated",
    "millis",
    "ts",
    "windowend",
}
_NO_SPEED = {"limit", "free", "diff", "difference", "lower", "upper", "id", "unit", "number", "accuracy", "deviation"}
_VOLUME = {"volume", "vcount", "count", "flow", "intensity", "vehicles"}


MAX_PATH_CHARACTERS = 200
"""A longer path is no guess: an expression is bounded."""


class Guess(NamedTuple):
    """A field of the result, where in a message it seems to be, and how it is written in the file."""

    field: str
    path: str
    written: str


def _guess(paths: Mapping[str, PathSurvey]) -> tuple[str, list[Guess]]:
    """Return the array that seems to hold the items ("": the message is the item), and the guesses about an item."""
    paths = {path: survey for path, survey in paths.items() if len(path) <= MAX_PATH_CHARACTERS}
    levels = [""] + [path.removesuffix("[]") for path in paths if path.endswith("[]") and paths[path].types["object"]]
    is_named_outside = any(each.field == "segment_id" for each in _guesses(_outside(paths)))
    best: tuple[int, str, list[Guess]] = (-1, "", [])
    for level in levels:
        prefix = f"{level}[]." if level else ""
        inside = {
            path.removeprefix(prefix): survey
            for path, survey in paths.items()
            if path.startswith(prefix) and "[]" not in path.removeprefix(prefix)
        }
        found = [each._replace(path=prefix + each.path) for each in _guesses(inside)]
        fields = {each.field for each in found}
        is_named = "segment_id" in fields or (is_named_outside and not fields.isdisjoint(SPEEDS))
        score = 4 * ("predicted_speed" in fields) + 2 * is_named + ("current_speed" in fields)
        if score > best[0]:
            best = score, level, found
    _, level, found = best
    prefix = f"{level}[]." if level else ""
    if not {each.field for each in found} & set(SPEEDS):
        found += _of_first(paths, prefix)
    if level:
        found += _of_message(paths, prefix, {each.field for each in found})
    return level, found


def _outside(paths: Mapping[str, PathSurvey]) -> dict[str, PathSurvey]:
    """Return the paths that lead through no array."""
    return {path: survey for path, survey in paths.items() if "[]" not in path}


def _of_first(paths: Mapping[str, PathSurvey], prefix: str) -> Iterator[Guess]:
    """Guess speeds and volumes that are in an array of each item: the first of them counts."""
    inside = {
        path.removeprefix(prefix): survey
        for path, survey in paths.items()
        if path.startswith(prefix) and path.removeprefix(prefix).count("[]") == 1
    }
    for each in _guesses(inside):
        if each.field in (*SPEEDS, "current_volume"):
            written = _written(each.field, f"{each.path} | [0]", _Evidence(each.path, inside[each.path]))
            yield Guess(each.field, prefix + each.path, written)


def _of_message(paths: Mapping[str, PathSurvey], prefix: str, found: set[str]) -> Iterator[Guess]:
    """Guess what items do not have, but the message around them: time, place, and the entity that they are parts of."""
    wanted = {"timestamp", "segment_id"} - found
    if found.isdisjoint((*_PAIR, "coordinates")):
        wanted |= {*_PAIR, "coordinates"}
    inside = {path: _Evidence(path, each) for path, each in paths.items() if path.startswith(prefix)}
    part = next((path for path, each in inside.items() if each.are_ids and set(each.last) & _PARTS), None)
    for each in _guesses(_outside(paths), "$message."):
        if each.field == "segment_id" in wanted and part is not None:
            part = part.removeprefix(prefix)
            if "[]" not in part and not {"{", "}"} & {*part, *each.path}:
                text = _toml(f"{{$message.{each.path}}}-{{{part}}}")
                each = each._replace(written=f"{{ text = {text} }}")  # noqa: PLW2901
        if each.field in wanted:
            yield each


def _guesses(paths: Mapping[str, PathSurvey], root: str = "") -> Iterator[Guess]:
    used: set[str] = set()
    evidence = {path: _Evidence(path, survey) for path, survey in paths.items()}
    for field, rank_of in _RANKS.items():
        ranked = [(rank_of(each), path) for path, each in evidence.items() if path not in used]
        rank, path = max(ranked, key=lambda each: each[0], default=(0, ""))
        if rank > 0:
            used.add(path)
            yield Guess(field, path, _written(field, root + path, evidence[path]))


def _words(path: str) -> list[str]:
    """Return the words in the last name of a path, in lower case."""
    return [word.lower() for word in _WORDS.findall(path.rpartition(".")[2])]


_read_time = Times(UTC).read
_TIME_FORMATS = ("%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M")
"""Formats other than ISO 8601 that are not ambiguous; 01/02/2025 14:00 may be in January or in February."""
_POINTS = re.compile(r"-?\d{1,2}\.\d{3,},-?\d{1,3}\.\d{3,}(?: .*)?", re.ASCII | re.DOTALL)
_ZONE = re.compile(r"Z|UTC|GMT|[-+]\d\d", re.ASCII | re.IGNORECASE)


def _time_format(values: list[Any]) -> str | None:
    """Return the format in which all values are times; None if there is none."""
    return next((each for each in _TIME_FORMATS if values and all(_is_time(value, each) for value in values)), None)


def _is_time(value: object, time_format: str) -> bool:
    try:
        return isinstance(value, str) and bool(datetime.strptime(value, time_format))
    except ValueError:
        return False


def _has_no_zone(value: object) -> bool:
    after_the_date = value[10:] if isinstance(value, str) and number(value) is None else "Z"
    return _ZONE.search(after_the_date) is None


class _Evidence:
    """What a path says about its values: the words of its name, and what all of the examples are."""

    def __init__(self, path: str, survey: PathSurvey) -> None:
        values = survey.examples
        self.last = _words(path)
        self.words = {*self.last, "".join(self.last), *(word.lower() for word in _WORDS.findall(path))}
        self.is_ahead = bool(self.words & _AHEAD)
        self.are_ids = bool(values) and not any(isinstance(each, float | bool) for each in values)
        self.are_numbers = bool(values) and all(number(each) is not None for each in values)
        self.are_texts = bool(values) and all(isinstance(each, str) and number(each) is None for each in values)
        self.time_format = _time_format(values)
        are_known_times = bool(values) and all(_read_time(each) is not None for each in values)
        self.are_times = are_known_times or self.time_format is not None
        self.have_no_zone = any(map(_has_no_zone, values))
        self.are_points = self.are_texts and all(_POINTS.fullmatch(each) for each in values)

    def has(self, names: set[str]) -> bool:
        return bool(self.words & names)

    def is_speed(self) -> int:
        if not self.are_numbers or not self.has(_SPEED) or self.has(_NO_SPEED):
            return 0
        return 2 if {*self.last, "".join(self.last)} & _SPEED else 1

    def is_segment(self) -> int:
        if not self.are_ids:
            return 0
        if self.has(_ENTITIES):
            return 3 if self.has({"id", "uuid"}) else int(self.are_texts)
        return 2 if self.last == ["id"] else 0


_RANKS: dict[str, Callable[[_Evidence], int]] = {
    "predicted_speed": lambda path: path.is_speed() if path.is_ahead else 0,
    "current_speed": lambda path: 0 if path.is_ahead else path.is_speed(),
    "segment_id": _Evidence.is_segment,
    "timestamp": lambda path: path.are_times and path.has(_TIME) + path.has({"timestamp"}) - path.has(_AHEAD),
    "prediction_time": lambda path: path.are_times and path.is_ahead and not path.has({"for", "target", "valid"}),
    "horizon_minutes": lambda path: path.are_numbers and path.has({"horizon", "ahead", "lead"}),
    "current_volume": lambda path: path.are_numbers and path.has(_VOLUME) and not path.is_ahead,
    "latitude": lambda path: path.are_numbers and path.has({"latitude", "lat"}),
    "longitude": lambda path: path.are_numbers and path.has({"longitude", "lon", "lng"}),
    "coordinates": lambda path: path.are_points,
    "road_name": lambda path: path.are_texts and path.has({"road", "street", "name", "description"}),
    "confidence": lambda path: path.are_numbers and path.has({"confidence"}),
    "model": lambda path: path.are_texts and path.has({"model"}),
}
"""By field, how well a path fits; 0 if it doesn't. In this order: a path is used once."""


def _written(field: str, path: str, evidence: _Evidence) -> str:
    """Return a field as it is written in a mapping file."""
    if field in ("timestamp", "prediction_time") and evidence.have_no_zone:
        time_format = f", format = {_toml(evidence.time_format)}" if evidence.time_format is not None else ""
        return f"{{ from = {_toml(path)}{time_format} }}"
    if field == "coordinates":
        return _toml(f"split(split({path}, ' ')[0], ',')")
    said = _words(path.removesuffix(" | [0]"))
    unit = next((_UNITS[word] for word in said if word in _UNITS), None)
    if field in SPEEDS and unit is not None:
        return f'{{ from = {_toml(path)}, unit = "{unit}" }}'
    if field == "horizon_minutes" and (unit := next((each for each in said if each in _HORIZON_UNITS), None)):
        return f'{{ from = {_toml(path)}, unit = "{_HORIZON_UNITS[unit]}" }}'
    return _toml(path)


_HORIZON_UNITS = {"seconds": "seconds", "sec": "seconds", "s": "seconds", "hours": "hours", "h": "hours"}


def _toml(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_PAIR = ("latitude", "longitude")
_NO_ZONE = """\
# These times name no zone. They are read in PRODUCER_TIMEZONE, which is UTC by default. Another zone is set so:
# { from = …, zone = "America/New_York" }"""
_ORDER = ("segment_id", "timestamp", *(field for field in _RANKS if field not in ("segment_id", "timestamp")))


def _missing(survey: PathSurvey) -> list[str]:
    """Return a comment on speeds that may stand for a missing one."""
    if not survey.not_positive:
        return []
    values, count = ", ".join(map(json.dumps, survey.not_positive)), survey.not_positive.total()
    return [
        f"# {count} of {survey.types.total()} are 0 or less. If that means that nothing was measured:",
        f"# {{ from = …, missing = [{values}] }}",
    ]


def mapping_text(topic: str, paths: Mapping[str, PathSurvey], key: str) -> str:
    """Return a mapping file with the guesses; what is needed and was not found is a comment to fill in."""
    each, found = _guess(paths)
    lines = [
        f"# A first mapping of the topic {topic}, from the names and values of its last messages.",
        "# All of it is guessed: check each line. docs/mapping.md has the reference.",
        "",
        "[[shape]]",
        f"topic = {_toml(topic)}",
    ]
    lines += [f"each = {_toml(each + '[]')}  # guess"] if each else []
    lines += [f'key = "{key}"  # guess'] if key in ("json", "long", "int") else []
    lines += ["", "[shape.fields]"]
    by_field = {one.field: one for one in found}
    has_pair = all(field in by_field for field in _PAIR)
    for field in _ORDER:
        one = by_field.get(field)
        is_of_other_place = (field in _PAIR and not has_pair) or (field == "coordinates" and has_pair)
        if one is not None and not is_of_other_place:
            values = paths[one.path].examples
            unit = "" if field not in SPEEDS or "unit =" in one.written else "; without unit, in SPEED_UNIT"
            lines.append(f"{field} = {one.written}  # guess: {', '.join(shown(value) for value in values)}{unit}")
            lines += _missing(paths[one.path]) if field in SPEEDS else []
            if field == "timestamp" and any(map(_has_no_zone, values)):
                lines.append(_NO_ZONE)
        elif field == "segment_id" and key in ("text", "long", "int"):
            lines.append('segment_id = "$key"  # guess: the key of the record')
        elif field == "segment_id":
            lines.append('# segment_id = ""  # not found, and needed')
        elif field == "predicted_speed" and "current_speed" not in by_field:
            lines.append('# predicted_speed = ""  # not found, and needed; or current_speed, if speeds are measured')
        elif field == "timestamp":
            lines.append('# timestamp = ""  # not found; without it, Kafka\'s time of the record is used')
        elif field == "coordinates" and not has_pair:
            lines.append('# coordinates = ""  # not found; without it, segments are not on the map')
    return "\n".join(lines) + "\n"
