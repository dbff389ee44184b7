"""What a run of messages came to, for operators."""

import json

from consumer.messages.intake import (
    MAX_EXAMPLE_CHARACTERS,
    MAX_FIELD_CHARACTERS,
    MAX_FIELDS,
    Intake,
    field_names,
)
from consumer.messages.normalise import Normaliser
from consumer.settings import Settings
from tests.consumer.helpers import array, message, record

normalise = Normaliser(Settings())


def taken(*values):
    intake = Intake()
    for offset, value in enumerate(values):
        each = record(0, offset, value)
        intake.take(each, normalise(each))
    return intake


def test_messages_are_counted_by_reason_with_an_example_and_their_fields():
    intake = taken(
        message("A"), b'{"id": 1, "speed_kph": 5}', b'{"id": 2, "lane": 5}', b"\xff", array(message("B"), b"1")
    )
    assert (intake.messages, intake.refused) == (5, 3)
    assert intake.by_reason == {"no_segment": 2, "not_utf8": 1, "not_an_object": 1}
    assert intake.reasons().startswith("no_segment 2, ")
    assert intake.fields[:3] == ["id", "speed_kph", "lane"]
    assert intake.example.startswith(
        "topic traffic-predictions, partition 0, offset 1: neither segment_id nor sensor_id is given"
    )
    assert intake.example.endswith('it begins with {"id": 1, "speed_kph": 5}')


def test_messages_with_observations_are_counted_and_can_be_read():
    seen = b'{"segment_id": "A", "timestamp": 1700000000000, "speed": 40}'
    intake = taken(seen, message("A"), array(seen, b"7"), array(message("A"), seen), b"7")
    assert (intake.messages, intake.observations, intake.refused) == (5, 3, 1)


def test_example_and_fields_are_bounded_and_printable():
    hostile = {f"{number}\x1b[2J\n{'x' * 1_000}": number for number in range(100)}
    intake = taken(*[json.dumps(hostile).encode()] * 30, b"\x00" * 5_000)
    assert len(intake.fields) == MAX_FIELDS
    assert all(len(name) <= MAX_FIELD_CHARACTERS and name.isprintable() for name in intake.fields)
    assert len(intake.example) < 3 * MAX_EXAMPLE_CHARACTERS
    assert intake.example.isprintable()


def test_field_names_are_those_of_an_object_or_of_the_first_in_an_array():
    assert field_names(b'[1, {"a": 1}, {"b": 2}]') == ["a"]
    assert [field_names(value) for value in (None, b"[]", b"7", b"\xff", b"{")] == [[]] * 5
