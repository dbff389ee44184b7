"""Usual speeds: learnt exactly, each interval once, kept across restarts, and within bounds."""

import random
import sqlite3
from collections import defaultdict
from contextlib import closing
from datetime import datetime, timedelta
from fractions import Fraction
from statistics import quantiles
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from consumer.messages.clock import wall_ms
from consumer.usual.learner import INTERVAL_MS
from consumer.usual.quarters import quarters_in
from consumer.usual.samples import KEPT_SPEEDS, USED_SPEEDS, Band, Sample, code_of
from consumer.usual.store import WINDOW, Counted, open_writer
from consumer.usual.usual import Usual
from tests.consumer.helpers import SETTINGS, eventually, feed_of, message, publish, record

ZONE = ZoneInfo("America/Los_Angeles")
MONDAY = datetime(2026, 3, 2, tzinfo=ZONE)  # the clocks change on Sunday, 8 March
FIVE = timedelta(minutes=5)
LATEST = 10_000


@pytest.fixture
def settings(tmp_path):
    return structs.replace(
        SETTINGS, usual_file=str(tmp_path / "usual.db"), usual_timezone=ZONE.key, max_age=10**9, max_future=10**9
    )


@pytest.fixture
def usual_of(settings):
    """Return a function that starts usual speeds over a feed, and end them after the test."""
    started = []

    def start(feed=None, now_ms=wall_ms, **changes):
        usual = Usual(feed or feed_of(1, structs.replace(settings, **changes)), now_ms)
        usual.start()
        started.append(usual)
        return usual

    yield start
    for each in started:
        each.stop()


def ms(at):
    return round(at.timestamp() * 1000)


def measured(feed, speeds, start=0):
    """Publish (segment, time, speed) as observations, in slices, from an offset on."""
    for begin in range(0, len(speeds), 500):
        publish(
            feed,
            *(
                record(0, start + begin + number, observation(*each))
                for number, each in enumerate(speeds[begin : begin + 500])
            ),
        )


def observation(segment, at, speed):
    return f'{{"segment_id": "{segment}", "timestamp": {ms(at)}, "current_speed": {speed}}}'.encode()


def learnt(feed, speeds, usual, start=0):
    """Publish speeds and wait until they are written: when learning ends."""
    measured(feed, speeds, start)
    usual.stop()
    assert usual.learner.error is None
    assert usual.learner.missed == 0


def weeks(count, seed=1):
    """Return speeds of three segments every five minutes, with holes, over some weeks of local time."""
    numbers, found = random.Random(seed), []
    at, end = MONDAY, MONDAY + timedelta(weeks=count)
    while at < end:
        found += [(name, at, round(numbers.uniform(0, 90), 1)) for name in "ABC" if numbers.random() < 0.7]
        at = (at.astimezone(ZoneInfo("UTC")) + FIVE).astimezone(ZONE)
    return found


def recomputed(speeds, day):
    """Return (low, median, high, count) by segment and time of a date's weekday, by another way from all speeds."""
    lists = defaultdict(list)
    for name, at, speed in speeds:
        if at.weekday() == day.weekday() and at.date() != day.date():
            lists[name, at.hour * 4 + at.minute // 15].append(Fraction(int(speed * 2 + 0.5), 2))
    bands = {}
    for key, values in lists.items():
        last = values[-24:]
        if len(last) >= 3:
            cuts = quantiles(last, n=20, method="inclusive")
            bands[key] = Band(float(cuts[2]), float(cuts[9]), float(cuts[16]), len(last))
    return bands


def test_bands_of_made_weeks_equal_a_recomputation(usual_of, settings):
    settings = structs.replace(settings, buffer_entries=100_000)
    speeds = weeks(2)
    usual = usual_of(feed := feed_of(1, settings))
    learnt(feed, speeds, usual)
    for days in (13, 14, 20):  # of the second week, on which its own date is left out, and of the third
        day = MONDAY + timedelta(days=days)
        expected, quarter = recomputed(speeds, day), usual.quarter(ms(day + timedelta(hours=12)))
        found = {(name, slot): band for name in "ABC" for slot, band in enumerate(usual.day(name, quarter)) if band}
        assert found == expected
        assert len(found) > (200 if days == 20 else 50)
        noon = {name: band for (name, slot), band in expected.items() if slot == 48}
        assert usual.at(usual.quarter(ms(day + timedelta(hours=12)))) == noon


def test_records_read_again_count_once(usual_of, settings, tmp_path):
    speeds = [("A", MONDAY + FIVE * number, number) for number in range(200)]
    first = usual_of(feed := feed_of(1, settings))
    learnt(feed, speeds[:120], first)
    before = contents(settings)
    second = usual_of(feed := feed_of(1, settings))  # a restart reads them again, and a part of it never came
    learnt(feed, speeds, second)
    once = structs.replace(settings, usual_file=str(tmp_path / "once.db"))
    third = usual_of(feed := feed_of(1, once))
    learnt(feed, speeds, third)
    assert contents(settings) == contents(once) != before


def contents(settings):
    with closing(sqlite3.connect(settings.usual_file)) as connection:
        rows = connection.execute("SELECT * FROM samples ORDER BY slot").fetchall()
        return rows + connection.execute("SELECT * FROM segments").fetchall()


def test_one_speed_counts_per_five_minutes(usual_of, settings):
    usual = usual_of(feed := feed_of(1, settings))
    seconds = [("A", MONDAY + timedelta(seconds=number), 30 + number % 7) for number in range(900)]
    learnt(feed, seconds, usual)
    assert sum(len(row[4]) for row in contents(settings) if len(row) == 5) == 3


def test_horizons_of_one_time_count_once_and_unmeasured_ones_not_at_all(usual_of, settings):
    usual = usual_of(feed := feed_of(1, settings))
    values = [message("A", ms(MONDAY), 50, horizon_minutes=each, current_speed=44) for each in (5, 10, 15)]
    values.append(message("B", ms(MONDAY), 50))
    publish(feed, *(record(0, offset, value) for offset, value in enumerate(values)))
    usual.stop()
    assert [row[4] for row in contents(settings) if len(row) == 5] == [bytes([88])]


def test_of_two_processes_one_learns_and_the_other_takes_over(usual_of, settings, monkeypatch):
    monkeypatch.setattr("consumer.usual.learner.RETRY_SECONDS", 0.1)
    feeds = [feed_of(1, settings), feed_of(1, settings)]
    first = usual_of(feeds[0])
    eventually(lambda: first.learner.state == "learning", 60)
    second = usual_of(feeds[1])
    eventually(lambda: second.learner.state == "reading", 60)
    speeds = [("A", MONDAY + FIVE * number, number) for number in range(20)]
    measured(feeds[1], speeds)
    learnt(feeds[0], speeds[:10], first)
    eventually(lambda: second.learner.state == "learning", 60)
    second.stop()
    assert sum(len(row[4]) for row in contents(settings) if len(row) == 5) == 20


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"not a database, but a text that is long enough to be one" * 100, "file is not a database"),
        ("CREATE TABLE other (a)", "another SQLite database"),
    ],
)
def test_a_file_that_is_no_store_is_reported_and_left_alone(usual_of, settings, content, error):
    if isinstance(content, bytes):
        with open(settings.usual_file, "wb") as file:
            file.write(content)
    else:
        connection = sqlite3.connect(settings.usual_file)
        connection.execute(content)
        connection.close()
    with open(settings.usual_file, "rb") as file:
        before = file.read()
    usual = usual_of(feed := feed_of(1, settings))
    eventually(lambda: usual.learner.state == "failed", 60)
    assert error in usual.learner.error
    assert "move the file away" in usual.learner.error
    measured(feed, [("A", MONDAY, 30)])
    assert usual.at(usual.quarter(None)) == {}
    assert not any(usual.day("A", usual.quarter(None)))
    usual.stop()
    with open(settings.usual_file, "rb") as file:
        assert file.read() == before


def test_what_was_written_is_counted(usual_of, settings):
    usual = usual_of(feed := feed_of(1, settings))
    assert (usual.learner.written, usual.learner.written_at) == (0, None)
    learnt(feed, [("A", MONDAY, 30), ("A", MONDAY + FIVE, 30), ("A", MONDAY, 30)], usual)
    assert usual.learner.written == 2
    assert usual.learner.written_at is not None
    assert usual.learner.file_bytes > 0
    assert usual.learner.failures == 0


def test_a_folder_that_appears_later_is_used(usual_of, settings, tmp_path, monkeypatch):
    monkeypatch.setattr("consumer.usual.learner.RETRY_SECONDS", 0.1)
    usual = usual_of(usual_file=str(tmp_path / "later" / "usual.db"))
    eventually(lambda: usual.learner.state == "failed", 60)
    (tmp_path / "later").mkdir()
    eventually(lambda: usual.learner.state == "learning", 60)
    assert usual.learner.error is None
    assert usual.learner.failures >= 1


@pytest.mark.parametrize("changes", [{"speed_unit": "kmh"}, {"usual_timezone": "UTC"}])
def test_a_file_of_other_settings_is_not_mixed(usual_of, settings, changes):
    usual_of().stop()
    usual = usual_of(**changes)
    eventually(lambda: usual.learner.state == "failed", 60)
    assert "it was written with" in usual.learner.error


def test_segments_beyond_the_limit_are_left_out(usual_of, settings):
    usual = usual_of(feed := feed_of(1, structs.replace(settings, max_segments=2)))
    learnt(feed, [(name, MONDAY, 30) for name in "ABCD"], usual)
    assert (usual.learner.segments, usual.learner.left_out) == (2, 2)


def test_segments_without_a_speed_for_60_days_are_dropped(usual_of, settings):
    usual = usual_of(feed := feed_of(1, settings))
    learnt(feed, [("A", MONDAY, 30), ("B", MONDAY + timedelta(days=61), 30)], usual)
    usual_of().stop()
    assert [row[1] for row in contents(settings) if len(row) == 4] == ["B"]
    assert len(contents(settings)) == 2


def test_a_time_of_a_wrong_clock_neither_drops_segments_nor_stops_learning(usual_of, settings):
    now, ahead = MONDAY + timedelta(days=7), MONDAY + timedelta(days=400)
    about = {"speed_unit": "mph", "timezone": ZONE.key}
    writer = open_writer(settings.usual_file, about, latest=ms(ahead) // INTERVAL_MS)
    monday = quarters_in(ZONE)(ms(MONDAY))
    writer.add(
        [(2, monday, 20)], {"A": Counted(1, ms(ahead) // INTERVAL_MS), "B": Counted(2, ms(MONDAY) // INTERVAL_MS)}
    )
    writer.close()
    usual = usual_of(feed := feed_of(1, structs.replace(settings, max_future=600)), now_ms=lambda: ms(now))
    learnt(feed, [("A", now, 30), ("A", now + FIVE, 40), ("A", now, 50), ("B", now, 30)], usual)
    assert usual.learner.segments == 2
    assert [row[4] for row in contents(settings) if len(row) == 5] == [bytes([60, 80]), bytes([20, 60])]


def test_an_unexpected_error_is_reported(usual_of):
    usual = usual_of(now_ms=lambda: 1 // 0)
    eventually(lambda: usual.learner.state == "failed", 60)
    assert "ZeroDivisionError" in usual.learner.error
    assert "restart" in usual.learner.error


def test_without_a_file_nothing_runs(usual_of):
    usual = usual_of(usual_file="")
    assert usual.learner.state == "off"
    assert usual.at(usual.quarter(ms(MONDAY))) == {}
    usual.stop()


def test_intervals_count_once_in_any_order():
    numbers, intervals = random.Random(2), list(range(1000, 1000 + WINDOW))
    numbers.shuffle(intervals)
    counted = Counted(1, intervals[0])
    found = [intervals[0], *(each for each in intervals * 2 if counted.count(each, LATEST))]
    assert sorted(found) == list(range(1000, 1000 + WINDOW))
    assert not counted.count(1000 + WINDOW - 1 - WINDOW, LATEST), "too old"
    assert counted.count(5000, LATEST)
    assert counted.count(4999, LATEST)
    assert not counted.count(1000 + WINDOW - 1, LATEST)


def test_quarters_are_local_times():
    quarter = quarters_in(ZONE)
    summer, winter = datetime(2026, 7, 6, 8, 20, tzinfo=ZONE), datetime(2026, 1, 5, 8, 20, tzinfo=ZONE)
    assert quarter(ms(summer)).slot == quarter(ms(winter)).slot == 33
    assert (quarter(ms(summer)).weekday, quarter(ms(summer)).time) == ("monday", "08:15")


def test_a_sample_keeps_the_last_speeds():
    sample = Sample()
    for number in range(100):
        sample = sample.plus(code_of(number, 2), number // 10)
    assert len(sample.speeds) == KEPT_SPEEDS
    earlier = sample.band(9, 2)
    assert (earlier.count, earlier.median) == (20, 79.5)
    assert sample.band(10, 2).count == USED_SPEEDS
    assert code_of(500, 2) == 255
