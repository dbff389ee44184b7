"""A mapping file: errors with line, shape and field, and what each key of it does."""

import pytest

from consumer.errors import SettingsError
from consumer.mapping import lines
from consumer.mapping.file import MAX_BYTES, load_shapes, read_shapes
from consumer.mapping.lines import line_of
from consumer.messages.files import check_files
from consumer.settings import Settings
from tests.consumer.mapping.helpers import FIELDS, normaliser, predictions, record
from tests.consumer.shapes import KAFKA_MS

SHAPE = f"[[shape]]\n{FIELDS}"


def field(stated, name="segment_id"):
    """Return a file with one field in its line 5."""
    fields = {"segment_id": '"id"', "predicted_speed": '"v"'} | {name: stated}
    others = [f"{each} = {how}" for each, how in fields.items() if each != name]
    return "\n".join(["[[shape]]", "[shape.fields]", *[*others, "# comment", "# comment"][:2], f"{name} = {stated}"])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "it has no [[shape]]"),
        ("shape = 5", "it has no [[shape]]"),
        ("[[shape]\n", "at line 1"),
        (f"{SHAPE}\n[other]\nx = 1\n", "line 6: 'other' is unknown; allowed: [[shape]]"),
        (f"{SHAPE}[[shape]]\nname = 'b'\n", "line 5: shape 2 (b): the table missing required field fields"),
        (
            f"[[shape]]\nwhenever = 'a'\n{FIELDS}",
            "line 2: shape 1: the table contains unknown field whenever; allowed: fields, name",
        ),
        (f"[[shape]]\nkey = 'avro'\n{FIELDS}", "shape 1: Invalid enum value 'avro'"),
        (
            f"{SHAPE}[[shape]]\nname = 'b'\nwhen = 'a['\n{FIELDS}",
            "line 7: shape 2 (b), field when: 'a[' is no expression",
        ),
        (
            f"[[shape]]\neach = '$root.x'\n{FIELDS}",
            "line 2: shape 1, field each: $root is unknown; allowed: $message, $key",
        ),
        (field('"a..b"'), "line 5: shape 1, field segment_id: 'a..b' is no expression"),
        (field('"$kafka_time.x"', "timestamp"), "nothing can follow $kafka_time"),
        (field('"x"', "speed"), "line 5: shape 1, field speed: no such field; allowed: segment_id, timestamp"),
        (field('"x"', "predicted_speed_20000min"), "no such field"),
        (field('{ from = "a", text = "{b}" }'), "exactly one of from, text and value is needed; there are 2"),
        (field("{ missing = [0] }"), "exactly one of from, text and value is needed; there are 0"),
        (field("5"), "field segment_id: Expected object, got int; allowed: from, text, value"),
        (field('{ form = "a" }'), "the table contains unknown field form; allowed: from, text, value, missing, unit"),
        (field('{ text = "a" }'), "'a' has no expression in braces"),
        (field('{ text = "{a}}" }'), "has a brace without its other half"),
        (field('{ from = "a", unit = "mph" }'), "a text has no unit; allowed: none of them"),
        (field('{ from = "a", unit = "kn" }', "current_speed"), "Invalid enum value 'kn'"),
        (field('{ from = "a", unit = "hours" }', "current_speed"), "allowed for a speed: mph, kmh, mps, knots"),
        (field('{ from = "a", unit = "mph" }', "horizon_minutes"), "allowed for a horizon: seconds, minutes, hours"),
        (field('{ from = "a", scale = 0 }', "confidence"), "scale is 0.0; allowed: a finite number other than 0"),
        (field('{ from = "a", scale = nan }', "confidence"), "scale is nan"),
        (field('{ from = "a", zone = "Mars/X" }', "timestamp"), "zone is 'Mars/X'; allowed: a name such as"),
        (field('{ from = "a", zone = "../etc" }', "timestamp"), "zone is '../etc'"),
        (field('{ from = "a", format = "iso" }', "timestamp"), "format is 'iso'; allowed: directives"),
        (field('"lat"', "latitude"), "shape 1, field fields: latitude and longitude are needed together"),
        ('[[shape]]\n[shape.fields]\npredicted_speed = "v"', "shape 1, field fields: segment_id is needed"),
        ('[[shape]]\n[shape.fields]\nsegment_id = "v"', "field fields: predicted_speed is needed"),
        (f"[[shape]]\ntombstone = 'a['\n{FIELDS}", "line 2: shape 1, field tombstone: "),
        (SHAPE * 201, "it has 201 shapes; allowed: at most 200"),
        ("a = " + "[" * 2000 + "]" * 2000, "it is nested too deeply"),
        ("\n" + "a." * 20_000 + "b = 1", "line 2 has 40005 characters; allowed: at most 5000"),
    ],
)
def test_an_error_names_line_shape_and_field(text, error):
    with pytest.raises(ValueError, match=r".") as raised:
        read_shapes(text, Settings())
    assert error in str(raised.value)


def test_a_file_that_is_wrong_stops_the_start(tmp_path):
    file = tmp_path / "mapping.toml"
    settings = Settings(mapping_file=str(file))
    for content, error in [
        (None, "No such file"),
        (b"#" * (MAX_BYTES + 1), "it has more than 262144 bytes"),
        (b"\xff\xfe", "can't decode byte 0xff"),
        (b"[[shape]]\n[shape.fields]\n", "line 2: shape 1, field fields: segment_id is needed"),
    ]:
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(SettingsError, match=r"^MAPPING_FILE='.*mapping.toml' can't be used: ") as raised:
            check_files(settings)
        assert error in str(raised.value)
    file.write_text(SHAPE)
    assert load_shapes(settings)
    assert not load_shapes(Settings())


def test_the_search_for_a_line_is_bounded(monkeypatch):
    """Each beginning of a value of many lines is parsed in vain."""
    monkeypatch.setattr(lines, "MAX_PARSED_CHARACTERS", 50_000)
    text = "a = [\n" + "1,\n" * 50 + "]\nb = 1\n"
    assert line_of(text, ("b",)) == 53
    assert line_of("a = [\n" + "1,\n" * 800 + "]\nb = 1\n", ("b",)) is None


def test_the_line_of_a_key_is_found_in_any_notation():
    text = '# c\na = """\nx\n"""\n[b]\nc = { d = [1,\n 2] }\n[[e]]\nf = 1\n[[e]]\n\n"g h" = 2\n'
    places = {("a",): 4, ("b", "c", "d"): 7, ("e", 0, "f"): 9, ("e", 1): 10, ("e", 1, "g h"): 12, ("e", 1, "none"): 10}
    assert {keys: line_of(text, keys) for keys in places} == places


def one(tmp_path, fields, item, key=None, headers=(), **settings):
    """Return the prediction of an item by a mapping of these fields."""
    lines = {"segment_id": '{ value = "S" }', "predicted_speed": "{ value = 50 }"} | fields
    text = "[[shape]]\nkey = 'json'\n[shape.fields]\n" + "\n".join(f"{name} = {how}" for name, how in lines.items())
    (prediction,) = predictions(normaliser(tmp_path, text, **settings)(record(item, key, headers)))
    return prediction


@pytest.mark.parametrize(
    ("name", "how", "item", "expected"),
    [
        ("segment_id", '"$key.id"', {}, "K1"),
        ("segment_id", '"$header.ce_subject"', {}, "H1"),
        ("segment_id", '{ text = "{u}-{$key.id}/{n}" }', {"u": 5.0, "n": 2}, "5-K1/2"),
        ("predicted_speed", '"v"', {"v": "45.98"}, 45.98),
        ("predicted_speed", '{ from = "v", unit = "kmh" }', {"v": 100}, 62.14),
        ("predicted_speed", '{ from = "v", unit = "mph" }', {"v": "45.98"}, 45.98),
        ("predicted_speed", '{ from = "v", unit = "mps" }', {"v": 10}, 22.37),
        ("predicted_speed", '{ from = "v", unit = "knots" }', {"v": 50}, 57.54),
        ("predicted_speed", '{ from = "v", scale = 0.1 }', {"v": 455}, 45.5),
        ("current_speed", '{ from = "v", missing = [0, -1, "null"] }', {"v": 0}, None),
        ("current_speed", '{ from = "v", missing = [0, -1, "null"] }', {"v": -1.0}, None),
        ("current_speed", '{ from = "v", missing = ["0"] }', {"v": 0}, 0.0),
        ("current_speed", '{ from = "v", missing = [false] }', {"v": 0}, 0.0),
        ("current_volume", '"n"', {"n": 12}, 12.0),
        ("confidence", '{ from = "p", scale = 0.01 }', {"p": "86"}, 0.86),
        ("horizon_minutes", '{ from = "h", unit = "seconds" }', {"h": 900}, 15),
        ("horizon_minutes", '{ from = "h", unit = "hours" }', {"h": "0.5"}, 30),
        ("horizon_minutes", '"h"', {"h": "PT15M"}, 15),
        ("timestamp", '"$kafka_time"', {}, KAFKA_MS),
        ("timestamp", '"t"', {"t": 1737468300}, 1737468300000),
        ("timestamp", '{ from = "t", zone = "America/New_York" }', {"t": "2025-01-21T09:05:00.000"}, 1737468300000),
        ("timestamp", '{ from = "t", format = "%d/%m/%Y %I:%M %p" }', {"t": "21/01/2025 02:05 PM"}, 1737468300000),
        ("timestamp", '{ from = "t", format = "%Y%m%d%H%M%z" }', {"t": "202501211505+0100"}, 1737468300000),
        ("timestamp", "\"split(t, '/')[1]\"", {"t": "2025-01-21T14:00:00Z/2025-01-21T14:05:00Z"}, 1737468300000),
        ("road_name", '"road.name"', {"road": {"name": "I-10"}}, "I-10"),
        ("producer_category", '"level"', {"level": 3}, "3"),
        ("upper", '{ from = "u", unit = "kmh" }', {"u": 100}, 62.14),
    ],
)
def test_a_field_is_read_as_stated(tmp_path, name, how, item, expected):
    more = {"lower": "{ value = 0 }"} if name == "upper" else {}
    headers = [("ce_subject", b"H1"), ("bytes", b"\xff"), ("none", None)]
    prediction = one(tmp_path, {name: how} | more, item, b'{"id": "K1"}', headers)
    assert getattr(prediction, name) == expected


@pytest.mark.parametrize(
    ("how", "item"),
    [
        ('{ from = "p", order = "lonlat" }', {"p": [-118.5, 34]}),
        ('{ from = "p", order = "lonlat" }', {"p": [-118.5, 34, 12.5]}),
        ('"p"', {"p": [34, -118.5]}),
        ('"p"', {"p": {"lat": 34, "lng": -118.5}}),
        ('"p"', {"p": {"latitude": "34", "longitude": "-118.5"}}),
        ('"[p[0].y, p[0].x]"', {"p": [{"x": -118.5, "y": 34}]}),
    ],
)
def test_a_place_has_any_order(tmp_path, how, item):
    place = one(tmp_path, {"coordinates": how}, item).coordinates
    assert (place.latitude, place.longitude) == (34, -118.5)
    two = one(tmp_path, {"latitude": '"y"', "longitude": '"x"'}, {"y": "34", "x": -118.5}).coordinates
    assert two == place


def test_speeds_are_in_the_served_unit(tmp_path):
    how = {"predicted_speed": '{ from = "v", unit = "mph" }', "current_speed": '"v"'}
    prediction = one(tmp_path, how, {"v": 50}, speed_unit="kmh")
    assert (prediction.predicted_speed, prediction.current_speed) == (80.47, 50)


def test_the_first_shape_that_holds_is_used_else_the_built_in_names(tmp_path):
    fields = '[shape.fields]\npredicted_speed = "v"\nsegment_id = '
    text = (
        f"[[shape]]\nwhen = \"kind == 'a'\"\n{fields}{{ value = 'A' }}\n"
        f"[[shape]]\nwhen = '$header.type'\n{fields}{{ value = 'B' }}\n"
        f"[[shape]]\ntopic = 'other'\n{fields}{{ value = 'C' }}\n"
        f"[[shape]]\ntopic = 'traffic-predictions'\nwhen = 'list'\n{fields}{{ value = 'D' }}\n"
    )
    normalise = normaliser(tmp_path, text, kafka_prefix="pre-")
    plain = {"segment_id": "S", "predicted_speed": 50, "v": 1}
    sent = [
        (plain | {"kind": "a"}, ()),
        (plain, [("type", b"x")]),
        (plain | {"list": [0]}, ()),
        (plain | {"list": []}, ()),
    ]
    found = [predictions(normalise(record(value, None, headers)))[0] for value, headers in sent]
    assert [(each.segment_id, each.predicted_speed) for each in found] == [("A", 1), ("B", 1), ("D", 1), ("S", 50)]


def test_several_horizons_of_an_item_are_several_predictions(tmp_path):
    text = f"[[shape]]\n{FIELDS.replace('predicted_speed', 'predicted_speed_15min')}predicted_speed_1h = 'w'\n"
    found = predictions(normaliser(tmp_path, text)(record({"id": 1, "v": 40, "w": 50})))
    assert [(each.horizon_minutes, each.predicted_speed) for each in found] == [(15, 40), (60, 50)]


def test_a_refused_item_names_its_shape_and_leaves_its_neighbours(tmp_path):
    text = f"[[shape]]\nname = 'links'\neach = 'r'\n{FIELDS}"
    message = {"r": [{"id": 1, "v": 40}, {"id": 2, "speed": 1}, 5, {"id": 3, "v": 999}, {"id": 4, "v": 41}]}
    found = normaliser(tmp_path, text)(record(message))
    assert [(index, each.segment_id) for index, each in found.predictions] == [(0, "1"), (4, "4")]
    assert [(each.index, each.reason) for each in found.refusals] == [
        (1, "no_predicted_speed"),
        (2, "no_segment"),
        (3, "absurd_speed"),
    ]
    assert found.refusals[0].detail.endswith(
        "the object has segment_id; mapped by the shape 'links' of MAPPING_FILE; the object has id, speed"
    )


@pytest.mark.parametrize(
    ("message", "reason", "detail"),
    [
        ({}, "not_an_object", "each of the shape 'shape 1' finds null in the message; allowed: an array"),
        ({"r": {"id": 1}}, "not_an_object", "finds an object in the message; allowed: an array"),
        ({"r": [0] * 10_001}, "too_large", "finds 10001 items; allowed: at most 10000"),
        ([{"r": [0] * 6_000}] * 2, "too_large", "gives more than 10000 items"),
    ],
)
def test_a_message_without_usable_items_is_refused(tmp_path, message, reason, detail):
    found = normaliser(tmp_path, f"[[shape]]\neach = 'r'\n{FIELDS}")(record(message))
    (refusal,) = found.refusals
    assert (found.predictions, refusal.index, refusal.reason) == ([], None, reason)
    assert detail in refusal.detail


def test_a_message_with_an_empty_array_gives_nothing(tmp_path):
    found = normaliser(tmp_path, f"[[shape]]\neach = 'r'\n{FIELDS}")(record({"r": []}))
    assert (found.predictions, found.refusals, found.removal) == ([], [], None)


@pytest.mark.parametrize(
    ("shape", "key", "removed"),
    [
        ("key = 'long'", (4616337).to_bytes(8, "big"), "4616337"),
        ("key = 'int'", (717447).to_bytes(4, "big"), "717447"),
        ("key = 'json'\ntombstone = '$key.id'", b'{"id": 7}', "7"),
        ("key = 'json'\ntombstone = '$key.id'", b'{"schema": {}, "payload": {"id": "A"}}', "A"),
        ("key = 'json'\ntombstone = { text = '{$key.u}-{$key.v}' }", b'{"u": 1, "v": 2}', "1-2"),
        ("tombstone = '$header.segment'", b"x", "H1"),
    ],
)
def test_a_tombstone_names_its_segment_by_mapping(tmp_path, shape, key, removed):
    normalise = normaliser(tmp_path, f"[[shape]]\n{shape}\n{FIELDS}")
    found = normalise(record(None, key, [("segment", b"H1")]))
    assert (found.predictions, found.refusals, found.removal) == ([], [], removed)


def test_a_key_that_is_not_as_stated_is_read_as_text(tmp_path):
    normalise = normaliser(tmp_path, f"[[shape]]\nkey = 'long'\n{FIELDS}")
    assert normalise(record(None, b"abc")).removal == "abc"


def test_a_deleted_row_is_mapped(tmp_path):
    normalise = normaliser(tmp_path, f"[[shape]]\nkey = 'json'\ntombstone = '$key.id'\n{FIELDS}")
    event = {"op": "d", "before": {"id": 5, "v": 40}, "after": None}
    assert normalise(record(event)).removal == "5"
    assert normalise(record(event | {"before": None}, b'{"id": 6}')).removal == "6"
    assert [
        each.segment_id for each in predictions(normalise(record(event | {"op": "c", "after": {"id": 7, "v": 40}})))
    ] == ["7"]


def test_a_mapped_message_is_the_same_in_both_ways_of_reading(tmp_path):
    """A text for the model is read at once, a number is not; the rest of the result is the same."""
    text = f"[[shape]]\n{FIELDS}timestamp = 't'\nmodel = 'm'\nhorizon_minutes = 'h'\n"
    normalise = normaliser(tmp_path, text)
    item = {"id": "A", "v": 45.5, "t": 1737468300000, "h": 15}
    quick, slow = [predictions(normalise(record(item | {"m": model})))[0] for model in ("7", 7)]
    assert quick == slow
