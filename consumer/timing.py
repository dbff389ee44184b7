"""Which of a message's times is which: of the event, of the target, and of the prediction."""

from .fields import Item, base_data
from .refusal import Refused, shown
from .times import ALLOWED, UNKNOWN_MS, Times

_TARGET_WITHIN_MS = 60_000


class Timing:
    """Tells the times of a message apart."""

    def __init__(self, times: Times, max_future_ms: int) -> None:
        self._times = times
        self._max_future_ms = max_future_ms

    def event_ms(self, item: Item, kafka_ms: int) -> int:
        """Return the time of the observation in epoch milliseconds; `kafka_ms` is the record's own, or UNKNOWN_MS.

        Raises Refused (bad_time, time_in_future).
        """
        name, value = _stated(item)
        if name is None:
            return _own(kafka_ms)
        event_ms = self._times.read(value, kafka_ms)
        if event_ms is None:
            raise Refused("bad_time", f"{name} is {shown(value)}; allowed: {ALLOWED}")
        if kafka_ms != UNKNOWN_MS and kafka_ms < event_ms - self._max_future_ms:
            raise Refused("time_in_future", self._ahead(f"{name} is {shown(value)}", event_ms - kafka_ms))
        return event_ms

    def _ahead(self, what: str, ahead_ms: int) -> str:
        limit = f"allowed: {self._max_future_ms // 1000} s (MAX_FUTURE)"
        return f"{what}, which is {ahead_ms // 1000} s after the time that Kafka gave the record; {limit}"

    def target_ms(self, item: Item, event_ms: int, horizon_minutes: int | None) -> int | None:
        """Return the time that is predicted for, where the message names it."""
        # Of an hour that is repeated the reading is right that lies ahead of the event, by less than an hour at most.
        near_ms = event_ms + (30 if horizon_minutes is None else horizon_minutes) * 60_000
        for name in ("target_timestamp", "target_time"):
            if (found := self._times.read(item.get(name), near_ms)) is not None:
                return found
        for name in ("prediction_timestamp", "valid_until"):
            found = self._times.read(item.get(name), near_ms)
            if found is not None and _is_target(found, event_ms, horizon_minutes):
                return found
        return None

    def made_ms(self, item: Item, event_ms: int, horizon_minutes: int | None, kafka_ms: int) -> int:
        """Return the time at which the prediction was made: as stated, else the record's own, else of the event."""
        own_ms = event_ms if kafka_ms == UNKNOWN_MS else kafka_ms
        for name in ("prediction_time", "prediction_timestamp", "processed_at"):
            found = self._times.read(item.get(name), own_ms)
            if found is None or (name == "prediction_timestamp" and _is_target(found, event_ms, horizon_minutes)):
                continue
            return found
        return own_ms


def _stated(item: Item) -> tuple[str | None, object]:
    """Return the name and value of the field that gives the time of the event; (None, None) without one."""
    for name in ("timestamp", "event_timestamp"):
        if (value := item.get(name)) is not None:
            return name, value
    if (value := base_data(item).get("timestamp")) is not None:
        return "base_data.timestamp", value
    value = item.get("window_end")
    return (None, None) if value is None else ("window_end", value)


def _own(kafka_ms: int) -> int:
    if kafka_ms == UNKNOWN_MS:
        raise Refused("bad_time", "no time is known: the message states none, and Kafka has none that can be used")
    return kafka_ms


def _is_target(stated_ms: int, event_ms: int, horizon_minutes: int | None) -> bool:
    if horizon_minutes is None:
        return False
    return abs(stated_ms - event_ms - horizon_minutes * 60_000) <= _TARGET_WITHIN_MS
