"""A feed that a test fills, and sessions and channels of it at a clock that a test sets."""

import json

from hypothesis import strategies as st
from msgspec import structs

from consumer.resume.subscriptions import Subscriptions
from consumer.view.cursor import Position, decode, place
from consumer.view.events import Gap, Status
from consumer.view.feed import Feed
from consumer.view.filters import EVERYTHING, Filter
from tests.consumer.helpers import SETTINGS, TOPIC, begin_at, feed_of, message, publish, record
from web.streams.channel import Channel
from web.streams.encodings import SSE
from web.streams.messages import MessageCache
from web.streams.resume import Resumes
from web.streams.session import StreamSession
from web.streams.stream import ClientStream

HEARTBEAT_SECONDS = 15.0
MAX_BYTES = 10**9
SEVERE = Filter(categories=frozenset({"severe_congestion"}))
ONE_OF_FIVE = Filter(segments=frozenset({"S1"}))
FILTERS = (EVERYTHING, SEVERE, ONE_OF_FIVE)


class World:
    """A feed of one partition, with the clock `now`. Predictions are of `segments` segments in turn."""

    def __init__(self, entries=10_000, segments=5, has_started=True):
        settings = structs.replace(SETTINGS, buffer_entries=entries)
        self.feed = feed_of(1, settings) if has_started else Feed(settings)
        self.subscriptions = Subscriptions(self.feed)
        self.cache = MessageCache(10_000_000)
        self.segments = segments
        self.now = 0.0
        self.stats = {"total": 0}
        self.offset = self.count = 0

    def publish(self, count=1, speed=None):
        """Publish predictions as one batch; without `speed` they are severe by turns."""
        batch = []
        for _ in range(count):
            now_severe = self.count // self.segments % 2
            fields = message(
                f"S{self.count % self.segments}",
                1_700_000_000_000 + self.count,
                (10.0 if now_severe else 90.0) if speed is None else speed,
            )
            batch.append(record(0, self.offset, fields))
            self.offset += 1
            self.count += 1
        publish(self.feed, *batch)

    def observe(self, segment="S0"):
        """Publish an observation."""
        measured = {"segment_id": segment, "timestamp": 1_700_000_000_000 + self.count, "current_speed": 40.0}
        publish(self.feed, record(0, self.offset, json.dumps(measured).encode()))
        self.offset += 1

    def announce(self):
        """Announce a status that equals the last one."""
        self.feed.announce(Status("live", 0.0, "reading"))

    def begin(self):
        """Continue two records later, as after a retention."""
        self.offset += 2
        begin_at(self.feed, Position(TOPIC, (place(self.offset),)), Gap("expired", 2))

    def truncate(self):
        """Continue two records before, as after an unclean election."""
        self.offset = max(0, self.offset - 2)
        self.feed.truncate(Position(TOPIC, (place(self.offset),)))

    def open_session(self, wanted, now, cursor):
        """Return a session, as a channel needs it."""
        return StreamSession(self.cache, lambda: dict(self.stats), HEARTBEAT_SECONDS, now, cursor)

    def channel(self, wanted=EVERYTHING, encoding=SSE):
        """Return a channel at the clock's value."""
        return Channel(self.subscriptions, wanted, encoding, self.open_session, self.now)


class Following:
    """Takes what a stream gives, as the hub does: it makes the steps of its resume, and follows the list where it was.

    Nothing is given twice or left out when several clients share a resume.
    """

    def __init__(self, world, channel):
        self.world, self.channel = world, channel
        self.resumes = Resumes(channel, world.subscriptions)
        self.stream = ClientStream()
        self._sent = None

    def start(self, after=None, owes_view=False, since_ms=None, resumes=None):
        """Start after a cursor, or with the view."""
        self.stream = ClientStream()
        self.stream.enter(self.channel)
        self._sent = None
        where = (resumes or self.resumes).start(after, since_ms, owes_view, None, self.world.now, MAX_BYTES)
        self.stream.follow(*where)

    def follow(self, block, resume=None):
        """Continue after a block."""
        self._sent = None
        self.stream.follow(block, resume)

    def leave_blocks(self):
        """Leave the blocks, as a client that is too far behind."""
        self._follow_again()
        if (elsewhere := self.resumes.leave(self.stream.block, None, self.world.now, MAX_BYTES)) is not None:
            self.stream.follow(*elsewhere)

    def next(self):
        """Return the next piece; empty if there is none now."""
        self._follow_again()
        while not (data := self.stream.take(self.world.now)):
            resume = self.stream.branch
            if not self.stream.is_live or resume is None:
                return b""
            tail = resume.tail
            resume.step(self.world.now, MAX_BYTES)
            if resume.tail is tail and not resume.has_joined and not resume.has_more:
                self._sent = tail
                return b""
            self.stream.follow(tail, resume)
        return data

    @property
    def is_resuming(self):
        """Whether it is not in the blocks of the channel."""
        return self.stream.branch is not None

    def _follow_again(self):
        if self._sent is not None:
            self.stream.follow(self._sent, self.stream.branch)
            self._sent = None


def view_of(channel, now, max_bytes=MAX_BYTES):
    """Return the block from which a client starts that needs the view, all of which is made; None without a view."""
    place = channel.view(now, max_bytes)
    if place is None:
        return None
    block, view = place
    while not view.has_joined:
        view.step()
    return block


class Own:
    """A client with a subscription of its own, which the channel is compared with."""

    def __init__(self, world, wanted, encoding=SSE):
        self.world = world
        self.encoding = encoding
        self.subscription = world.subscriptions.subscribe(None, wanted)
        self.session = world.open_session(wanted, world.now, None)
        self.data = b""

    def read(self):
        """Read all there is."""
        is_moving = True
        while is_moving:
            before = self.subscription.next_sequence
            events = self.subscription.read()
            self.session.put(events, None if events else self.subscription.cursor)
            is_moving = bool(events) or before != self.subscription.next_sequence
            while not self.session.is_drained:
                self.data += self.encoding.encode(self.session.take(self.world.now))


def events_of(data):
    """Return the (cursor, message) pairs of SSE bytes, without comments."""
    events = []
    for frame in data.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in frame.split("\n") if ": " in line and not line.startswith(":"))
        if "data" in fields:
            events.append((fields.get("id"), json.loads(fields["data"])))
    return events


def offset_of(cursor):
    """Return the offset in a cursor of one partition."""
    return decode(cursor).places[0] >> 24


CHANGES = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 30)),
    st.tuples(st.sampled_from(["announce", "begin", "truncate"])),
)
"""What happens to a feed: the name of a method of World, and its arguments."""
