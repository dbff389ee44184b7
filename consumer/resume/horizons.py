"""Which horizons a client is given while it catches up.

Without `horizon=` a live client is given what its segments show: of no stated horizon, else of the smallest. What that
was when an old record was read depends on what a process had read before it. A client that comes back must be given the
same predictions by every process, from memory and in a replay. So what it is given depends on the log alone: of each
partition, on the records between its cursor and the prediction.
"""

from consumer.prediction import MAX_HORIZONS, Horizon, Prediction
from consumer.view.latest import rank

_Newest = dict[Horizon, int]
"""The newest timestamp by horizon; -1 stands for a horizon that is not stated."""


class HorizonRule:
    """Decide for one client, entry by entry in the order of each partition, from its cursor on.

    A prediction is given unless one of a smaller horizon of its segment, at least as new, came before it in its
    partition. So all that a segment may show is given, and a few more: a client shows the smallest horizon.
    """

    def __init__(self, max_segments: int) -> None:
        self._max_segments = max_segments
        self._seen: dict[tuple[int, str], _Newest] = {}

    def gives(self, partition: int, segment_id: str, prediction: Prediction | None) -> bool:
        """Tell whether the client is given an entry; None is a removal, which always is."""
        key = (partition, segment_id)
        if prediction is None:
            self._seen.pop(key, None)
            return True
        horizon, timestamp = rank(prediction.horizon_minutes), prediction.timestamp
        seen = self._seen.get(key)
        if seen is None:
            self._add(key, {horizon: timestamp})
            return True
        if any(other < horizon and newest >= timestamp for other, newest in seen.items()):
            return False
        seen[horizon] = max(timestamp, seen.get(horizon, timestamp))
        if len(seen) > MAX_HORIZONS:
            del seen[min(seen, key=lambda each: (seen[each], each))]
        return True

    def _add(self, key: tuple[int, str], newest: _Newest) -> None:
        if len(self._seen) >= self._max_segments:
            self._seen.clear()  # to forget is safe: the client is given more
        self._seen[key] = newest
