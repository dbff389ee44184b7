"""One simulated process: the product's feed, subscriptions, channels and streams, without threads and sockets.

`Process` does what the consumer thread and the hub do, one small step at a time, when the simulation says so.
"""

import threading

from msgspec import structs

from consumer.errors import SourceError
from consumer.resume.readers import Readers
from consumer.resume.replay import Replays
from consumer.resume.subscriptions import Subscriptions
from consumer.resume.throttle import Throttle
from consumer.runtime.lag import Lag
from consumer.runtime.positions import Positions
from consumer.runtime.states import Announcer
from consumer.runtime.waiting import Waiting
from consumer.sources.base import Expired, Truncated
from consumer.sources.memory import MemoryCluster, MemorySource
from consumer.view.cursor import incarnations, offset_of
from consumer.view.events import Status
from consumer.view.feed import Feed
from web import wire
from web.streams.blocks import Branch
from web.streams.channel import Channel, View
from web.streams.messages import Message, MessageCache
from web.streams.resume import Resumes
from web.streams.session import StreamSession
from web.streams.stream import ClientStream

HEARTBEAT_SECONDS = 7.0
CACHE_BYTES = 20_000
VIEW_LAG_BYTES = SHARED_BYTES = 4_000
GREETING = wire.json_bytes({"type": "connected"})


class NoRest(threading.Event):
    """An event that is never set, and that no thread waits for: throttled work does not rest."""

    def wait(self, timeout=None):
        """Return at once."""
        return False


class SteppedBudget:
    """The time of a reader, counted in questions."""

    closed = NoRest()
    throttle = Throttle(closed)

    def __init__(self):
        self._asked = 0

    def is_over(self, has_something=False):
        """Tell whether it was asked a few times: what isn't in the log then does not come."""
        self._asked += 1
        return self._asked > 6


class SteppedSource(MemorySource):
    """A source in memory that never waits, and answers its process only while that is connected."""

    def __init__(self, topics, process, batch):
        super().__init__(topics, batch)
        self._process = process

    def poll(self, timeout):
        """Return the next records, without waiting."""
        self._require()
        return super().poll(0)

    def request_metadata(self, timeout=0.0):
        """Ask without waiting."""
        return super().request_metadata(0)

    def _require(self):
        if self._process.feed.is_cut_off:
            raise SourceError("the process has no connection")


class SteppedReaders(Readers):
    """Readers without threads: `step()` does one read. Only the look-up of a time is done at once."""

    def ask(self, key, read, seconds, client, cost):
        """Request a read, and return its result if it was done."""
        now = self._clock()
        pending = self._pending.request(key, read, now, client, cost)
        if not pending.is_settled:
            pending.awaited_until = now + 1_000
        if isinstance(key, int):
            self._read(pending)
        return self._result(pending)

    def step(self):
        """Do the next read; return whether there was one."""
        pending = self._pending.next(self._clock(), True)
        if pending is not None:
            self._read(pending)
        return pending is not None

    def _read(self, pending):
        found = error = None
        try:
            found = pending.read(self._open(self._settings), SteppedBudget())
        except Exception as raised:
            error = raised
        self._settle(pending, found, error)


class Connection:
    """The server's side of one client, and the bytes on their way to it."""

    def __init__(self, client, encoding, random):
        self.client = client
        self.encoding = encoding
        self.stream = ClientStream()
        self.group = self.line = None
        self.sent = b""
        """What the client has not handled yet."""
        self.rest = b""
        """What its socket did not take."""
        self.is_stalled = False
        self._random = random

    @property
    def is_blocked(self):
        """Whether it must take the rest of a block first."""
        return bool(self.rest)

    @property
    def is_live(self):
        """Whether it was sent all blocks of its channel."""
        return self.group is not None and self.line is self.group.channel

    def send(self, data):
        """Take all bytes, or some if the client reads slowly; return how many."""
        count = self._random.randrange(len(data)) if self.is_stalled else len(data)
        self.sent += data[:count]
        return count


class Group:
    """A channel, its clients, and where they start, as in the hub."""

    def __init__(self, channel, subscriptions):
        self.channel = channel
        self.resumes = Resumes(channel, subscriptions)
        self.members = {}


class Process:
    """A process that reads some topics; `random` of its world decides what its sockets take."""

    def __init__(self, name, world, topics):
        self.name = name
        self._world = world
        self._random = world.random
        self.groups = {}
        self.connections = []
        self._lives = 0
        self.restart(topics)

    # The consumer thread

    def restart(self, topics):
        """Begin again with nothing in memory, with these topics in the settings."""
        assert not self.connections, "the end of a process closes its connections"
        world, self._topics = self._world, {topic.name: topic for topic in topics}
        self.settings = structs.replace(world.settings, kafka_topic=",".join(self._topics))
        self._cluster = MemoryCluster(topics)
        self.feed = Feed(self.settings, clock=world.clock, now_ms=world.now_ms)
        replays = Replays(self.settings, self._open, world.normalise, world.clock)
        self.readers = replays.readers = SteppedReaders(self.settings, self._open, replays.chunks, world.clock)
        self.subscriptions = Subscriptions(self.feed, replays, Throttle(NoRest()))
        self._cache = MessageCache(CACHE_BYTES)
        announcer, waiting = Announcer(self.feed, lambda: None), Waiting(lambda _: False)
        self._positions = Positions(self.settings, self.feed, announcer, Lag(30), waiting)
        self._source = MemorySource(self._cluster)
        self._found = {}
        self._lives += 1
        self.announce("catching_up")
        self.notice()

    def _open(self, _settings):
        return SteppedSource(self._cluster, self, 7)

    def announce(self, state):
        """Enter a state."""
        self.feed.announce(Status(state, self._world.seconds, f"the simulation chose {state}"))
        self.subscriptions.reset_timeouts()

    @property
    def topics_there(self):
        """The topics in its settings that exist now."""
        return [topic for topic in self._topics.values() if topic.exists]

    @property
    def topics_known(self):
        """The ids of the topics that it reads, or has read."""
        return frozenset(incarnations(self.feed.position))

    @property
    def is_current(self):
        """Whether it reads the topics as they are now."""
        return self._found == self._source.status().topics

    @property
    def view_id(self):
        """What names the view that it has, from one break in reading to the next."""
        with self.feed.locked() as state:
            return self.name, self._lives, state.generation

    @property
    def _offsets(self):
        position = self.feed.position
        return dict(zip(self.feed.partitions, map(offset_of, position.places), strict=True))

    @property
    def ends(self):
        """The end of each log that it reads; where it is itself in those that are no longer there."""
        ends = {}
        for (partition, at), topic in zip(self._offsets.items(), incarnations(self.feed.position), strict=True):
            name, number = partition
            ends[topic, number] = len(self._topics[name].logs[number]) if self._can_read(partition) else at
        return ends

    def notice(self):
        """Notice that topics were created, deleted or recreated, or have more partitions; return whether any did."""
        if self.is_current or self.feed.is_cut_off:
            return False
        self._found = self._source.status().topics
        known = self.topics_known if self.feed.position is not None else frozenset()
        self._in_the_same_state(self._positions.start, self._source, self._found)
        self.feed.expect_topics(len(self._found) < len(self._topics))
        starts = dict(zip(self.ends, self.feed.position.places, strict=True))
        for connection in self.connections:
            connection.client.note_added({log: at for log, at in starts.items() if log[0] not in known})
        return True

    def read(self, partition, count):
        """Read so many records of a partition; return how many offsets it moved on."""
        if self.feed.is_cut_off or not self._can_read(partition):
            return 0
        topic, at = self._topics[partition.topic], self._offsets[partition]
        begin = topic.begins[partition.number]
        if at < begin:
            error = Expired([partition])
            has_recovered = self._in_the_same_state(self._positions.recover, self._source, self._found, error)
            return begin - at if has_recovered else 0
        records = topic.logs[partition.number][at : at + count]
        self.feed.publish([(each, self._world.normalise(each)) for each in records if each is not None])
        offsets = {**self._offsets, partition: at + len(records)}
        self.feed.advance(list(offsets.values()))
        return len(records)

    @property
    def partitions(self):
        """The partitions that it reads."""
        return self.feed.partitions

    def _can_read(self, partition):
        topic, found = self._topics[partition.topic], self._found.get(partition.topic)
        is_known = topic.exists and found is not None and found.incarnation == topic.incarnation
        return is_known and partition.number < len(topic.logs)

    def truncate(self, partition, offset):
        """Notice that records were lost; return whether it had read some of them."""
        if partition not in self._offsets or not self._can_read(partition) or self._offsets[partition] <= offset:
            return False
        self.notice()
        topics, error = self._source.status().topics, Truncated({partition: offset})
        return self._in_the_same_state(self._positions.recover, self._source, topics, error)

    def answer_ends(self):
        """Give the feed the end offsets if a client waits for them."""
        if not self.is_current or self.feed.is_cut_off:
            return
        if self.feed.ends_wanted_since is not None:
            ends, _ = self._source.ends_since(0)
            self.feed.note_ends([ends.get(each, 0) for each in self.feed.partitions], self._world.seconds)

    def _in_the_same_state(self, act, *args):
        state = self.feed.status.state
        done = act(*args)
        self.announce(state)  # the simulation chooses the states, and their times
        return done

    # The hub

    def connect(self, client, encoding, start):
        """Open a stream for a client, which asked for `start`."""
        connection = Connection(client, encoding, self._random)
        self.connections.append(connection)
        connection.stream.add(encoding.prefix + encoding.encode([Message(GREETING)]))
        self._start(connection, start)
        self.write(connection)
        return connection

    def subscribe(self, connection, start):
        """Answer a `subscribe` message of a WebSocket."""
        self._leave_live(connection)
        connection.stream.add(connection.encoding.encode([Message(wire.subscribed({}))]))
        self._start(connection, start)
        if not connection.is_blocked:
            self.write(connection)

    def disconnect(self, connection):
        """End a stream."""
        self._leave(connection)
        self.connections.remove(connection)

    def flush(self, group):
        """Let a channel make blocks of what is new, and send them."""
        channel = group.channel
        with self._too_slow_only_behind(channel._subscription):
            channel.flush(self._world.seconds)
        self._send_blocks(channel)
        group.resumes.limit(self._world.seconds, SHARED_BYTES)

    def write(self, connection, most=1_000):
        """Send a stream what there is for it, at most so many pieces; return whether there was anything."""
        for sent in range(most):
            data = connection.rest or connection.stream.take(self._world.seconds)
            if data:
                connection.rest = data[connection.send(data) :]
            elif not self._go_live(connection):
                return sent > 0
            if connection.rest:
                return True
        return True

    def leave_blocks(self, group, lag_bytes):
        """Let clients that are far behind read the ring buffer."""
        for connection in group.members:
            stream = connection.stream
            if connection.is_blocked and stream.block is not None and stream.lag_bytes > lag_bytes:
                elsewhere = group.resumes.leave(stream.block, None, self._world.seconds, SHARED_BYTES)
                if elsewhere is not None:
                    stream.follow(*elsewhere)

    def tick(self):
        """Do what the clock asks for."""
        now = self._world.seconds
        for group in list(self.groups.values()):
            if group.channel.deadline <= now:
                self.flush(group)
        for connection in self.connections:
            branch = connection.stream.branch
            if branch is not None and connection.line is branch and branch.deadline <= now:
                self.write(connection)
        self.subscriptions.tidy()

    def _go_live(self, connection):
        """Let a client that was sent all follow its resume, of which a step is made, or its channel.

        Return whether there is more for it at once.
        """
        stream = connection.stream
        if not stream.is_live:
            return False
        line = stream.branch or connection.group.channel
        self._send_blocks(line)
        line.live[connection], connection.line = None, line
        return line is stream.branch and self._advance(line)

    def _advance(self, resume):
        """Make a step of a resume; return whether there was anything."""
        tail = resume.tail
        if isinstance(resume, View):
            resume.step()
        else:
            with self._too_slow_only_behind(resume._subscription, resume.channel._subscription):
                resume.step(self._world.seconds, SHARED_BYTES)
        self._send_blocks(resume)
        if resume.has_joined:
            for connection in list(resume.live):
                self._leave_live(connection)
                if not connection.is_blocked:
                    self.write(connection)
        return resume.has_joined or resume.tail is not tail

    def _leave_live(self, connection):
        line, connection.line = connection.line, None
        if line is not None:
            del line.live[connection]
            connection.stream.follow(line.sent, line if isinstance(line, Branch) else None)

    def _send_blocks(self, line):
        while line.sent is not line.tail:
            line.sent = block = line.sent.next
            if not block.data:
                continue
            for connection in list(line.live):
                count = connection.send(block.data)
                if count < len(block.data):
                    self._leave_live(connection)
                    connection.rest = block.data[count:]

    def _start(self, connection, start):
        now, stream = self._world.seconds, connection.stream
        group = self._enter(connection, start)
        stream.enter(group.channel)
        block, branch = group.resumes.start(
            start.after, start.since_ms, start.owes_view, start.address, now, VIEW_LAG_BYTES
        )
        stream.follow(block, branch)
        if not isinstance(branch, View) and branch.claim_look_up():
            branch.begin(
                self.subscriptions.subscribe_anyway(None, start.wanted, start.since_ms, start.address, start.owes_view),
                now,
            )

    def _enter(self, connection, start):
        self._leave(connection)
        key = start.wanted, connection.encoding, start.every
        if key not in self.groups:
            self.groups[key] = Group(
                Channel(
                    self.subscriptions,
                    start.wanted,
                    connection.encoding,
                    self._open_session,
                    self._world.seconds,
                    start.every,
                ),
                self.subscriptions,
            )
        connection.group = self.groups[key]
        connection.group.members[connection] = None
        return connection.group

    def _leave(self, connection):
        group, connection.group = connection.group, None
        if group is not None:
            if connection.line is not None:
                del connection.line.live[connection]
                connection.line = None
            del group.members[connection]
            if not group.members:
                del self.groups[group.channel.wanted, connection.encoding, group.channel.every]

    def _open_session(self, wanted, now, cursor):
        return StreamSession(self._cache, self._stats, HEARTBEAT_SECONDS, now, cursor)

    def _stats(self):
        return {"received": self.feed.fill().received}

    def _too_slow_only_behind(self, *subscriptions):
        return _TooSlowOnlyBehind(self.feed, subscriptions)


class _TooSlowOnlyBehind:
    """Checks that subscriptions get the gap `too_slow` only if the ring buffer dropped what one of them reads next."""

    def __init__(self, feed, subscriptions):
        self._feed = feed
        sequences = (each.next_sequence for each in subscriptions if each is not None)
        self._sequences = [each for each in sequences if each is not None]

    def __enter__(self):
        with self._feed.locked() as state:
            self._gaps, self._oldest = state.gaps["too_slow"], state.ring.oldest

    def __exit__(self, kind, *_):
        if kind is None and self._feed.gaps().get("too_slow", 0) > self._gaps:
            assert self._sequences, "a gap `too_slow` for a client that did not read the ring buffer"
            assert min(self._sequences) < self._oldest, "a gap `too_slow` for a client within the ring buffer"
