"""Memory stays within the settings: each store is filled past its limit, and uses what it counts, within 25 %."""

import gc
import subprocess
import sys
import tracemalloc
from contextlib import contextmanager

import pytest
from msgspec import structs

from consumer.messages.normalise import Normaliser
from consumer.prediction import MAX_HORIZONS
from consumer.resume.chunk import ChunkKey
from consumer.resume.replay import Replays
from consumer.scoring.scores import Scores
from consumer.settings import Settings
from consumer.sources.memory import MemorySource, MemoryTopic
from consumer.sources.record import Partition, Record
from consumer.view.cursor import Position, place
from consumer.view.feed import Feed
from consumer.view.filters import Box, Filter
from consumer.view.latest import LatestView
from tests.memory_cases import PLAIN, START_MS, WIDE, fill, value
from web.answers.views import Views
from web.streams.messages import MessageCache

MB = 1 << 20
SMALL = Settings(kafka_backlog="all", buffer_bytes=MB, buffer_entries=1_000_000, max_segments=1_000_000)
LATIN = "é" + "x" * 200
normalise = Normaliser(SMALL)


def a_record(number, segments, text=PLAIN, horizons=1):
    return Record(SMALL.topic, 0, number, START_MS, None, value(number, segments, text, horizons))


@contextmanager
def measured():
    """Yield a function that gives the bytes allocated since then and not freed."""
    gc.collect()
    tracemalloc.start()
    try:
        yield lambda: (gc.collect(), tracemalloc.get_traced_memory()[0])[1]
    finally:
        tracemalloc.stop()


def is_near(taken, stated):
    """Tell whether memory is what was stated, within 25 %."""
    return 0.75 * stated <= taken <= 1.25 * stated


@pytest.mark.parametrize(
    ("partitions", "text"),
    [(4, PLAIN), (4, WIDE), (4, LATIN), (400, PLAIN)],
    ids=["plain text", "wide text", "accents", "400 partitions"],
)
def test_the_ring_buffer_takes_buffer_bytes(partitions, text):
    with measured() as taken:
        feed = Feed(SMALL)
        fill(feed, 1_500, partitions=partitions, segments=20, text=text)
        assert len(feed._state.ring) < 1_000, "it is full"
        assert is_near(taken(), SMALL.buffer_bytes)


@pytest.mark.parametrize(
    ("partitions", "text"),
    [(4, PLAIN), (4, WIDE), (400, PLAIN)],
    ids=["plain text", "wide text", "400 partitions"],
)
def test_cached_messages_take_message_bytes(partitions, text):
    settings = structs.replace(SMALL, buffer_bytes=2 * MB, buffer_entries=100)
    feed = Feed(settings)
    fill(feed, 100, partitions=partitions, segments=20, text=text)
    with measured() as taken:
        cache = MessageCache(settings.message_bytes)
        fill(feed, 1_500, partitions=partitions, cache=cache, segments=20, text=text)
        feed.begin(Position(b"topic-02", ()), ())
        assert cache.size_bytes > settings.message_bytes - 25_000, "it is full"
        assert is_near(taken(), settings.message_bytes)


@pytest.mark.parametrize("text", [PLAIN, WIDE])
@pytest.mark.parametrize("horizons", [1, 4, MAX_HORIZONS])
def test_the_latest_view_takes_view_bytes(horizons, text):
    segments = 1_000 // horizons
    with measured() as taken:
        view = LatestView(SMALL.max_segments, SMALL.max_age, SMALL.view_bytes)
        for number in range(segments * horizons):
            at = number // horizons + segments * (number % horizons)
            view.apply(normalise(a_record(at, segments, text, horizons)).predictions[0][1], 0, place(number))
        assert len(view) < segments, "it is full"
        assert is_near(taken(), SMALL.view_bytes)


@pytest.mark.parametrize("text", [PLAIN, WIDE])
def test_the_view_of_observations_takes_observed_bytes(text):
    with measured() as taken:
        view = LatestView(SMALL.max_segments, SMALL.max_age, SMALL.observed_bytes)
        for number in range(500):
            record = Record(SMALL.topic, 0, number, START_MS, None, value(number, 500, text, is_observation=True))
            view.apply(normalise(record).observations[0][1], 0, place(number))
        assert len(view) < 400, "it is full"
        assert is_near(taken(), SMALL.observed_bytes)


def test_a_ring_buffer_of_observations_takes_buffer_bytes():
    with measured() as taken:
        feed = Feed(SMALL)
        fill(feed, 3_000, segments=20, is_observation=True)
        assert len(feed._state.ring) < 2_000, "it is full"
        assert is_near(taken(), SMALL.buffer_bytes)


def test_observations_in_the_scores_take_scores_bytes():
    with measured() as taken:
        scores = Scores(SMALL)
        for number in range(20_000):
            record = Record(SMALL.topic, 0, number, START_MS, None, value(number, 40, is_observation=True))
            observation = normalise(record).observations[0][1]
            scores.take([observation], observation.timestamp)
        assert 0.5 * SMALL.scores_bytes <= taken() <= 1.25 * SMALL.scores_bytes, (
            "a measurement takes less than a forecast"
        )


def test_the_view_forgets_what_it_counted():
    view = LatestView(10, SMALL.max_age, SMALL.view_bytes)
    for number in range(400):
        view.apply(normalise(a_record(number, 20, horizons=3)).predictions[0][1], 0, place(number))
    assert view.size_bytes > 0
    for number in range(20):
        view.remove(f"LA_{number:06}")
    assert (len(view), view.size_bytes) == (0, 0)


@pytest.mark.parametrize("horizons", [1, 4])
@pytest.mark.parametrize("interval", [{}, {"lower": 30.0, "upper": 90.0}], ids=["plain", "intervals"])
def test_the_scores_take_scores_bytes(horizons, interval):
    with measured() as taken:
        scores = Scores(SMALL)
        for number in range(6_000):
            prediction = normalise(a_record(number, 40, horizons=horizons)).predictions[0][1]
            scores.take([structs.replace(prediction, **interval)], prediction.timestamp)
        assert is_near(taken(), SMALL.scores_bytes)


def test_chunks_of_replays_take_replay_bytes():
    topic = MemoryTopic(4, b"topic-01")
    for number in range(3_000):
        topic.append(a_record(number, 100).value, partition=number % 4)
    settings = structs.replace(SMALL, buffer_bytes=2 * MB)
    replays = Replays(settings, lambda _: MemorySource(topic))
    ends = tuple(place(len(log)) for log in topic.logs)
    partitions = [Partition(SMALL.topic, number) for number in range(4)]
    with measured() as taken:
        position = Position(topic.incarnation, (place(0),) * 4)
        for _ in range(8):
            chunk = replays.chunk(key := ChunkKey(0, position), ends, partitions, 20)
            position = Position(topic.incarnation, chunk.end)
            replays.use(key, is_done=True)
        del chunk
        stated = replays.chunks.size_bytes
        assert is_near(taken(), stated)
        assert 0.75 * settings.replay_bytes <= stated <= settings.replay_bytes
    replays.readers.close()
    replays.readers.join(10)


def test_bodies_of_filters_take_answer_bytes():
    settings = structs.replace(SMALL, buffer_bytes=8 * MB)
    feed = Feed(settings)
    fill(feed, 500, segments=100)
    with measured() as taken:
        views = Views(settings.answer_bytes)
        for number in range(60):
            views.body(feed, Filter(box=Box(-180.0, -90.0, 180.0, 90.0 - number / 100)))
        assert is_near(taken(), settings.answer_bytes)


SHARES = [
    ("everything", 3.125),
    ("unsent", 1 / 4),
    ("plain", 1),
    ("wide", 1),
    ("observations", 1),
    ("partitions", 1),
    ("messages", 3 / 8),
    ("chunks", 1 / 4),
]


@pytest.mark.parametrize(("case", "share"), SHARES, ids=str)
def test_a_process_grows_by_what_the_settings_say(case, share):
    size = 8 * MB
    command = [sys.executable, "-m", "tests.memory_cases", case, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert is_near(int(done.stdout), share * size)
