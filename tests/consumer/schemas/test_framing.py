"""The wire format: which bytes refer to a schema, and which message of a Protobuf file they are."""

import pytest

from consumer.schemas.framing import message_path, schema_id


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\0\0\0\0\x07\x02a", 7),
        (b"\0\x7f\xff\xff\xff\x02", 2_147_483_647),
        (None, None),
        (b"", None),
        (b"\0\0\0\0\x07", None),
        (b'{"a": 1}', None),
        (b"\x01\0\0\0\x07\x02", None),
        ((5).to_bytes(8, "big"), None),
        ('{"a": 1}'.encode("utf-16-be"), None),
        ("[1, 2]".encode("utf-16-be"), None),
    ],
)
def test_schema_id_of_bytes(data, expected):
    assert schema_id(data) == expected


@pytest.mark.parametrize(
    ("indexes", "path"),
    [(b"\0", (0,)), (b"\x02\0", (0,)), (b"\x02\x04", (2,)), (b"\x04\x02\0", (1, 0)), (b"\x02\x80\x02", (128,))],
)
def test_message_path_of_a_payload(indexes, path):
    assert message_path(b"12345" + indexes + b"rest", 5) == (path, 5 + len(indexes))


@pytest.mark.parametrize("indexes", [b"", b"\x02", b"\x80", b"\x01\0", b"\x22" + b"\0" * 17, b"\xff" * 9])
def test_damaged_message_path_is_refused(indexes):
    with pytest.raises(ValueError, match="payload"):
        message_path(b"12345" + indexes, 5)
