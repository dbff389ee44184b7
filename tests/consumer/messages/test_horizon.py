"""How far ahead messages say that they predict, and what becomes of it."""

import json

import msgspec
import pytest
from msgspec import UNSET, structs

from consumer.messages.horizon import Stated, stated_horizon
from consumer.messages.normalise import Normaliser
from consumer.parsing.names import Names
from consumer.resume.replay import Replays
from consumer.resume.subscriptions import Subscriptions
from consumer.settings import Settings
from consumer.sources.memory import MemorySource, MemoryTopic
from consumer.times import iso
from consumer.view.cursor import MAX_INDEX, Position, index_of, place
from consumer.view.feed import Feed
from consumer.view.filters import Filter
from tests.consumer.helpers import array, begin_at, feed_of, message, publish, record
from tests.consumer.resume.test_resume import INCARNATION, read

EVENT_MS = 1_700_000_000_000
MINUTE_MS = 60_000

normalise = Normaliser(Settings())


def predictions(value):
    """Return the indexed predictions of a message that has nothing refused."""
    found = normalise(record(0, 0, value))
    assert found.refusals == []
    return found.predictions


def one(**fields):
    """Return the only prediction of a message."""
    ((index, prediction),) = predictions(message("A", EVENT_MS, 50.0, **fields))
    assert index == 0
    return prediction


def unclear(**fields):
    return normalise(record(0, 0, message("A", EVENT_MS, 50.0, **fields))).unclear_horizons


def after(minutes):
    return EVENT_MS + round(minutes * MINUTE_MS)


@pytest.mark.parametrize(
    ("name", "value", "minutes"),
    [
        ("horizon_minutes", 15, 15),
        ("horizon_minutes", 15.0, 15),
        ("horizon_minutes", "15", 15),
        ("horizon_minutes", 0, 0),
        ("horizon_minutes", 10_080, 10_080),
        ("prediction_horizon_minutes", 30, 30),
        ("forecast_horizon_minutes", 30, 30),
        ("prediction_horizon", 15, 15),
        ("forecast_horizon", "45", 45),
        ("horizon", 15, 15),
        ("horizon_min", 15, 15),
        ("horizon_seconds", 900, 15),
        ("prediction_horizon_s", "900", 15),
        ("horizon_ms", 900_000, 15),
        ("forecast_horizon_hours", 1.5, 90),
        ("horizon_minutes", "15 min", 15),
        ("horizon_minutes", " 15 Minutes ", 15),
        ("horizon", "15m", 15),
        ("horizon", "15T", 15),
        ("lead_time", 15, 15),
        ("lead_time_minutes", "30", 30),
        ("lead_time_hours", 1, 60),
        ("horizon", "1 hour", 60),
        ("horizon", "2 hours", 120),
        ("horizon", "900s", 15),
        ("horizon", "900000 ms", 15),
        ("horizon", "PT15M", 15),
        ("horizon", "PT1H", 60),
        ("horizon", "PT1H30M", 90),
        ("horizon", "PT900S", 15),
        ("horizon", "P1DT1H", 1500),
        ("horizon", "1d", 1440),
        ("horizon", "7_days", 10_080),
        ("horizon", "15-minute", 15),
        ("horizon", "+15 MIN", 15),
        ("horizon", "next_30_minutes", 30),
        ("horizon", "60 seconds ahead", 1),
        ("horizon", "0:15:00", 15),
        ("horizon", "1 day, 0:30:00", 1470),
        ("horizon", "0 days 00:15:00.000", 15),
        ("horizon_seconds", "15 min", 15),
        ("horizon_minutes", "PT1H", 60),
    ],
)
def test_a_horizon_is_read_under_many_names_and_in_many_forms(name, value, minutes):
    prediction = one(**{name: value})
    assert (prediction.horizon_minutes, prediction.target_time) == (minutes, UNSET)
    assert unclear(**{name: value}) == 0


@pytest.mark.parametrize(
    "value",
    [
        True,
        "soon",
        "15 months",
        "P15M",
        "P",
        "PT",
        "PT15",
        "15 min ago",
        "1:15",
        "0:99:00",
        [15],
        {},
        525_601,
        "inf",
        1e300,
    ],
)
def test_a_horizon_that_tells_no_target_is_refused(value):
    found = normalise(record(0, 0, message("A", EVENT_MS, 50.0, horizon=value)))
    assert (found.items, found.unclear_horizons) == ([], 0)
    ((index, reason, detail, _, segment),) = found.refusals
    assert (index, reason, segment) == (None, "bad_horizon", "A")
    assert detail.startswith("horizon is ")
    assert detail.endswith(
        'allowed: minutes from 0 to 10080, a duration such as "15 min" or "PT15M", null, or a target time beside it'
    )


@pytest.mark.parametrize("value", ["", " ", None, float("nan"), "NaN", "null", "None", "n/a"])
def test_a_horizon_that_says_nothing_counts_as_not_stated(value):
    assert one(horizon=value).horizon_minutes is None
    assert unclear(horizon=value) == 0


@pytest.mark.parametrize(("value", "minutes"), [(-5, -5), (10_081, 10_081), ("336 h", 20_160), ("P14D", 20_160)])
def test_unusual_horizons_are_kept_apart_and_counted(value, minutes):
    assert one(horizon=value).horizon_minutes == minutes
    assert unclear(horizon=value) == 1
    assert one(horizon=value, horizon_minutes="15").horizon_minutes == 15
    assert one(horizon=value, target_time=after(30)).horizon_minutes == 30


def test_horizons_in_words_do_not_replace_each_other():
    feed = feed_of()
    values = [message("A", EVENT_MS, speed, horizon=text) for text, speed in (("soon", 1.0), ("later", 2.0), (15, 3.0))]
    found = [normalise(record(0, offset, value)) for offset, value in enumerate(values)]
    publish(feed, *(record(0, offset, value) for offset, value in enumerate(values)))
    assert [(each.horizon_minutes, each.predicted_speed) for each in feed.segment("A").latest] == [(15, 3.0)]
    assert [refusal.reason for each in found for refusal in each.refusals] == ["bad_horizon", "bad_horizon"]
    assert feed.account()["quarantined"] == 2


def test_what_else_tells_the_target_of_a_horizon_in_words():
    assert one(horizon_minutes="soon", horizon=15).horizon_minutes == 15
    assert one(horizon="soon", target_time=after(15)).horizon_minutes == 15
    assert brief(several(predicted_speed_15min=45, horizon="soon")) == [(0, 15, 45.0)]
    found = normalise(record(0, 0, several(predicted_speed=50, predicted_speed_15min=45, horizon="soon")))
    assert [(index, each.horizon_minutes) for index, each in found.predictions] == [(1, 15)]
    assert [refusal.reason for refusal in found.refusals] == ["bad_horizon"]


def test_the_next_name_is_tried_after_one_that_cannot_be_used():
    assert one(horizon_minutes="soon", horizon=15).horizon_minutes == 15
    assert one(horizon_minutes=None, prediction_horizon_minutes=30, horizon=15).horizon_minutes == 30
    nothing = {"horizon": "", "horizon_minutes": None}
    assert stated_horizon(nothing, Names(tuple(nothing), {})) == Stated(None)


def test_a_stated_fraction_of_a_minute_is_kept():
    found = [one(horizon_minutes=minutes) for minutes in (7.5, 15.0, 7.501, 0.999)]
    assert [each.horizon_minutes for each in found] == [7.5, 15, 7.5, 1]
    assert [each.target_time for each in found] == [iso(after(7.5)), UNSET, iso(after(7.501)), UNSET]
    assert [one(horizon_seconds=seconds).horizon_minutes for seconds in (50, 60)] == [0.83, 1]
    assert unclear(horizon_minutes=7.5) == 0


def test_whole_horizons_are_written_without_a_fraction():
    found = [one(horizon_minutes=15.0), one(target_time=after(15)), one(horizon="PT15M"), one(horizon_minutes=7.5)]
    written = [json.loads(msgspec.json.encode(each))["horizon_minutes"] for each in found]
    assert list(map(repr, written)) == ["15", "15", "15", "7.5"]


@pytest.mark.parametrize(
    ("minutes", "horizon", "is_unclear"),
    [
        (15, 15, 0),
        (0, 0, 0),
        (14.9, 15, 0),
        (15.2, 15, 0),
        (14.6, 14.5, 1),
        (15.5, 15.5, 1),
        (7.6, 7.5, 1),
        (10_080.2, 10_080, 1),
        (10_081, 10_081, 1),
        (525_600, 525_600, 1),
        (-0.1, 0, 1),
        (-1, -1, 1),
        (-7.6, -7.5, 1),
    ],
)
@pytest.mark.parametrize("name", ["target_timestamp", "target_time"])
def test_a_horizon_that_is_not_stated_follows_from_the_target(name, minutes, horizon, is_unclear):
    prediction = one(**{name: after(minutes)})
    assert (prediction.horizon_minutes, prediction.target_time) == (horizon, iso(after(minutes)))
    assert unclear(**{name: after(minutes)}) == is_unclear


def test_the_target_tells_the_unit_of_a_bare_number_and_no_other():
    assert one(horizon=3, target_time=after(15)).horizon_minutes == 15
    assert one(prediction_horizon=900, target_time=after(15)).horizon_minutes == 15
    assert one(horizon=15, target_time=after(15.9)).horizon_minutes == 15
    assert one(horizon_minutes=30, target_time=after(15)).horizon_minutes == 30
    assert one(horizon="30 min", target_time=after(15)).horizon_minutes == 30
    assert one(horizon=15, target_time=after(-15)).horizon_minutes == 15


def test_predictions_of_several_targets_do_not_overwrite_each_other():
    feed = feed_of()
    values = [
        message("A", EVENT_MS, speed, target_timestamp=after(minutes)) for minutes, speed in ((60, 1), (15, 2), (30, 3))
    ]
    publish(feed, *(record(0, offset, value) for offset, value in enumerate(values)))
    assert [(each.horizon_minutes, each.predicted_speed) for each in feed.segment("A").latest] == [
        (15, 2),
        (30, 3),
        (60, 1),
    ]
    assert [each.horizon_minutes for each in feed.snapshot().predictions] == [15]


def test_unusual_targets_do_not_overwrite_each_other():
    feed, targets = feed_of(), (20_160, -30, 43_200, 15, -5)
    values = [message("A", EVENT_MS, 50.0, target_time=after(minutes)) for minutes in targets]
    values.append(message("A", EVENT_MS, 50.0, target_time=after(20_160), horizon="next week"))
    publish(feed, *(record(0, offset, value) for offset, value in enumerate(values)))
    assert [each.horizon_minutes for each in feed.segment("A").latest] == [-30, -5, 15, 20_160, 43_200]
    assert sum(normalise(record(0, 0, value)).unclear_horizons for value in values) == 5


def test_a_prediction_without_a_horizon_ranks_before_one_for_the_past():
    feed = feed_of()
    values = [message("A", EVENT_MS, 50.0), message("A", EVENT_MS, 50.0, target_time=after(-5))]
    publish(feed, *(record(0, offset, value) for offset, value in enumerate(values)))
    assert [each.horizon_minutes for each in feed.segment("A").latest] == [None, -5]
    assert [each.horizon_minutes for each in feed.snapshot().predictions] == [None]


@pytest.mark.parametrize(
    "name", [lambda minutes: {"horizon_minutes": minutes}, lambda minutes: {"target_time": after(minutes)}]
)
def test_targets_half_a_minute_apart_do_not_replace_each_other(name):
    feed = feed_of()
    values = [message("A", EVENT_MS, 50.0, **name(minutes)) for minutes in (8, 7.5, 7)]
    publish(feed, *(record(0, offset, value) for offset, value in enumerate(values)))
    assert [each.horizon_minutes for each in feed.segment("A").latest] == [7, 7.5, 8]
    wanted = Filter(horizons=frozenset({7.5}))
    assert [each.target_time for each in feed.snapshot(wanted).predictions] == [iso(after(7.5))]


# several predictions in one object


def several(**fields):
    return json.dumps({"segment_id": "A", "timestamp": EVENT_MS} | fields).encode()


def brief(value):
    return [(index, each.horizon_minutes, each.predicted_speed) for index, each in predictions(value)]


def test_speeds_whose_names_state_a_horizon_are_predictions_of_their_own():
    value = several(
        predicted_speed_30min=40, predicted_speed_5min=50, predicted_speed_15min="45", predicted_speed_1h=35
    )
    assert brief(value) == [(0, 5, 50.0), (1, 15, 45.0), (2, 30, 40.0), (3, 60, 35.0)]


def test_a_speed_of_no_horizon_comes_before_those_that_name_one():
    assert brief(several(predicted_speed_15min=45, predicted_speed=50)) == [(0, None, 50.0), (1, 15, 45.0)]
    assert brief(several(predicted_speed_15min=45, predicted_speed=50, horizon_minutes=5)) == [
        (0, 5, 50.0),
        (1, 15, 45.0),
    ]


def test_one_horizon_of_an_object_is_one_prediction():
    assert brief(several(predicted_speed=50, horizon_minutes=15, predicted_speed_15min=45)) == [(0, 15, 50.0)]
    assert brief(several(predicted_speed_60min=50, predicted_speed_1h=51)) == [(0, 60, 51.0)]
    assert brief(several(predicted_speed_15min_kmh=80.4672, predicted_speed_15min=45)) == [(0, 15, 45.0)]
    assert brief(several(predicted_speed_15min_kmh=80.4672, predicted_speed_30min_mph=45)) == [
        (0, 15, 50.0),
        (1, 30, 45.0),
    ]


def test_a_horizon_in_a_name_counts_when_the_other_speed_is_refused():
    found = normalise(record(0, 0, several(predicted_speed=-1, horizon_minutes=15, predicted_speed_15min=45)))
    assert [(index, each.horizon_minutes) for index, each in found.predictions] == [(1, 15)]
    assert [refusal.reason for refusal in found.refusals] == ["absurd_speed"]


def test_a_bad_speed_of_an_object_leaves_its_neighbours():
    found = normalise(
        record(0, 0, several(predicted_speed_5min=50, predicted_speed_15min=500, predicted_speed_30min=40))
    )
    assert [(index, each.horizon_minutes) for index, each in found.predictions] == [(0, 5), (2, 30)]
    ((index, reason, detail, *_),) = found.refusals
    assert (index, reason, detail.partition(" is ")[0]) == (None, "absurd_speed", "predicted_speed_15min")


def test_a_null_speed_is_not_one_of_several():
    assert brief(several(predicted_speed_5min=None, predicted_speed_15min=45, predicted_speed_30min=40)) == [
        (0, 15, 45.0),
        (1, 30, 40.0),
    ]


@pytest.mark.parametrize(
    "name", ["predicted_speed_10081min", "predicted_speed_min", "predicted_speed_15", "predicted_speed_15mi"]
)
def test_other_names_are_no_horizons(name):
    assert [refusal.reason for refusal in normalise(record(0, 0, several(**{name: 50}))).refusals] == [
        "no_predicted_speed"
    ]


def test_a_target_and_an_interval_belong_to_one_of_several():
    value = several(
        predicted_speed=50,
        predicted_speed_15min=45,
        predicted_speed_30min=50,
        target_time=after(15),
        lower=44,
        upper=57,
    )
    first, second = (each for _, each in predictions(value))
    assert (first.horizon_minutes, first.target_time, first.lower, first.upper) == (15, iso(after(15)), 44.0, 57.0)
    assert (second.horizon_minutes, second.target_time, second.lower, second.upper) == (30, UNSET, UNSET, UNSET)


def test_items_of_an_array_may_hold_several_predictions_each():
    value = array(
        several(predicted_speed_5min=50, predicted_speed_15min=45),
        b"1",
        message("B", EVENT_MS),
        several(predicted_speed_5min=1, predicted_speed_15min=500),
    )
    found = normalise(record(0, 0, value))
    assert [(index, each.segment_id) for index, each in found.predictions] == [(0, "A"), (1, "A"), (3, "B"), (4, "A")]
    assert [(refusal.index, refusal.reason) for refusal in found.refusals] == [
        (1, "not_an_object"),
        (3, "absurd_speed"),
    ]


def test_the_largest_message_has_an_index_for_each_prediction():
    largest = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]["max_message_bytes"]["maximum"]
    assert largest // len("1,") <= MAX_INDEX + 1
    assert len('"predicted_speed_1m":1,') > len("1,"), "what adds a prediction is longer than what adds an item"


def test_a_replay_gives_the_same_predictions_of_a_record_as_memory():
    topic = MemoryTopic(1, INCARNATION)
    for number in range(60):
        item = several(predicted_speed_30min=40, predicted_speed_5min=number, predicted_speed_15min=45)
        topic.append(array(item, message(f"S{number}", EVENT_MS), item), timestamp_ms=EVENT_MS)
    roomy = Settings(kafka_backlog="all")
    small = structs.replace(roomy, buffer_entries=100)
    start = Position(INCARNATION, (place(0),))
    everything = Filter(horizons="all")

    def given(settings, position):
        feed = Feed(settings)
        subscriptions = Subscriptions(feed, Replays(settings, lambda _: MemorySource(topic)))
        begin_at(feed, start)
        publish(feed, *topic.logs[0])
        given = [each.entry for each in read(subscriptions.subscribe_at(position, everything, "history"))]
        return [(each.place, structs.replace(each.item, late=UNSET)) for each in given]

    from_memory = given(roomy, start)
    assert [index_of(before) for before, _ in from_memory[:7]] == list(range(7))
    assert len(from_memory) == 60 * 7
    assert given(small, start) == from_memory
    for index in (1, 3, 4, 6):
        assert given(small, Position(INCARNATION, (place(5, index),))) == from_memory[5 * 7 + index :]
