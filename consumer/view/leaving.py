"""What entries mean to a client that comes back: which segments it may still show though they no longer match.

The client's view is whatever it was told elsewhere, so an entry is judged beside what the view of now has instead of
it. Where that matches, a `left` can wait: the client has it, or gets it later, and if something newer is read by then
that doesn't match, it comes with a `left` of its own. A client that was given a view first shows what that has, and
what it was told as news since, which a view may not know: of a segment before the process' backlog, or one that had to
make room. So of what lies before that view, what doesn't match means something only after such news.
"""

from collections.abc import Callable, Iterator, Sequence

from msgspec import structs

from consumer.events import Change, Evicted, EvictedReason, Left, Shown
from consumer.prediction import Horizon, Prediction

from .cursor import Places
from .filters import LEFT, MATCH, NOTHING, OUTDATED, Filter, Verdict
from .latest import rank
from .ring import Entry

InsteadOf = Callable[[Entry, Filter], Prediction | None]
"""Asks the view for what it has that is newer than an entry, as Feed.instead_of() does."""


class Leaving:
    """Judges entries for a client of whose view nothing else is known, and remembers what it was told.

    `viewed`: the places of a view that the client was given first, if it was. All that the client is told until then
    must be noted here.
    """

    def __init__(self, wanted: Filter, instead_of: InsteadOf, viewed: Places = ()) -> None:
        self._wanted = wanted
        self._instead_of = instead_of
        self._viewed = viewed
        self._told: set[tuple[str, Horizon | None]] = set()
        self._news: set[tuple[str, Horizon | None]] = set()

    def judge(self, entry: Entry, is_given: bool | None = None) -> tuple[Verdict, Prediction | None]:
        """Return what an entry means to the client, and what the view has that is newer; `left` is said once."""
        if self._can_only_leave(entry) and (self._is_viewed(entry) or self._key(entry) in self._told):
            return NOTHING, None
        instead = self._instead_of(entry, self._wanted)
        verdict = self._wanted.judge_anew(entry, instead, is_given)
        if entry.prediction is None or self._key(entry) not in self._told:
            return verdict, instead
        return {LEFT: NOTHING, OUTDATED: MATCH}.get(verdict, verdict), instead

    def note(self, entry: Entry, verdict: Verdict, instead: Prediction | None) -> None:
        """Remember a verdict that the client was told of."""
        key = self._key(entry)
        if verdict in (LEFT, OUTDATED):
            self._told.add(key)
            self._news.discard(key)
        elif verdict == MATCH and instead is None and not entry.late:
            self._told.discard(key)
            self._news.add(key)

    def _can_only_leave(self, entry: Entry) -> bool:
        """Tell whether it is no removal, and doesn't match: asking the view costs most, and most entries are such."""
        return entry.prediction is not None and not self._wanted.asks_for(entry.prediction)

    def _is_viewed(self, entry: Entry) -> bool:
        """Tell whether the client's view was made after it, and nothing was told since that a view may not know."""
        is_before = entry.partition < len(self._viewed) and entry.before < self._viewed[entry.partition]
        return is_before and self._key(entry) not in self._news

    def _key(self, entry: Entry) -> tuple[str, Horizon | None]:
        return entry.segment_id, entry.horizon_minutes if self._wanted.names_horizons else None


def told(entry: Entry, verdict: Verdict, is_older: bool, own_cursor: str | None, wanted: Filter) -> list[Change | Left]:
    """Return what a client is told of an entry; `is_older`: the view has a newer one, maybe read later."""
    if verdict == LEFT and entry.prediction is not None:
        return [Left(entry, own_cursor, wanted.names_horizons)]
    # The client may have the newer one from another process.
    change = beside(entry, own_cursor) if is_older else Change(entry, own_cursor)
    return [Left(entry, None, wanted.names_horizons, moves=False), change] if verdict == OUTDATED else [change]


def beside(entry: Entry, own_cursor: str | None) -> Change:
    """Return the change by an entry that replaces nothing, since the view has another one: it is `late`."""
    if entry.prediction is None or entry.late:
        return Change(entry, own_cursor)
    late = entry.with_prediction(structs.replace(entry.prediction, late=True))
    return Change(late, own_cursor or entry.cursor)


Kept = Callable[[str, Filter], list[Prediction]]
"""Returns what the view has of a segment, as Feed.kept() does."""


def departures(entry: Entry, wanted: Filter, kept: Kept) -> Iterator[Evicted | Shown]:
    """Yield what a client is given of what an entry evicted: what left, and what the view has in place of it now.

    All of it comes before the entry: a client that is cut in between is given it once more.
    """
    for eviction in entry.evicted:
        gone = [each for each in eviction.predictions if wanted.concerns(each)]
        instead = [each for each in kept(eviction.segment_id, wanted) if each is not entry.prediction]
        reason: EvictedReason = "expired" if eviction.reason == "max_age" else "evicted"
        if wanted.names_horizons and not eviction.is_whole:
            horizons: set[Horizon | None] = {each.horizon_minutes for each in gone}
            yield from (Evicted(eviction.segment_id, horizon, reason) for horizon in horizons)
            yield from (Shown(each) for each in instead if each.horizon_minutes in horizons)
        elif eviction.is_whole or _was_shown(eviction.predictions, instead):
            if gone:
                yield Evicted(eviction.segment_id, None, reason)
            yield from map(Shown, instead)


def _was_shown(gone: Sequence[Prediction], instead: Sequence[Prediction]) -> bool:
    """Tell whether one of several horizons of a segment may have been the one that it showed."""
    return not instead or any(rank(each.horizon_minutes) <= rank(instead[0].horizon_minutes) for each in gone)
