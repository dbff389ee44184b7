"""What predictions take in memory, in bytes: as objects, and as JSON. Pure; tests/test_memory.py measures it.

An object takes what `sys.getsizeof` says, rounded up to the 16 bytes of CPython's allocator. A text takes one, two or
four bytes per character, whichever its widest character needs, so one emoji makes a text four times as large. A text
that isn't ASCII is also kept as UTF-8 once it was encoded.
"""

from operator import attrgetter
from sys import getsizeof

from msgspec import UNSET

from consumer.prediction import Prediction

PREDICTION_BYTES = 416
"""A prediction without its texts: the struct, its numbers, and `prediction_time`."""
COORDINATES_BYTES = 96
JSON_BYTES = 270
"""A `prediction` message without its texts and coordinates: names of fields, numbers and times."""
JSON_COORDINATES_BYTES = 65
INTERVAL_BYTES = 64
JSON_INTERVAL_BYTES = 30
TEXT_BYTES = 56
"""An ASCII text without its characters, rounding included."""
JSON_TEXT_BYTES = 16
"""The name of a text's field, and quotes."""


def footprint(prediction: Prediction) -> tuple[int, int]:
    """Return the bytes that a prediction takes as an object, and those of the JSON message that carries it."""
    held, encoded = PREDICTION_BYTES, JSON_BYTES
    if prediction.coordinates is not UNSET:
        held, encoded = held + COORDINATES_BYTES, encoded + JSON_COORDINATES_BYTES
    if prediction.lower is not UNSET:
        held, encoded = held + INTERVAL_BYTES, encoded + JSON_INTERVAL_BYTES
    # This runs for every prediction with the feed locked, so the usual case, ASCII, calls as little as can be.
    texts = [text for text in _texts(prediction) if text is not UNSET]
    joined, count = "".join(texts), len(texts)
    if joined.isascii():
        return held + count * TEXT_BYTES + len(joined), encoded + count * JSON_TEXT_BYTES + len(joined)
    for text in texts:
        as_utf8 = len(text.encode())
        held += TEXT_BYTES + as_utf8 if text.isascii() else getsizeof(text) + as_utf8 + 24
        encoded += JSON_TEXT_BYTES + as_utf8
    return held, encoded


_texts = attrgetter("segment_id", "road_name", "model", "target_time", "producer_category", "source")
