"""Memory is what the settings say: each store is filled past its bound, and takes what it counts, within 25 %."""

import gc
import json
import tracemalloc
from contextlib import contextmanager

import pytest
from msgspec import structs

from consumer.cursor import Position, place
from consumer.feed import Feed
from consumer.filters import Box, Filter
from consumer.latest import MAX_HORIZONS, LatestView
from consumer.memory import MemorySource, MemoryTopic
from consumer.normalise import Normaliser
from consumer.record import Record
from consumer.replay import Replays
from consumer.scores import Scores
from consumer.settings import Settings
from web import sse, websocket
from web.views import Views

MB = 1 << 20
SMALL = Settings(kafka_backlog="all", buffer_bytes=MB, buffer_entries=1_000_000, max_segments=1_000_000)
START_MS = 1_700_000_000_000
PLAIN, WIDE, LATIN = "northbound", "🚗 " + "x" * 200, "é" + "x" * 200
normalise = Normaliser(SMALL)


def a_record(number, segments, text=PLAIN, horizons=1, partitions=4):
    """Return a record of some 380 bytes without its text; segments, horizons and partitions take turns."""
    turn, segment = divmod(number, segments)
    message = {
        "segment_id": f"LA_{segment:06}",
        "timestamp": START_MS + turn * 1_000,
        "prediction_time": f"2026-11-20T07:{turn % 60:02}:10.250Z",
        "horizon_minutes": 15 * (1 + turn % horizons),
        "current_speed": 40 + number % 700 / 32,
        "predicted_speed": 41 + number % 900 / 32,
        "coordinates": {"latitude": 34 + number % 97 / 128, "longitude": -118 - number % 89 / 128},
        "road_name": f"I-405 {segment} {text}",
        "model": "dcrnn-2026-11",
        "source": "detectors",
    }
    value = json.dumps(message, ensure_ascii=False).encode()
    return Record(number % partitions, 10_000_000 + number // partitions, START_MS, None, value)


@contextmanager
def measured():
    """Yield a function that gives the bytes that were taken since and are still held."""
    gc.collect()
    tracemalloc.start()
    try:
        yield lambda: (gc.collect(), tracemalloc.get_traced_memory()[0])[1]
    finally:
        tracemalloc.stop()


def is_near(taken, stated):
    """Tell whether memory is what was stated, within 25 %."""
    return 0.75 * stated <= taken <= 1.25 * stated


def fill(feed, count, partitions=4, **kinds):
    """Publish records, and give each to a client of either kind of stream."""
    feed.begin(Position(b"topic-01", (place(10_000_000),) * partitions))
    for begin in range(0, count, 250):
        records = [a_record(number, partitions=partitions, **kinds) for number in range(begin, begin + 250)]
        feed.publish([(record, normalise(record)) for record in records])
        for entry in feed._ring.read(feed._ring.end - 250, 250):
            sse._frame(entry)
            websocket._frame(entry)


@pytest.mark.parametrize(
    ("partitions", "text"),
    [(4, PLAIN), (4, WIDE), (4, LATIN), (400, PLAIN)],
    ids=["plain text", "wide text", "accents", "400 partitions"],
)
def test_the_ring_buffer_takes_buffer_bytes(partitions, text):
    with measured() as taken:
        feed = Feed(SMALL)
        fill(feed, 1_000, partitions, segments=20, text=text)
        assert len(feed._ring) < 750, "it is full"
        assert is_near(taken(), SMALL.buffer_bytes)


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


def test_the_view_forgets_what_it_counted():
    view = LatestView(10, SMALL.max_age, SMALL.view_bytes)
    for number in range(400):
        view.apply(normalise(a_record(number, 20, horizons=3)).predictions[0][1], 0, place(number))
    assert view.size_bytes > 0
    for number in range(20):
        view.remove(f"LA_{number:06}")
    assert (len(view), view.size_bytes) == (0, 0)


@pytest.mark.parametrize("horizons", [1, 4])
def test_the_scores_take_scores_bytes(horizons):
    with measured() as taken:
        scores = Scores(SMALL)
        for number in range(12_000):
            prediction = normalise(a_record(number, 40, horizons=horizons)).predictions[0][1]
            scores.take([prediction], prediction.timestamp)
        assert is_near(taken(), SMALL.scores_bytes)


def test_chunks_of_replays_take_replay_bytes():
    topic = MemoryTopic(4, b"topic-01")
    for number in range(3_000):
        topic.append(a_record(number, 100).value, partition=number % 4)
    settings = structs.replace(SMALL, buffer_bytes=2 * MB)
    replays = Replays(settings, lambda _: MemorySource(topic))
    ends = tuple(place(len(log)) for log in topic.logs)
    with measured() as taken:
        position = Position(topic.incarnation, (place(0),) * 4)
        for _ in range(8):
            chunk = replays.chunk(position, ends, 20)
            position = Position(topic.incarnation, chunk.end)
        del chunk
        stated = sum(kept.chunk.size_bytes for kept in replays._chunks.values())
        assert is_near(taken(), stated)
        assert 0.75 * settings.replay_bytes <= stated <= settings.replay_bytes
    replays.close()
    replays.join(10)


def test_bodies_of_filters_take_answer_bytes():
    settings = structs.replace(SMALL, buffer_bytes=8 * MB)
    feed = Feed(settings)
    fill(feed, 500, segments=100)
    with measured() as taken:
        views = Views(settings.answer_bytes)
        for number in range(60):
            views.body(feed, Filter(box=Box(-180.0, -90.0, 180.0, 90.0 - number / 100)))
        assert is_near(taken(), settings.answer_bytes)
