"""Any mapping file can be used, or gives one clear error; one that can be used never fails on a message."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.errors import SettingsError
from consumer.mapping.file import MAX_SHAPES, load_shapes, read_shapes
from consumer.mapping.readers import RESULTS, kind_of
from consumer.messages.normalise import Normaliser
from consumer.settings import Settings
from tests.consumer.mapping.helpers import record
from tests.consumer.mapping.test_any import MAPPING, VALUES
from tests.properties import examples


def seldom(usual, odd):
    """Draw what is usual, and seldom what is odd: a file has many values, and one that is wrong is enough."""
    return st.integers(0, 29).flatmap(lambda number: odd if number == 0 else usual)


USUAL = st.sampled_from(
    ["a", "a.b", "a[]", "$message.a", "$key", "$key.a", "$header.a", "$kafka_time", "a[?b > `1`]", "split(a, '-')[0]"]
)
EXPRESSIONS = seldom(USUAL, st.text("ab.[]{}$|&`'@,*!=<>0 -", max_size=12))
TEXTS = seldom(st.sampled_from(["{a}-{b}", "{a}", "{$key}"]), st.sampled_from(["a", "{", "{a}{"]) | EXPRESSIONS)
SCALARS = st.booleans() | st.integers() | st.floats() | TEXTS
OPTIONS = {
    "from": EXPRESSIONS,
    "text": TEXTS,
    "value": SCALARS,
    "missing": st.lists(SCALARS, max_size=3),
    "unit": st.sampled_from(["mph", "kmh", "mps", "knots", "seconds", "minutes", "hours"]),
    "scale": seldom(st.floats(0.001, 1e6), st.floats() | st.integers()),
    "zone": seldom(st.sampled_from(["Europe/Berlin", "UTC"]), st.sampled_from(["Mars/X", "", "../x"])),
    "format": seldom(st.sampled_from(["%d.%m.%Y", "%H:%M", "%", "%Q"]), st.just("x")),
    "order": seldom(st.sampled_from(["latlon", "lonlat"]), st.just("other")),
}
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=2)
)


def table(options, *required):
    """Draw a table with some of these options, seldom with one that is unknown or of another type."""
    optional = {name: each for name, each in options.items() if name not in required}
    usual = st.fixed_dictionaries({name: options[name] for name in required}, optional=optional)
    odd = st.dictionaries(st.sampled_from([*options, "other"]), ANYTHING, max_size=2)
    return seldom(usual, st.builds(lambda one, other: one | other, usual, odd))


TAKES = {"speed": ["unit", "scale"], "number": ["scale"], "horizon": ["scale"], "time": ["zone", "format"]}


def field(name):
    """Draw how a field is stated, usually with the options that its kind takes."""
    options = {each: OPTIONS[each] for each in ("missing", *TAKES.get(kind_of(name), ()))}
    of_source = st.sampled_from(["from", "text", "value"]).flatmap(
        lambda source: table({source: OPTIONS[source], **options}, source)
    )
    return seldom(st.one_of(EXPRESSIONS, of_source), table(OPTIONS) | ANYTHING)


NAMES = [*RESULTS, "predicted_speed_15min", "predicted_speed_2h"]
FIELDS = {name: field(name) for name in NAMES} | {"wrong": EXPRESSIONS}


@st.composite
def fields(draw):
    """Draw the fields of a shape: usually those that are needed, and a few more."""
    more = draw(st.lists(st.sampled_from(NAMES), max_size=4)) + draw(seldom(st.just([]), st.just(["wrong"])))
    needed = draw(seldom(st.just(["segment_id", "predicted_speed"]), st.just([])))
    return {name: draw(FIELDS[name]) for name in (*needed, *more)}


SHAPE = table(
    {
        "fields": fields(),
        "name": TEXTS,
        "topic": seldom(st.sampled_from(["roads", "others"]), st.just("")),
        "when": EXPRESSIONS,
        "each": EXPRESSIONS,
        "key": seldom(st.sampled_from(["text", "json", "int", "long"]), st.just("avro")),
        "tombstone": FIELDS["segment_id"],
    },
    "fields",
)


def toml(value):
    """Return a value in TOML, in one line; text and names are printable ASCII."""
    match value:
        case bool() | str():
            return json.dumps(value)
        case int() | float():
            return repr(value)
        case list():
            return f"[{', '.join(map(toml, value))}]"
    return "{" + ", ".join(f"{json.dumps(name)} = {toml(each)}" for name, each in value.items()) + "}"


def written(shapes):
    """Return shapes as a file, each key in a line of its own."""
    lines = []
    for shape in shapes:
        lines += ["[[shape]]", *[f"{name} = {toml(each)}" for name, each in shape.items() if name != "fields"]]
        fields = shape.get("fields")
        if isinstance(fields, dict):
            lines += ["[shape.fields]", *[f"{json.dumps(name)} = {toml(each)}" for name, each in fields.items()]]
        elif fields is not None:
            lines.append(f"fields = {toml(fields)}")
    return "\n".join(lines)


def attempt(read):
    """Return what a function returns, and None; or None, and the text of its error."""
    try:
        return read(), None
    except (ValueError, SettingsError) as error:
        return None, str(error)


WHERE = re.compile(r"line (\d+): shape (\d+)( \(.*?\))?(, field \S+)?: .", re.DOTALL)


@pytest.mark.filterwarnings("ignore:deprecated string literal syntax:PendingDeprecationWarning")
@examples(150)
@given(st.lists(SHAPE, min_size=1, max_size=3), VALUES)
def test_any_shape_is_used_or_refused_with_its_line(shapes, value):
    text = written(shapes)
    usable, error = attempt(lambda: read_shapes(text, Settings()))
    if error is not None:
        where = WHERE.match(error)
        assert where is not None, error
        assert 1 <= int(where[1]) <= text.count("\n") + 1
        assert 1 <= int(where[2]) <= len(shapes)
        return
    for content in (json.dumps(value).encode(), json.dumps({"a": value, "b": value}).encode(), None):
        message = record(content, json.dumps(value).encode()[:50])
        usable.removed(message)
        document = None if content is None else json.loads(content)
        if isinstance(document, dict) and (shape := usable.find(document, message)) is not None:
            shape.map(document, document, message)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("mapping") / "mapping.toml"


VALID = MAPPING.encode()


@st.composite
def damaged(draw):
    """Draw a file that was valid before some of its bytes were changed."""
    content = bytearray(VALID)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = start + draw(st.integers(0, 20))
        content[start:end] = draw(
            st.binary(max_size=6) | st.sampled_from([b"[", b"]]", b'"', b"\n", b"=", b"{", b"a."])
        )
    return bytes(content)


@examples(100)
@given(content=st.binary(max_size=60) | damaged(), value=VALUES)
def test_any_bytes_are_a_mapping_or_one_error(file, content, value):
    file.write_bytes(content)
    settings = Settings(mapping_file=str(file))
    _, error = attempt(lambda: load_shapes(settings))
    if error is not None:
        assert error.startswith(f"MAPPING_FILE='{file}' can't be used: ")
        assert len(error) < 3_000
        return
    found = Normaliser(settings)(record(json.dumps({"a": value, "b": value}).encode()))
    assert all(len(refusal.detail) < 5_000 for refusal in found.refusals)


def test_ten_megabytes_are_refused_after_a_part_of_them(file):
    file.write_bytes(b"# comment\n" * 1_000_000)
    with pytest.raises(SettingsError, match="it has more than 262144 bytes"):
        load_shapes(Settings(mapping_file=str(file)))


def test_a_file_that_is_as_large_as_allowed_is_read(file):
    shape = '[[shape]]\nwhen = "kind == \'{0}\'"\n[shape.fields]\nsegment_id = "a"\npredicted_speed = "b"\n'
    text = "".join(shape.format(number) + f"# {'x' * 1_000}\n" for number in range(MAX_SHAPES))
    assert read_shapes(text, Settings()).find({"kind": "7"}, record(b"{}")).name == "shape 8"
