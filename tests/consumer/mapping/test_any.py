"""Any message gives predictions, refusals or a removal by a mapping, and never an error."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.mapping.expressions import compile_text
from consumer.mapping.file import read_shapes
from consumer.mapping.paths import MAX_COPIES, MAX_TEXT_CHARACTERS, Path
from consumer.settings import Settings
from tests.consumer.mapping.helpers import normaliser, record
from tests.properties import examples

MAPPING = """
[[shape]]
when = "a || b"
each = "a[].b[]"
key = "json"
tombstone = { text = "{$key.a}-{$key.b}" }

[shape.fields]
segment_id = { text = "{a}-{$message.b}-{$key.a}" }
timestamp = { from = "a", format = "%d.%m.%Y", zone = "Europe/Berlin" }
predicted_speed = { from = "b", unit = "knots", scale = 1e9, missing = [0, "a", true] }
horizon_minutes = { from = "a", unit = "hours" }
coordinates = { from = "a", order = "lonlat" }
current_volume = "length(b)"
confidence = "max_by(a, &b)"
road_name = "sort_by(@, &a)[0]"
model = "split(a, b)[0]"
source = "$header.a"

[[shape]]
name = "second"

[shape.fields]
segment_id = "a"
timestamp = "b"
predicted_speed = "a"
latitude = "a"
longitude = "b"
"""
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["a", "21.01.2025"])
)
NAMES = st.sampled_from(["a", "b", "op", "after", "before", "payload", "schema", "data", "specversion", "__deleted"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


@pytest.fixture(scope="module")
def normalise(tmp_path_factory):
    return normaliser(tmp_path_factory.mktemp("mapping"), MAPPING)


@examples(500)
@given(value=VALUES, key=st.none() | VALUES.map(lambda key: json.dumps(key).encode()) | st.binary(max_size=9))
def test_any_message_is_read_or_refused(normalise, value, key):
    for content in (json.dumps(value).encode(), b"\n".join([json.dumps(value).encode()] * 2), None):
        found = normalise(record(content, key))
        assert found.removal is None or found.removal
        assert not (found.removal and found.predictions)
        assert all(len(refusal.detail) < 5_000 for refusal in found.refusals)


@pytest.mark.parametrize(
    "text", ["a[*].[@, @]|[][]|[].[@, @]|[][].[@, @]|[]", "[a, a, a, a][]|[@, @, @, @][]|length(@)"]
)
def test_the_cost_of_an_expression_is_bounded_by_its_copies(text):
    """Counted in the values that it gives or measures, since time depends on the machine."""
    found = Path(text)({"a": [1] * 1_000})
    assert (found if isinstance(found, int) else len(found)) <= MAX_COPIES * 1_000


def test_an_expression_can_not_multiply_by_its_literals():
    for text in (
        " | ".join(["[*].[`[0, 0, 0, 0, 0]`][][]"] * 2),
        '[*].[`{"a": [0, 0, 0, 0], "b": [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0]]}`]',
        f"[*].['{17 * 'a,'}'][] | [*].split(@, ',')[]",
        f"[*].split('{17 * 'a,'}', ',')[]",
        f"[*].split(to_string(`{17 * '12'}`), '1')[]",
        f"[*].split(keys(`{json.dumps({17 * 'a,': 1})}`)[0], ',')[]",
        f"[*].split('{17 * 'a'}', a)[]",
    ):
        with pytest.raises(ValueError, match=r"may copy a part of a message \d+ times; allowed: at most 16"):
            Path(text)
    kinds = json.dumps(["car"] * 40)
    assert Path(f"contains(`{kinds}`, kind)")({"kind": "car"}) is True
    assert Path("split(name, ',')[0] == 'a name that is long enough'")({"name": "a,b"}) is False


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("split(id, ':')[3] || 'a long name of unknown segments'", "a long name of unknown segments"),
        ("not_null(split(id, ':')[3], 'a long name of unknown segments')", "a long name of unknown segments"),
        ("join(' - ', ['the segment', split(id, ':')[1]])", "the segment - RoadSegment"),
        ("join('-', [split(name, ' - ')[0], split(name, ' - ')[1]])", "I-405-north"),
        ("starts_with(split(id, '/')[0], 'urn:RoadSegment:LA')", True),
        ("split(split(split(name, ' - ')[1], ' / ')[0], ' | ')[0]", "north"),
    ],
)
def test_an_expression_that_splits_may_have_any_other_text(text, found):
    assert Path(text)({"id": "urn:RoadSegment:LA_001", "name": "I-405 - north"}) == found


def test_texts_that_an_expression_makes_are_bounded():
    longest = {"a": "y" * 99, "b": "x" * 100, "c": ["z" * MAX_TEXT_CHARACTERS]}
    assert len(Path("join(a, split(b, 'x'))")(longest)) == 9_900
    assert Path("join(a, split(b, 'x'))")(longest | {"b": "x" * 101}) is None
    assert Path("to_string(c)")(longest) is None
    assert len(Path(" | ".join(["to_string([@])"] * 14))({"a": '"' * 20})) <= MAX_TEXT_CHARACTERS
    assert Path("to_string([n])")({"n": 1}) == "[1]"


def test_what_items_share_is_searched_once_for_all_of_them():
    """Counted in searches, since time depends on the machine: the message is as long as all of its items."""
    searches = []

    def read_key(key):
        searches.append(key)
        return {"a": 1}

    read = compile_text("{id}-{$key.a}-{$message.b[?@=='x']|[0]}", read_key)
    message, whole = {"b": ["x"]}, record(b"{}", b"key")
    assert [read({"id": number}, message, whole) for number in range(3)] == ["0-1-x", "1-1-x", "2-1-x"]
    assert searches == [b"key"]
    assert read({"id": 1}, {"b": []}, whole) is None, "of another message in the same record"
    assert read({"id": 1}, message, record(b"{}", b"other")) == "1-1-x"
    assert searches == [b"key", b"key", b"other"]


EACH = read_shapes(MAPPING.replace("[shape.fields]", '[shape.fields]\nprediction_time = "$message.a"', 1), Settings())


@given(st.lists(VALUES, max_size=3), VALUES, st.sampled_from([None, b"text", b'{"a": 1}']))
def test_items_mapped_together_equal_items_mapped_alone(items, message, key):
    whole = record(message, key)
    shape = EACH.find({"a": 1}, whole)
    assert {"prediction_time", "source"}.isdisjoint(shape.own)
    assert {"segment_id", "coordinates"} <= shape.own
    alone = [shape.map(item, message, whole) for item in items]
    together = shape.map_all(items, message, whole)
    assert list(map(shown, together)) == list(map(shown, alone))


def shown(fields):
    """Return fields so that NaN equals NaN."""
    return {name: repr(value) for name, value in fields.items()}
