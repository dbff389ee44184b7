"""Clients that come and go for a long time, each judged as it is read."""

import contextlib
import random
import time

from consumer.view.cursor import decode, offset_of
from tests.chaos.checks import (
    check_acknowledged,
    check_growth,
    check_no_false_alarm,
    check_no_more,
    check_read,
    open_streams,
    pause_for,
    spread,
    wait_for_all,
)
from tests.chaos.health import Health, figures
from tests.chaos.streams import Stream
from tests.chaos.world import Producer, World, belongings
from tests.web.server.test_worker import until

ENTRIES = 20_000


class Follower(Stream):
    """A stream that remembers of each partition the next number alone: nothing may be missing, doubled or swapped."""

    def __init__(self, port):
        super().__init__(port)
        self.next = None
        self.delivered = 0

    def _begin(self, cursor, names):
        super()._begin(cursor, names)
        assert len(self.views) == 1, f"a stream got a second view: {self.others[-3:]}"
        self.next = [offset_of(place) for place in decode(self.views[0].cursor).places]
        self.views[0].names.clear()

    def _take(self, events, now):
        for partition, number in events:
            wanted = self.next[int(partition)]
            assert int(number) == wanted, f"number {number} came in partition {partition} instead of {wanted}"
            self.next[int(partition)] += 1
        self.delivered += len(events)

    def read(self):
        """Take in what is there."""
        with contextlib.suppress(BlockingIOError):
            while data := self.sock.recv(262_144):
                self.feed(data, time.monotonic())
            raise AssertionError(f"the server closed a stream: {self.tail!r}")

    def close(self):
        """Close; everything that came must have been sent to it."""
        self.sock.close()
        assert self.views, "a stream was not given its view"
        bad = [each for each in self.others if each[1]["type"] != "status" or each[1]["state"] != "live"]
        assert not bad, bad[:3]


def soak(minutes=30, rate=200, clients=40, seed=1):
    """Let clients come and go for a long time; memory, threads and descriptors stay flat, and each stream is exact."""
    chance = random.Random(seed)
    with World(BUFFER_ENTRIES=str(ENTRIES)) as world, contextlib.ExitStack() as stack:
        server = world.serve()
        world.wait_live(server)
        (pid,) = server.workers()
        # What grows to its bound does so before: a buffer full of what was delivered.
        with contextlib.closing(open_streams(server, 1)) as reader:
            passing = Producer(world.kafka.address, world.topic, ENTRIES, most=ENTRIES)
            wait_for_all(reader.streams, {0: range(ENTRIES)})
            passing.close()
        health = stack.enter_context(contextlib.closing(Health(server.port)))
        first_rest = at_rest(health, pid)
        numbers = [len(numbers) for _, numbers in sorted(world.log().items())]
        producer = Producer(world.kafka.address, world.topic, rate, numbers)
        begin, samples, there, opened, delivered = time.monotonic(), [], [], 0, 0
        while (now := time.monotonic() - begin) < minutes * 60:
            while len(there) < clients:
                there.append(Follower(server.port))
                opened += 1
            for stream in there:
                stream.read()
            for stream in [each for each in chance.sample(there, k=chance.randint(0, 4)) if each.views]:
                stream.close()
                there.remove(stream)
                delivered += stream.delivered
            if not samples or now - samples[-1]["seconds"] >= 5:
                samples.append({"seconds": round(now, 1), **belongings(pid)})
            pause_for(0.25)
        producer.close()
        ends = world.ends()
        log = world.log()
        assert all(numbers == list(range(end)) for numbers, end in zip(log.values(), ends, strict=True))
        check_acknowledged(log, producer.acknowledged | passing.acknowledged)
        until(lambda: all_have(there, ends), seconds=60, every=0.2)
        for stream in there:
            stream.close()
        check_read(health, ends, records=sum(ends))
        last_rest = at_rest(health, pid)
        check_no_false_alarm(health, begin, time.monotonic())
        check_no_more(first_rest, last_rest)
        settled = [each["rss_mb"] for each in samples if each["seconds"] > minutes * 60 / 3]
        return {
            "minutes": minutes,
            "clients_opened": opened,
            "messages": producer.sent,
            "events_delivered": delivered + sum(stream.delivered for stream in there),
            "lost": 0,
            "doubled": 0,
            "rss_mb": spread(settled),
            "rss_growth_mb_from_the_second_third_to_the_end": check_growth(settled),
            "threads": spread([each["threads"] for each in samples]),
            "descriptors": spread([each["descriptors"] for each in samples]),
            "at_the_first_rest": first_rest,
            "at_the_last_rest": last_rest,
            "health": figures(health),
            "samples": samples,
        }


def all_have(streams, ends):
    """Read on; tell whether all streams have all."""
    for stream in streams:
        stream.read()
    return all(stream.next == ends for stream in streams)


def at_rest(health, pid):
    """Wait until no slot is in use; return what the process has."""
    asked = time.monotonic()
    until(lambda: health.first(asked, lambda answer: answer.clients == 0) is not None)
    return belongings(pid)
