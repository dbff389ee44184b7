"""Headers of a record, as Kafka encodes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.sources.record import decode_headers, encode_headers

PAIRS = st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.none() | st.text(st.characters(codec="utf-8"))))


@given(PAIRS)
def test_headers_are_read_as_they_were_written(pairs):
    raw = encode_headers([(name, None if value is None else value.encode()) for name, value in pairs])
    assert decode_headers(raw) == {name: value or "" for name, value in pairs}


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(raw):
    decode_headers(raw)


@pytest.mark.parametrize("raw", [b"\x02\x01", b"\x02\x7f", b"\x02" + b"\xff" * 50, b"\xfe\xff\xff\xff\x0f\x02a"])
def test_damaged_headers_end_where_they_can_not_be_read(raw):
    assert decode_headers(raw) == {}


def test_what_is_not_utf_8_is_left_out():
    assert decode_headers(b"\x04\x02\xff\x02a\x02b\x02c") == {"b": "c"}
