"""The memory that predictions and observations take as objects, in bytes. Pure; tests/test_memory.py measures it.

An object takes what `sys.getsizeof` says, rounded up to the 16 bytes of CPython's allocator. A text takes one, two or
four bytes per character, whichever its widest character needs, so one emoji makes a text four times as large. A text
that isn't ASCII is also kept as UTF-8 once it was encoded.
"""

from sys import getsizeof

from msgspec import UNSET

from consumer.prediction import Observation, Prediction

PREDICTION_BYTES = 416
"""A prediction without its texts: the struct, its numbers, and `prediction_time`."""
OBSERVATION_BYTES = 208
"""An observation without its texts."""
COORDINATES_BYTES = 96
INTERVAL_BYTES = 64
TEXT_BYTES = 56
"""An ASCII text without its characters, rounding included."""


def footprint(item: Prediction | Observation) -> int:
    """Return the bytes that a prediction or an observation takes as an object."""
    # This runs for every prediction with the feed locked: a loop over the texts would take twice as long.
    held = OBSERVATION_BYTES if type(item) is Observation else PREDICTION_BYTES
    segment = item.segment_id
    held += TEXT_BYTES + len(segment) if segment.isascii() else _wide(segment)
    if (text := item.road_name) is not UNSET:
        held += TEXT_BYTES + len(text) if text.isascii() else _wide(text)
    if (text := item.model) is not UNSET:
        held += TEXT_BYTES + len(text) if text.isascii() else _wide(text)
    if (text := item.target_time) is not UNSET:
        held += TEXT_BYTES + len(text) if text.isascii() else _wide(text)
    if (text := item.producer_category) is not UNSET:
        held += TEXT_BYTES + len(text) if text.isascii() else _wide(text)
    if (text := item.source) is not UNSET:
        held += TEXT_BYTES + len(text) if text.isascii() else _wide(text)
    if item.coordinates is not UNSET:
        held += COORDINATES_BYTES
    if item.lower is not UNSET:
        held += INTERVAL_BYTES
    return held


def _wide(text: str) -> int:
    return getsizeof(text) + len(text.encode()) + 24
