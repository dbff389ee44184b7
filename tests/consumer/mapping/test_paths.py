"""Expressions: what they find, and which are refused at the start."""

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.mapping.paths import MAX_CHARACTERS, Path

DOCUMENT = {"a": {"b": [{"c": 1}, {"c": 2}], "text": "x/y/z"}, "list": [10, 20], "no": None, "with blank": 5}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b[0].c", 1),
        ("a.b[-1].c", 2),
        ("a.b[2].c", None),
        ("a.b[-3]", None),
        ("a.b.c", None),
        ("a.b[*].c", [1, 2]),
        ("a.b[?c > `1`].c | [0]", 2),
        ("list[1]", 20),
        ("list.x", None),
        ("a.text[0]", None),
        ("no.x.y", None),
        ('"with blank"', 5),
        ("split(a.text, '/')[-1]", "z"),
        ("split(a.text, '')", ["x/y/z"]),
        ("split(list, '/')", None),
        ("length(no)", None),
        ("[list[1], list[0]]", [20, 10]),
        ("@", DOCUMENT),
    ],
)
def test_an_expression_finds_what_jmespath_defines(text, expected):
    assert Path(text)(DOCUMENT) == expected


VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=12,
)


@given(VALUES, st.sampled_from(["a[]", "a.b[]", "a[0][]", "a[-1].b[]", "a[].b", "a[][]", "a[*]", "[]", "@[]"]))
def test_expressions_for_arrays_equal_jmespath(value, text):
    assert Path(text)(value) == jmespath.search(text, value)


@pytest.mark.parametrize("value", [None, 5, "text", [], {}, True])
@pytest.mark.parametrize("text", ["a", "a.b", "a.b.c", "[0]", "a[0].b", "a[].b", "keys(@)"])
def test_no_value_makes_an_expression_fail(text, value):
    Path(text)(value)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "is no expression"),
        ("a..b", "is no expression"),
        ("a[", "is no expression"),
        ("a b", "is no expression"),
        ("x" * (MAX_CHARACTERS + 1), "allowed: at most 300"),
        ("!" * 20 + "a", "allowed: at most 16 levels"),
        ("(" * 280, "is no expression"),
        ("||".join(["a"] * 60), "allowed: at most"),
        ("[@,@]|[@,@]|[@,@]|[@,@]|[@,@]", "may copy a part of a message 32 times; allowed: at most 16"),
        ("a[*].[@,@,@,@].{a: @, b: @, c: @, d: @, e: @}", "may copy a part of a message 20 times"),
        ("lower(a)", "there is no function lower(); allowed: abs, avg"),
        ("split(a)", "split() has 1 arguments; allowed: 2"),
        ("not_null()", "not_null() has 0 arguments; allowed: 1 or more"),
    ],
)
def test_a_wrong_or_costly_expression_is_refused(text, error):
    with pytest.raises(ValueError, match=r".") as raised:
        Path(text)
    assert error in str(raised.value)
    assert "\n" not in str(raised.value)
