"""Decode a message's bytes to plain JSON values.

msgspec is fast and strict. What it refuses is decoded by the standard library, which accepts NaN and Infinity (some
producers write them, and only their field is invalid), numbers beyond a double, half a surrogate pair, and a byte order
mark.
"""

import json

import msgspec

from .refusal import Refused, shown

_MOST_DIGITS = 20  # 64 bits; Python refuses to read an integer of more than 4,300
_BOM = b"\xef\xbb\xbf"

_fast = msgspec.json.Decoder().decode


def decode(value: bytes) -> object:
    """Read JSON in UTF-8, with or without a byte order mark; the last of two equal keys wins.

    NaN, Infinity and numbers beyond a double become floats that are not finite. Raises Refused (not_utf8, not_json).
    """
    try:
        return _fast(value)
    except (ValueError, RecursionError):
        return _slow(value.removeprefix(_BOM))


def _slow(value: bytes) -> object:
    text = _text(value)
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError:
        raise Refused("not_json", "the JSON is nested too deeply") from None
    except ValueError as error:
        raise Refused("not_json", f"{shown(text)} is not JSON: {error}") from None


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Refused("not_utf8", f"byte {error.start} (0x{value[error.start]:02x}) is not UTF-8") from None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)
