"""The times of a message: of the event, of the target, and of the prediction."""

from collections.abc import Callable

from msgspec import Struct

from consumer.parsing.fields import base_data
from consumer.parsing.names import BASE, MAX_MINUTES, MAYBE_TARGET_TIME, TARGET_TIME, Item, Names
from consumer.parsing.refusal import Refused, shown
from consumer.prediction import Horizon
from consumer.times import ALLOWED, UNKNOWN_MS, Times, iso

from .horizon import NOT_STATED, stated_horizon

MINUTE_MS = 60_000
_TARGET_WITHIN_MS = 60_000
_WHOLE_WITHIN_MINUTES = 0.25


class Moments(Struct, frozen=True, gc=False):
    """The times of one prediction: of its event, when it was made, and which time it is about, in epoch milliseconds.

    `minutes` is how far ahead of the event it looks, below 0 for a target before the event; None when that isn't known.
    `is_clear` is False when the horizon is below 0 or more than MAX_MINUTES, or when the minutes up to the target had
    to be rounded by much. `target_ms` is None unless it is stated, or follows from a horizon that is no whole number
    of minutes.
    """

    event_ms: int
    made_ms: int
    minutes: Horizon | None
    target_ms: int | None
    is_clear: bool


class Timing:
    """Reads the times of a message; `now_ms` returns the time by which they are checked, in epoch milliseconds."""

    def __init__(self, times: Times, max_future_ms: int, now_ms: Callable[[], int]) -> None:
        self._times = times
        self._max_future_ms = max_future_ms
        self._now_ms = now_ms

    def event_ms(self, item: Item, names: Names, kafka_ms: int) -> int:
        """Return the time of the observation in epoch milliseconds; `kafka_ms` is the record's own, or UNKNOWN_MS.

        Raises Refused (bad_time, time_in_future).
        """
        name, value = _stated(item, names)
        event_ms: int | None
        if name is None:
            name, value, event_ms = "Kafka's time of the record", kafka_ms, _own(kafka_ms)
        elif (event_ms := self._times.read(value, kafka_ms)) is None:
            raise Refused("bad_time", f"{name} is {shown(value)}; allowed: {ALLOWED}")
        # With CreateTime, Kafka's time is that of the producer's clock and may be wrong, so both are checked.
        latest_ms = event_ms - self._max_future_ms
        if kafka_ms < latest_ms and kafka_ms != UNKNOWN_MS:
            raise self._in_future(name, value, event_ms - kafka_ms, "the time that Kafka gave the record")
        if (now_ms := self._now_ms()) < latest_ms:
            raise self._in_future(name, value, event_ms - now_ms, f"this server's clock ({iso(now_ms)})")
        return event_ms

    def _in_future(self, name: str, value: object, ahead_ms: int, of: str) -> Refused:
        limit = f"allowed: {self._max_future_ms // 1000} s (MAX_FUTURE)"
        return Refused("time_in_future", f"{name} is {shown(value)}, which is {ahead_ms // 1000} s after {of}; {limit}")

    def moments(self, item: Item, names: Names, event_ms: int, kafka_ms: int, named: int | None = None) -> Moments:
        """Return the times of a prediction; its horizon is as stated, else as `named`, else up to its target time.

        Without a unit, what is stated is in minutes, unless the target time says otherwise. Raises Refused
        (bad_horizon) for a horizon that can't be used where nothing else tells the target: predictions for different
        targets would replace each other.
        """
        said = stated_horizon(item, names) if names.horizon else NOT_STATED
        stated, has_unit, is_clear = said.minutes, said.has_unit, True
        if stated is None and named is not None:
            stated, has_unit = named, True
        target_ms = self._target_ms(item, event_ms, stated) if names.has_target else None
        if target_ms is not None and not has_unit and not _is_target(target_ms, event_ms, stated):
            between = (target_ms - event_ms) / MINUTE_MS
            is_usual = 0 <= between <= MAX_MINUTES
            # Without any other horizon, an unusual one keeps predictions for different targets apart.
            if is_usual or stated is None:
                stated = _rounded(between)
                is_clear = is_usual and abs(between - round(between)) <= _WHOLE_WITHIN_MINUTES
        if stated is None and said.unusual is not None:
            stated, is_clear = said.unusual, False
        minutes: Horizon | None = None
        if stated is not None:
            minutes = stated if type(stated) is int else _exact(stated)
            if target_ms is None and type(minutes) is float:
                target_ms = event_ms + round(stated * MINUTE_MS)
        elif said.why_unusable is not None:
            raise Refused("bad_horizon", said.why_unusable)
        made_ms = self._made_ms(item, names, event_ms, kafka_ms, minutes, target_ms)
        return Moments(event_ms, made_ms, minutes, target_ms, is_clear)

    def moments_as_named(self, item: Item, names: Names, event_ms: int, kafka_ms: int, named: int) -> Moments:
        """Return the times of one of several predictions of a message, each of which names its horizon."""
        target_ms = self._target_ms(item, event_ms, named) if names.has_target else None
        if target_ms is not None and not _is_target(target_ms, event_ms, named):
            target_ms = None  # it belongs to another horizon
        made_ms = self._made_ms(item, names, event_ms, kafka_ms, named, target_ms)
        return Moments(event_ms, made_ms, named, target_ms, True)

    def _target_ms(self, item: Item, event_ms: int, minutes: float | None) -> int | None:
        """Return the target time that a message states, if any."""
        # In the repeated hour of autumn, the target is the reading after the event.
        near_ms = event_ms + round((30 if minutes is None else minutes) * MINUTE_MS)
        for name in TARGET_TIME:
            if (found := self._times.read(item.get(name), near_ms)) is not None:
                return found
        for name in MAYBE_TARGET_TIME:
            found = self._times.read(item.get(name), near_ms)
            if found is not None and _is_target(found, event_ms, minutes):
                return found
        return None

    def _made_ms(
        self, item: Item, names: Names, event_ms: int, kafka_ms: int, minutes: float | None, target_ms: int | None
    ) -> int:
        """Return the time at which the prediction was made: as stated, else the record's own, else of the event."""
        own_ms = event_ms if kafka_ms == UNKNOWN_MS else kafka_ms
        for name in names.made_at:
            if (found := self._times.read(item[name], own_ms)) is None:
                continue
            is_target = found == target_ms or _is_target(found, event_ms, minutes)
            if not (is_target and name == "prediction_timestamp"):
                return found
        return own_ms


def _stated(item: Item, names: Names) -> tuple[str | None, object]:
    """Return the name and value of the field that gives the time of the event; (None, None) without one."""
    for name in names.event_time:
        if (value := item[name]) is not None:
            return name, value
    if names.has_base and (value := base_data(item).get("timestamp")) is not None:
        return f"{BASE}.timestamp", value
    for name in names.late_event_time:
        if (value := item[name]) is not None:
            return name, value
    return None, None


def _own(kafka_ms: int) -> int:
    if kafka_ms == UNKNOWN_MS:
        raise Refused(
            "bad_time", "no time is known: the message states none, and Kafka's time of the record can't be used"
        )
    return kafka_ms


def _exact(minutes: float) -> Horizon:
    """Return a stated horizon to a hundredth of a minute: what differs less is the same horizon."""
    rounded = round(minutes, 2)
    return int(rounded) if rounded.is_integer() else rounded


def _rounded(minutes: float) -> float:
    """Return the minutes up to a target to half a minute: events of one horizon are some seconds early or late."""
    return round(minutes * 2) / 2


def _is_target(found_ms: int, event_ms: int, minutes: float | None) -> bool:
    return minutes is not None and abs(found_ms - event_ms - minutes * MINUTE_MS) <= _TARGET_WITHIN_MS
