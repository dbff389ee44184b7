"""What several tests of the consumer need: small messages, and a feed filled from them."""

import json
import time

from consumer.messages.clock import wall_ms
from consumer.messages.normalise import Normaliser
from consumer.resume.subscriptions import Subscriptions
from consumer.settings import Settings
from consumer.sources.record import Partition, Record
from consumer.view.cursor import Position, place
from consumer.view.feed import Feed

TOPIC = b"topic-01"
SETTINGS = Settings(kafka_backlog="all")
normalise = Normaliser(SETTINGS)


def message(segment="LA_001", timestamp=1_700_000_000_000, speed=50.0, **fields):
    """Return the bytes of one prediction."""
    item = {"segment_id": segment, "timestamp": timestamp, "predicted_speed": speed, **fields}
    return json.dumps(item).encode()


def array(*items):
    """Return the bytes of an array of messages."""
    return b"[" + b",".join(items) + b"]"


def record(partition, offset, value, key=None):
    """Return a record with no time of its own."""
    return Record(SETTINGS.topic, partition, offset, -1, key, value)


def partitions_to(count, topic=SETTINGS.topic):
    """Return the first partitions of a topic."""
    return [Partition(topic, number) for number in range(count)]


def begin_at(feed, position, break_=None):
    """Begin at a position of the first partitions of the topic in the settings."""
    feed.begin(position, partitions_to(len(position.places), feed.settings.topic), break_)


def feed_of(partitions=2, settings=SETTINGS, topic=TOPIC, start=0, now_ms=wall_ms):
    """Return a feed that begins at an offset of every partition."""
    feed = Feed(settings, now_ms=now_ms)
    begin_at(feed, Position(topic, (place(start),) * partitions))
    return feed


def grow(feed, partitions):
    """Add partitions to the only topic of a feed, from their beginning."""
    position, topic = feed.position, feed.partitions[0].topic
    feed.grow(
        {Partition(topic, number): 0 for number in range(len(position.places), partitions)},
        {topic: position.incarnation},
    )


def at(*offsets, topic=SETTINGS.topic):
    """Return offsets of the partitions of one topic; None leaves one out."""
    return {Partition(topic, number): offset for number, offset in enumerate(offsets) if offset is not None}


def subscribe(feed, *args, **kwargs):
    """Subscribe to a feed whose process has no replays."""
    return Subscriptions(feed).subscribe(*args, **kwargs)


def publish(feed, *records):
    """Normalise records and publish them as one batch."""
    return feed.publish([(each, normalise(each)) for each in records])


def eventually(condition, timeout=30):
    """Wait until a condition is true; return its value."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
    return value
