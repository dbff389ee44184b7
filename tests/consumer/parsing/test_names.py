"""Field names: which of them a message has, and that docs/messages.md lists the ones that are read."""

import re
from pathlib import Path

import pytest

from consumer.parsing import names
from consumer.parsing.names import MAX_SETS, Names, NameSets

DOCUMENT = Path(__file__).parents[3] / "docs" / "messages.md"

SCALES = {"": 1, "_mph": 2, "_kmh": 3}
PLAIN = (
    *names.SEGMENT,
    *names.EVENT_TIME,
    *names.LATE_EVENT_TIME,
    *names.PREDICTED_SPEED,
    *names.CURRENT_SPEED,
    *names.CURRENT_VOLUME,
    *names.MADE_AT,
    *names.TARGET_TIME,
    *names.MAYBE_TARGET_TIME,
    *names.CONFIDENCE,
    *names.MODEL,
    *names.CATEGORY,
    *names.COORDINATES,
    *names.TEXTS,
    names.BASE,
    *names.BASE_FIELDS,
    *(name for pair in names.BOUNDS for name in pair),
    *(name for interval in names.INTERVALS for name in interval),
)


def fields_section():
    return DOCUMENT.read_text(encoding="utf-8").partition("\n## Fields\n")[2].partition("\n## ")[0]


def words(text):
    """Return all words in the code spans of a text."""
    return {word for span in re.findall(r"`([^`]+)`", text) for word in re.findall(r"\w+", span)}


def test_every_field_name_that_is_read_is_documented():
    read = {*PLAIN, *names.HORIZON_BASES, *names.HORIZON_ENDINGS, *names.UNITS}
    assert read - words(fields_section()) == set()


def test_every_documented_field_name_is_read():
    column = [row.split("|")[2] for row in fields_section().splitlines() if row.startswith("| `")]
    documented = {
        word for cell in column for span in re.findall(r"`([a-z_.]+)`", cell) for word in re.findall(r"[a-z_]+", span)
    }
    assert {"sensor_id", "base_data", "window_end"} <= documented
    assert documented - {*PLAIN, *names.HORIZON} == set()


def test_names_keep_the_order_of_the_table_and_not_of_the_message():
    given = ("model_name", "current_speed", "sensor_id", "model", "actual_speed", "segment_id", "speed_kmh")
    found = Names(given, SCALES)
    assert found.segment == ("segment_id", "sensor_id")
    assert found.current_speed == (("actual_speed", 1), ("current_speed", 1), ("speed_kmh", 3))
    assert found.model == ("model", "model_name")
    assert found.horizon == ()
    assert found.speeds_ahead == ()
    assert not found.has_coordinates
    assert not found.has_base


def test_speeds_that_name_a_horizon_are_ordered_by_it():
    given = ("predicted_speed_1h", "predicted_speed_15min_mph", "predicted_speed_15m", "predicted_speed_x")
    assert Names(given, SCALES).speeds_ahead == (
        (15, (("predicted_speed_15m", 1), ("predicted_speed_15min_mph", 2))),
        (60, (("predicted_speed_1h", 1),)),
    )


def test_a_set_of_names_is_looked_up_once():
    sets = NameSets(SCALES)
    assert sets.of({"segment_id": 1, "speed": 2}) is sets.of({"segment_id": 3, "speed": None})
    assert sets.of({"segment_id": 1}) is not sets.of({"segment_id": 1, "speed": 2})


@pytest.mark.parametrize("name", [lambda number: f"field{number}", lambda number: "x" * 3_000 + str(number)])
def test_a_hostile_producer_fills_no_memory_with_names(name):
    sets = NameSets(SCALES)
    for number in range(2 * MAX_SETS):
        assert sets.of({name(number): 1, "speed": 2}).has_current
    assert len(sets) <= MAX_SETS
    assert sets.size_characters <= MAX_SETS * names.MAX_SET_CHARACTERS
