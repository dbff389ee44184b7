"""Decode a message's bytes to plain JSON values.

msgspec is fast and strict. What it refuses is decoded by the standard library, which accepts NaN and Infinity (some
producers write them, and only their field is invalid), numbers beyond a double, half a surrogate pair, and a byte order
mark.
"""

import json

import msgspec

from .refusal import Refused, shown

_MOST_DIGITS = 20  # 64 bits; Python refuses to read an integer of more than 4,300
_CONFLUENT_BYTES = 5
_BOM = b"\xef\xbb\xbf"

decode_strictly = msgspec.json.Decoder().decode
"""Read strict JSON; raises ValueError or RecursionError for anything else, which `decode` may accept."""


def decode(value: bytes) -> object:
    """Read JSON in UTF-8, with or without a byte order mark; the last of two equal keys wins.

    NaN, Infinity and numbers beyond a double become floats that are not finite. Raises Refused (not_utf8, not_json).
    """
    try:
        return decode_strictly(value)
    except (ValueError, RecursionError):
        return _slow(value.removeprefix(_BOM))


def _slow(value: bytes) -> object:
    text = _text(value)
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError:
        raise Refused("not_json", "the JSON is nested too deeply") from None
    except ValueError as error:
        raise Refused("not_json", f"{shown(text)} is not JSON: {error}{_format_of(value)}") from None


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        where = f"byte {error.start} (0x{value[error.start]:02x})"
        raise Refused("not_utf8", f"{where} is not UTF-8{_format_of(value)}") from None


def _format_of(value: bytes) -> str:
    """Return the format that the first bytes of a value show, as the end of a text; "" for an unknown one."""
    if value[:2] == b"\x1f\x8b":
        return "; it begins like gzip, which ENVELOPES does not have"
    if value[:4] == b"Obj\x01":
        return "; it begins like an Avro container file: send one record per message"
    if value[:2] in (b"\xff\xfe", b"\xfe\xff") or _is_utf_16(value[:4]):
        return "; it looks like UTF-16: encode as UTF-8"
    if value[:1] == b"\0" and len(value) > _CONFLUENT_BYTES:
        schema = int.from_bytes(value[1:_CONFLUENT_BYTES], "big")
        begin = f"the wire format of a Confluent schema registry (byte 0, then schema id {schema})"
        return f"; it begins like {begin}: set SCHEMA_REGISTRY_URL"
    return ""


def _is_utf_16(begin: bytes) -> bool:
    """Tell whether two ASCII characters have a zero byte beside each."""
    return len(begin) == 4 and (
        (begin[1] == begin[3] == 0 and begin[0] in b"{[") or (begin[0] == begin[2] == 0 and begin[1] in b"{[")
    )


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)
