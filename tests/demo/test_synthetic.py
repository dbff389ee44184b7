import itertools
import math
import threading
import time
from datetime import datetime

import msgspec
import pytest

from consumer.messages.normalise import Normaliser
from consumer.settings import Settings
from consumer.sources.record import Record
from demo.network import segments
from demo.synthetic import HORIZON_MINUTES, MessageMaker, fill, run
from demo.traffic import LOS_ANGELES, Traffic
from tests.demo.helpers import Collector

NETWORK = segments()
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=LOS_ANGELES).timestamp()
TRAFFIC = Traffic(NETWORK)
MESSAGES = MessageMaker(TRAFFIC, Settings())


def test_a_message_becomes_one_prediction_with_all_its_fields():
    message = MESSAGES.message(NETWORK[40], NOW)
    record = Record("roads", 0, 0, round(NOW * 1000), b"", msgspec.json.encode(message))
    normalised = Normaliser(Settings(), now_ms=lambda: record.timestamp_ms)(record)
    assert normalised.refusals == []
    ((_, prediction),) = normalised.predictions
    assert prediction.segment_id == NETWORK[40].segment_id
    assert prediction.timestamp == round(NOW * 1000)
    assert prediction.horizon_minutes == HORIZON_MINUTES
    assert prediction.target_time == "2026-11-24T16:15:00.000Z"
    assert prediction.road_name == NETWORK[40].name
    assert prediction.coordinates.latitude == NETWORK[40].middle[0]
    assert prediction.current_speed == message["current_speed"] == TRAFFIC.observe(NETWORK[40], NOW).speed
    assert prediction.speed_diff == message["speed_diff"]
    assert prediction.category == message["category"]
    assert prediction.current_volume == message["current_volume"] > 0
    assert 0 < prediction.confidence <= 1
    assert prediction.source == "synthetic"


def test_speeds_are_published_in_the_unit_of_the_settings():
    mph = MESSAGES.message(NETWORK[3], NOW)
    kmh = MessageMaker(TRAFFIC, Settings(speed_unit="kmh")).message(NETWORK[3], NOW)
    assert kmh["current_speed"] == pytest.approx(mph["current_speed"] * 1.609344, abs=0.06)
    assert kmh["predicted_speed"] == pytest.approx(mph["predicted_speed"] * 1.609344, abs=0.06)
    assert kmh["category"] == mph["category"]


def test_the_forecast_beats_persistence_but_has_errors():
    ours, still = [], []
    for hour in range(0, 16, 3):
        for segment in NETWORK[::3]:
            at = NOW + hour * 3600
            now = TRAFFIC.observe(segment, at).speed
            then = TRAFFIC.observe(segment, at + HORIZON_MINUTES * 60).speed
            ours.append((MESSAGES.forecast(segment, at, now) - then) ** 2)
            still.append((now - then) ** 2)
    rmse, persistence = math.sqrt(sum(ours) / len(ours)), math.sqrt(sum(still) / len(still))
    assert 1.5 < rmse < 0.9 * persistence


def test_the_past_is_published_with_event_times_as_kafka_times():
    collector = Collector()
    assert fill(collector, MESSAGES, NETWORK, NOW, minutes=3) == 3 * len(NETWORK) == len(collector.sent)
    times = sorted({value["timestamp"] for _, value, _ in collector.sent})
    assert times == [round((NOW - 60 * minute) * 1000) for minute in (3, 2, 1)]
    assert all(stamp == value["timestamp"] for _, value, stamp in collector.sent)
    assert collector.flushes == 1


def test_each_round_publishes_every_segment_once():
    collector, before = Collector(), time.time()
    run(collector, MESSAGES, NETWORK, threading.Event(), interval=0.2, steps=2)
    keys = [key for key, _, _ in collector.sent]
    expected = sorted(segment.segment_id for segment in NETWORK)
    assert sorted(keys[: len(NETWORK)]) == sorted(keys[len(NETWORK) :]) == expected
    assert all(key == value["segment_id"] for key, value, _ in collector.sent)
    assert all(before * 1000 - 1 <= value["timestamp"] <= time.time() * 1000 + 1 for _, value, _ in collector.sent)


def test_segments_are_spread_over_the_round():
    collector = Collector()
    run(collector, MESSAGES, NETWORK, threading.Event(), interval=0.5, steps=1)
    times = [value["timestamp"] for _, value, _ in collector.sent]
    assert max(times) - min(times) > 350
    middle = min(times) + 250
    assert 0.3 < sum(time < middle for time in times) / len(times) < 0.7


def test_the_feed_stops_within_a_round_and_flushes():
    collector, stop = Collector(), threading.Event()
    original = collector.send

    def send_then_stop(*arguments):
        original(*arguments)
        stop.set()

    collector.send = send_then_stop
    run(collector, MESSAGES, NETWORK, stop, interval=30)
    assert 0 < len(collector.sent) < len(NETWORK)
    assert collector.flushes == 1


def test_progress_gets_rounds_and_messages():
    calls = []
    run(
        Collector(),
        MESSAGES,
        NETWORK,
        threading.Event(),
        interval=0.05,
        steps=2,
        progress=lambda done, sent: calls.append((done, sent)),
    )
    assert calls == [(1, len(NETWORK)), (2, 2 * len(NETWORK))]


def test_rounds_missed_by_an_interruption_are_not_published_later():
    collector, times = Collector(), []

    def flush_through_an_outage():
        collector.flushes += 1
        if collector.flushes == 1:
            threading.Event().wait(1.2)

    collector.flush = flush_through_an_outage
    run(
        collector,
        MESSAGES,
        NETWORK,
        threading.Event(),
        interval=0.2,
        steps=4,
        progress=lambda _done, _sent: times.append(time.monotonic()),
    )
    assert [later - earlier > 0.15 for earlier, later in itertools.pairwise(times)] == [True] * 3


def test_messages_are_flushed_once_a_second():
    collector, stop, flushed = Collector(), threading.Event(), []

    def flush():
        flushed.append(len(collector.sent))
        if len(flushed) == 2:
            stop.set()

    collector.flush = flush
    run(collector, MESSAGES, NETWORK, stop, interval=30)
    assert 0 < flushed[0] < flushed[1] < len(NETWORK) / 4
