"""Why a message, or one item of it, was refused: the reasons and their texts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

RefusalReason = Literal[
    "unreadable_batch",
    "unknown_schema",
    "unusable_schema",
    "schema_unavailable",
    "not_decodable",
    "too_large",
    "not_utf8",
    "not_json",
    "not_an_object",
    "no_segment",
    "no_predicted_speed",
    "not_a_prediction",
    "not_finite",
    "absurd_speed",
    "bad_time",
    "time_in_future",
    "bad_horizon",
    "unknown_tombstone",
]
REFUSAL_REASONS: tuple[RefusalReason, ...] = get_args(RefusalReason)

MAX_SHOWN = 60
"""Length to which a value is cut in a text, in characters."""


class Refusal(NamedTuple):
    """Why something was refused.

    `index` is the item within an array (None: the whole record). `detail` is one sentence: what was wrong, the value
    (shortened and escaped) and what is allowed. `items` is the number of items of the array that it stands for, from
    `index` on, or of messages of a batch that can't be unpacked.
    """

    index: int | None  # type: ignore[assignment]  # it hides tuple.index, which is not used
    reason: RefusalReason
    detail: str
    items: int = 1
    segment_id: str | None = None
    """The segment, where it is known."""


def by_reason(refusals: Iterable[Refusal]) -> Counter[str]:
    """Count what was refused, by reason."""
    counts: Counter[str] = Counter()
    for refusal in refusals:
        counts[refusal.reason] += refusal.items
    return counts


def count_refused(refusals: Sequence[Refusal]) -> int:
    """Return the number of messages or items that the refusals stand for."""
    return sum(refusal.items for refusal in refusals) if refusals else 0


class Refused(Exception):
    """Raised inside the normaliser, and caught there, where a message can't become a prediction."""

    def __init__(self, reason: RefusalReason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.segment_id: str | None = None

    def at(self, index: int | None) -> Refusal:
        """Return the refusal of the item at `index` (None: of the whole record)."""
        return Refusal(index, self.reason, self.detail, segment_id=self.segment_id)


MAX_NAMED = 10
"""Names of an object that a text lists."""
MAX_NAME_SHOWN = 40


def top_level(item: Mapping[str, object]) -> str:
    """Return which fields an object has, as part of a text ("the object has schema, payload"); null is none."""
    given = [name for name, value in item.items() if value is not None]
    if not given:
        return "the object is empty"
    names = ", ".join(_plainly(name[:MAX_NAME_SHOWN]) for name in given[:MAX_NAMED])
    return f"the object has {names}{', …' if len(given) > MAX_NAMED else ''}"


def _plainly(text: str) -> str:
    return text if text.isprintable() and text else repr(text)


_WORDS = {dict: "an object", list: "an array", bool: "true or false", type(None): "null"}


def shown(value: object) -> str:
    """Return a JSON value for a text: at most MAX_SHOWN characters, on one line, escaped."""
    if type(value) in _WORDS:
        return _WORDS[type(value)]
    if isinstance(value, str):
        return repr(value[:MAX_SHOWN]) + ("…" if len(value) > MAX_SHOWN else "")
    # Python refuses to write out an integer of more than 4,300 digits.
    return "a huge number" if isinstance(value, int) and abs(value) >= 1 << 128 else repr(value)
