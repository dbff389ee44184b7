"""What entries mean to a client that comes back: which segments it may still show though they no longer match.

The client's view is whatever it was told elsewhere, so an entry is judged beside what the view of now has instead of
it. Where that matches, a `left` can wait: the client has it, or gets it later, and if something newer is read by then
that doesn't match, it comes with a `left` of its own.
"""

from msgspec import structs

from .events import Change, Left
from .filters import LEFT, MATCH, NOTHING, OUTDATED, Filter, Verdict
from .prediction import Prediction
from .ring import Entry


class Leaving:
    """Judges entries for a client of whose view nothing is known, and remembers what it was told."""

    def __init__(self, wanted: Filter) -> None:
        self._wanted = wanted
        self._told: set[tuple[str, int | None]] = set()

    def judge(self, entry: Entry, instead: Prediction | None) -> Verdict:
        """Return what an entry means to the client; `instead` is what the view has that is newer. Once is enough."""
        verdict = self._wanted.judge_anew(entry, instead)
        if entry.prediction is None or self._key(entry) not in self._told:
            return verdict
        return {LEFT: NOTHING, OUTDATED: MATCH}.get(verdict, verdict)

    def note(self, entry: Entry, verdict: Verdict, instead: Prediction | None) -> None:
        """Remember a verdict that the client was told of."""
        if verdict in (LEFT, OUTDATED):
            self._told.add(self._key(entry))
        elif verdict == MATCH and instead is None and not entry.late:
            self._told.discard(self._key(entry))

    def _key(self, entry: Entry) -> tuple[str, int | None]:
        return entry.segment_id, entry.horizon_minutes if self._wanted.names_horizons else None


def told(entry: Entry, verdict: Verdict, is_older: bool, own_cursor: str | None, wanted: Filter) -> list[Change | Left]:
    """Return what a client is told of an entry; `is_older`: the view has a newer one, maybe read later."""
    if verdict == LEFT and entry.prediction is not None:
        return [Left(entry, own_cursor, wanted.names_horizons)]
    if is_older and entry.prediction is not None and not entry.late:
        # The client may have the newer one from another process.
        own_cursor = own_cursor or entry.cursor
        entry = entry.with_prediction(structs.replace(entry.prediction, late=True))
    change = Change(entry, own_cursor)
    return [Left(entry, None, wanted.names_horizons, moves=False), change] if verdict == OUTDATED else [change]
