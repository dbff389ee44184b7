"""Which horizons a client is given while it catches up.

Without `horizon=` a live client is given what its segments show: of no stated horizon, else of the smallest. What that
was when an old record was read depends on what a process had read before it. A client that comes back must be given the
same predictions by every process, from memory and in a replay. So what it is given depends on the log alone: of each
partition, on the records between its cursor and the prediction. Observations don't count.
"""

from consumer.prediction import Horizon, Prediction
from consumer.view.kept import rank

_Given = tuple[str, Horizon, int]
"""Segment, horizon (-1: not stated) and timestamp of a prediction."""


class HorizonRule:
    """Decide for one client, entry by entry in the order of each partition, from its cursor on.

    A prediction is left out if the last one given of its partition is of the same segment and a smaller horizon, and at
    least as new. So producers that publish the horizons of a segment together, the smallest first, have only that one
    given. All that a segment may show is given: the smaller horizon was read before it by every process.
    """

    def __init__(self) -> None:
        self._last: dict[int, _Given] = {}

    def take(self, ordinal: int, segment_id: str, prediction: Prediction | None) -> bool:
        """Take the next entry of a partition; return whether the client is given it. None, a removal, always is."""
        if prediction is None:
            self._last.pop(ordinal, None)
            return True
        last, horizon = self._last.get(ordinal), rank(prediction.horizon_minutes)
        if last is not None and last[0] == segment_id and last[1] < horizon and last[2] >= prediction.timestamp:
            return False
        self._last[ordinal] = segment_id, horizon, prediction.timestamp
        return True
