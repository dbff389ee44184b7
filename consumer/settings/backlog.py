"""How far back a start reads, as KAFKA_BACKLOG states it."""

import re

from msgspec import Struct


class Backlog(Struct, frozen=True):
    """How far back a start reads: `records` and `seconds` (None: without limit), whichever is less."""

    records: int | None
    seconds: float | None


_BACKLOG = re.compile(r"(?P<records>\d+)(/(?P<count>\d+)(?P<unit>[smhd]))?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_backlog(text: str) -> Backlog:
    """Read "10000/1h", "500", "0" or "all"; ValueError for anything else."""
    if text == "all":
        return Backlog(None, None)
    match = _BACKLOG.fullmatch(text)
    if match is None:
        raise ValueError("a number of records, with a time if wanted (10000, 10000/1h, 500/30m), or all")
    seconds = int(match["count"]) * _SECONDS[match["unit"]] if match["unit"] else None
    return Backlog(int(match["records"]), seconds)
