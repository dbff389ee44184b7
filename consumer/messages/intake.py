"""Counts of read and refused messages by reason, with an example and the field names seen.

They are for operators of a topic whose messages are refused. Memory is bounded whatever the messages are.
"""

from collections import Counter

from consumer.parsing.decode import decode
from consumer.parsing.refusal import Refused, by_reason
from consumer.sources.record import Record

from .normalised import Normalised

MAX_FIELDS = 20
MAX_FIELD_CHARACTERS = 40
MAX_LOOKED_AT = 20
"""Refused messages whose field names are read."""
MAX_EXAMPLE_CHARACTERS = 160


class Intake:
    """Counts messages and refusals. Not thread-safe."""

    def __init__(self) -> None:
        self.messages = 0
        self.observations = 0
        """Messages with an observation."""
        self.refused = 0
        """Messages without a single readable prediction or observation."""
        self.by_reason: Counter[str] = Counter()
        self.fields: list[str] = []
        self.example: str | None = None
        self._looked_at = 0

    def take(self, record: Record, normalised: Normalised) -> None:
        """Count one message."""
        self.messages += 1
        self.observations += bool(normalised.observations)
        if not normalised.refusals:
            return
        self.refused += not normalised.items
        self.by_reason.update(by_reason(normalised.refusals))
        if self.example is None:
            refusal = normalised.refusals[0]
            where = f"topic {record.topic}, partition {record.partition}, offset {record.offset}"
            value = _printable(record.value or b"", MAX_EXAMPLE_CHARACTERS)
            self.example = f"{where}: {refusal.detail[:MAX_EXAMPLE_CHARACTERS]}; it begins with {value}"
        if self._looked_at < MAX_LOOKED_AT:
            self._looked_at += 1
            self.fields += [name for name in field_names(record.value) if name not in self.fields]
            del self.fields[MAX_FIELDS:]

    def reasons(self) -> str:
        """Return the reasons with their counts and the field names seen, as part of a sentence."""
        counts = ", ".join(f"{reason} {count:,}" for reason, count in self.by_reason.most_common())
        return counts + (f"; they have the fields {', '.join(self.fields)}" if self.fields else "")


def field_names(value: bytes | None) -> list[str]:
    """Return the field names of a message, or of the first object of an array; at most MAX_FIELDS, shortened."""
    if value is None:
        return []
    try:
        document = decode(value)
    except Refused:
        return []
    if isinstance(document, list):
        document = next((item for item in document if isinstance(item, dict)), None)
    if not isinstance(document, dict):
        return []
    return [_printable(name.encode(errors="replace"), MAX_FIELD_CHARACTERS) for name in list(document)[:MAX_FIELDS]]


def _printable(text: bytes, most: int) -> str:
    """Return text on one line, with escapes for what can't be printed, cut to a length."""
    shown = text[: 4 * most].decode(errors="replace")[:most]
    return shown if shown.isprintable() else repr(shown)[1:-1][:most]
