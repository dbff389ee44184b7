"""Fills one store of a process and prints by how many bytes the process grew: python -m tests.memory_cases CASE BYTES.

`tests/test_memory.py` compares that with the settings, and docs/memory.md shows it.
"""

import gc
import json
import os
import selectors
import socket
import sys
from pathlib import Path

from msgspec import structs

from consumer.messages.normalise import Normaliser
from consumer.resume.chunk import ChunkKey
from consumer.resume.replay import Replays
from consumer.settings import Settings
from consumer.sources.memory import MemorySource, MemoryTopic
from consumer.sources.record import Partition, Record
from consumer.view.cursor import Position, place
from consumer.view.feed import Feed
from consumer.view.filters import Box, Filter
from web.answers.views import Views
from web.server.outbox import Outbox
from web.server.sockets import Socket
from web.streams.messages import MessageCache, message_of

TOPIC = b"topic-01"
START_MS, START = 1_700_000_000_000, 10_000_000
PLAIN, WIDE = "northbound", "🚗 " + "x" * 200


def value(number, segments, text=PLAIN, horizons=1, is_observation=False):
    """Return a message of some 380 bytes without its text; segments and horizons take turns.

    An observation is smaller.
    """
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
    if is_observation:
        for name in ("predicted_speed", "horizon_minutes"):
            del message[name]
    return json.dumps(message, ensure_ascii=False).encode()


def fill(feed, count, partitions=4, serve=True, cache=None, **kinds):
    """Publish records, and encode the message of each, which only a cache keeps."""
    normalise = Normaliser(feed.settings)
    feed.begin(
        Position(TOPIC, (place(START),) * partitions),
        [Partition(feed.settings.topic, number) for number in range(partitions)],
    )
    for begin in range(0, count, 250):
        records = [
            Record(
                feed.settings.topic,
                number % partitions,
                START + number // partitions,
                START_MS,
                None,
                value(number, **kinds),
            )
            for number in range(begin, begin + 250)
        ]
        feed.publish([(record, normalise(record)) for record in records])
        for entry in (
            feed._state.ring.read(max(feed._state.ring.oldest, feed._state.ring.end - 250), 250) if serve else ()
        ):
            message = cache.get(entry) if cache else message_of(entry, entry.cursor)
            message.encode_sse(), message.encode_websocket()


def ring(settings, **kinds):
    """Fill the ring buffer twice."""
    feed = Feed(settings)
    fill(feed, settings.buffer_bytes // 500, segments=50, **kinds)
    return feed


def messages(settings):
    """Fill the cache of messages twice, and the ring buffer with next to nothing."""
    feed, cache = Feed(structs.replace(settings, buffer_entries=250)), MessageCache(settings.message_bytes)
    fill(feed, settings.message_bytes // 1_000, cache=cache, segments=50)
    return feed, cache


def view(settings):
    """Fill the latest view with four horizons of each segment, and the ring buffer with next to nothing."""
    feed = Feed(structs.replace(settings, buffer_entries=100))
    segments = settings.buffer_bytes // 4_000
    fill(feed, 4 * segments, segments=segments, horizons=4, text="x" * 150, serve=False)
    return feed


def bodies(settings):
    """Ask with 64 filters that all match everything."""
    feed = Feed(structs.replace(settings, buffer_entries=100))
    fill(feed, settings.buffer_bytes // 8_000, segments=settings.buffer_bytes // 8_000, serve=False)
    views = Views(settings.answer_bytes) if hasattr(settings, "answer_bytes") else Views()
    before = resident()
    for number in range(64):
        views.body(feed, Filter(box=Box(-180.0, -90.0, 180.0, 90.0 - number / 100)))
    return feed, views, before


def topic_of(settings):
    """Return a topic whose chunks take more than their share."""
    topic = MemoryTopic(4, TOPIC)
    for number in range(settings.buffer_bytes // 400):
        topic.append(value(number, 100, "x" * 150), partition=number % 4)
    return topic


def chunks(settings, topic=None):
    """Read the past once, from its beginning to its end."""
    topic = topic or topic_of(settings)
    replays = Replays(settings, lambda _: MemorySource(topic))
    ends, position = tuple(place(len(log)) for log in topic.logs), Position(TOPIC, (place(0),) * 4)
    partitions = [Partition(settings.topic, number) for number in range(4)]
    before = resident()
    while position.places != ends:
        chunk = replays.chunk(key := ChunkKey(0, position), ends, partitions, 20)
        position = Position(TOPIC, chunk.end)
        replays.use(key, is_done=True)
    del chunk
    replays.readers.close()
    replays.readers.join(10)
    return topic, replays, before


def unsent(settings):
    """Respond to more clients than the outbox may hold responses for; none of them reads."""
    outbox = Outbox(selectors.DefaultSelector(), settings.unsent_bytes)
    clients = []
    while len(outbox) == len(clients):
        ours, theirs = socket.socketpair()
        sock = Socket(fileno=ours.detach())
        sock.settimeout(0)
        sock.buffers_writes = True
        sock.sendall(b"x" * max(settings.unsent_bytes // 15, 400_000))
        clients.append((sock, theirs))
        outbox.send(sock, lambda is_sent: None)
    return outbox, clients


def everything(settings):
    """Fill all stores of one process together."""
    topic = topic_of(settings)
    before = resident()
    feed, cache = Feed(settings), MessageCache(settings.message_bytes)
    segments = settings.buffer_bytes // 4_000
    fill(feed, 2 * segments, serve=False, segments=2 * segments, text="x" * 150, is_observation=True)
    fill(feed, settings.buffer_bytes // 500, cache=cache, segments=segments, horizons=4, text="x" * 150)
    views = Views(settings.answer_bytes)
    for number in range(16):
        views.body(feed, Filter(box=Box(-180.0, -90.0, 180.0, 90.0 - number / 100)))
    return feed, cache, views, chunks(settings, topic), unsent(settings), before


CASES = {
    "everything": everything,
    "unsent": unsent,
    "plain": ring,
    "messages": messages,
    "observations": lambda settings: ring(settings, is_observation=True),
    "wide": lambda settings: ring(settings, text=WIDE),
    "partitions": lambda settings: ring(settings, partitions=400),
    "view": view,
    "bodies": bodies,
    "chunks": chunks,
}


def resident():
    """Return the bytes that this process has in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(case, size):
    """Print by how much the process grew, after a small one of the same has loaded all code."""
    settings = Settings(
        kafka_backlog="all", buffer_entries=10_000_000, max_segments=1_000_000, buffer_bytes=1 << 20, replay_readers=1
    )
    CASES[case](settings)
    before = resident()
    filled = CASES[case](structs.replace(settings, buffer_bytes=int(size)))
    if isinstance(filled, tuple) and isinstance(filled[-1], int):
        before = filled[-1]
    sys.stdout.write(f"{resident() - before}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
