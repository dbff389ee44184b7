"""What happens to a topic while it is read: more partitions, poison, retention, and another topic of its name."""

import contextlib
import math
import os
import random
import signal
from collections import Counter
from time import monotonic

from kafka import KafkaProducer, TopicPartition

from consumer.settings import Settings
from consumer.sources.kafka import client_options
from tests.chaos.checks import (
    check_acknowledged,
    check_no_false_alarm,
    check_read,
    check_said,
    check_stays_away,
    check_streams,
    is_away,
    is_live,
    open_streams,
    pause_for,
    seconds_until_informed,
    wait_for_all,
)
from tests.chaos.health import Health, figures
from tests.chaos.world import PARTITIONS, Producer, World
from tests.kafka.helpers import create_again
from tests.kafka.test_poison import poison
from tests.stopping import stop_process
from tests.web.server.test_worker import until

GROWN = 8
EXPIRED = 40
"""How many records a partition keeps of those that came while the server was stopped: each in a segment of its own."""


def topic_events(bad=20_000, rate=1_000, clients=10):
    """Add partitions, poison the topic, drop unread records, recreate it: streams are exact or get gaps."""
    # The largest kind of poison is larger.
    with World(MAX_MESSAGE_BYTES="1024") as world, contextlib.ExitStack() as stack:
        run = Run(world, stack, clients)
        return {
            "streams": clients,
            **run.grow(rate),
            **run.poisoned(rate, bad),
            **run.expired(),
            **run.recreated(),
            "lost": 0,
            "doubled": 0,
            "health": figures(*run.polls),
        }


class Run:
    """The steps, each with what must hold after it."""

    def __init__(self, world, stack, clients):
        self._world, self._stack = world, stack
        self._server = world.serve()
        world.wait_live(self._server)
        self._streams = stack.enter_context(contextlib.closing(open_streams(self._server, clients))).streams
        self.polls = []
        self._records = self._poison = self._refused = 0  # read so far
        self._acknowledged = set()

    def _health(self):
        self.polls.append(self._stack.enter_context(contextlib.closing(Health(self._server.port))))
        return self.polls[-1]

    def _publish(self, rate, numbers, **options):
        return Producer(self._world.kafka.address, self._world.topic, rate, numbers, **options)

    def _numbers(self):
        """Return the next number of each partition."""
        return [max(numbers, default=-1) + 1 for numbers in self._world.log().values()]

    def grow(self, rate):
        """Give it more partitions."""
        health = self._health()
        producer = self._publish(rate, [0] * PARTITIONS)
        until(lambda: producer.sent > rate)
        begin = monotonic()
        self._world.kafka.add_partitions(self._world.topic, GROWN)
        producer.grow(GROWN)
        until(lambda: health.first(begin, has_grown) is not None)
        noticed = health.first(begin, has_grown)
        pause_for(1)
        producer.close()
        self._acknowledged |= producer.acknowledged
        self._check_all(health)
        states = {each.state for each in health.between(begin, monotonic())}
        assert states <= {"live", "catching_up"}, f"the broker was there, and it was said {states}"
        assert {len(each.positions) for each in health.answers} == {PARTITIONS, GROWN}
        return {"seconds_until_new_partitions_were_read": round(noticed, 2)}

    def _check_all(self, health):
        """Assert that streams have the log, and that health says so."""
        log, ends = self._world.log(), self._world.ends()
        wait_for_all(self._streams, log)
        check_streams(self._streams, log, self._acknowledged)
        self._records = sum(ends)
        assert self._records == sum(map(len, log.values())) + self._poison
        check_read(health, ends, self._records, self._refused)

    def poisoned(self, rate, count):
        """Flood it with messages that can't be read, of every kind, among good ones."""
        health = self.polls[-1]
        chance = random.Random(20261123)
        kinds = poison()
        producer = self._publish(rate, self._numbers())
        begin = monotonic()
        with contextlib.closing(KafkaProducer(**client_options(self._settings()), linger_ms=20)) as flood:
            refused = Counter()
            for number in range(count):
                key, value, reasons = kinds[number % len(kinds)]
                flood.send(self._world.topic, value, key=key, partition=chance.randrange(GROWN))
                refused += reasons
            flood.flush(60)
        until(lambda: health.first(begin, lambda each: each.quarantined == refused.total()) is not None, seconds=60)
        pause_for(1)
        producer.close()
        self._acknowledged |= producer.acknowledged
        self._poison, self._refused = count, refused.total()
        self._check_all(health)
        check_no_false_alarm(health, begin, monotonic())
        return {"bad_messages": count, "refused": self._refused, "good_messages_among_them": producer.sent}

    def _settings(self):
        return Settings(kafka_brokers=self._world.kafka.address)

    def expired(self):
        """Stop the server, and drop records that it has not read."""
        self.polls[-1].close()
        (worker,) = self._server.workers()
        first, begins = self._numbers(), self._world.ends()
        count = 2 * EXPIRED * GROWN
        stop_process(worker)
        try:
            producer = self._publish(10 * count, first, most=count)
            until(producer.is_done)
            producer.close()
            ends = self._world.ends()
            with self._world.kafka.admin() as admin:
                admin.delete_records(
                    {TopicPartition(self._world.topic, at): end - EXPIRED for at, end in enumerate(ends)}
                )
        finally:
            os.kill(worker, signal.SIGCONT)
        health = self._health()
        log = self._world.log()
        assert [len(numbers) for numbers in log.values()] == [EXPIRED] * GROWN
        until(lambda: all(has_all_of(stream, log) for stream in self._streams))
        # A fetch that was on its way is read nevertheless, so how many were missed is known when all is read.
        until(lambda: health.answers and health.answers[-1].positions == ends)
        read = health.answers[-1].records - self._records
        missed = count - read
        for stream in self._streams:
            gaps = [message for _, message in stream.of_type("gap")]
            assert [(gap["reason"], gap["missed"]) for gap in gaps] == [("expired", missed)], gaps
            for numbers in stream.seen.values():
                assert numbers == sorted(set(numbers)), "what came before the gap came once and in order, too"
        assert 0 < missed <= sum(ends) - sum(begins) - EXPIRED * GROWN
        self._records += read
        check_read(health, ends, self._records, self._refused)
        return {"records_dropped_unread": missed}

    def recreated(self):
        """Put another topic of the same name in its place."""
        health, kafka, topic = self.polls[-1], self._world.kafka, self._world.topic
        deleted = monotonic()
        kafka.delete_topic(topic)
        until(lambda: health.first(deleted, is_missing) is not None)
        gone = health.first(deleted, is_missing)
        until(lambda: seconds_until_informed(self._streams, deleted, {"reconnecting"}) < math.inf)
        informed = seconds_until_informed(self._streams, deleted, {"reconnecting"})
        check_stays_away(health, deleted + gone, monotonic())
        create_again(kafka, topic, PARTITIONS)
        created = monotonic()
        # At most a hundred in each partition, so that a view has each of them, and numbers that were never there.
        producer = self._publish(1_000, [1_000_000] * PARTITIONS, most=80 * PARTITIONS)
        until(producer.is_done)
        producer.close()
        log, ends = self._world.log(), self._world.ends()
        check_acknowledged(log, producer.acknowledged)
        until(lambda: all(has_all_of(stream, log) for stream in self._streams))
        for stream in self._streams:
            gap = stream.of_type("gap")[-1][1]
            assert (gap["reason"], gap["missed"]) == ("topic_recreated", None), gap
        self._records += sum(ends)
        check_read(health, ends, self._records, self._refused)
        back = health.first(created, lambda each: is_live(each) and len(each.positions) == PARTITIONS)
        return {
            "seconds_until_a_deleted_topic_was_missed": check_said(gone, "the topic is gone"),
            "seconds_until_the_last_stream_was_informed": check_said(informed, "the topic is gone, in each stream"),
            "seconds_until_the_one_in_its_place_was_read": check_said(back, "the topic is back"),
        }


def has_grown(answer):
    """Tell whether all partitions are read and that is said to be all."""
    return len(answer.positions) == GROWN and is_live(answer)


def is_missing(answer):
    """Tell whether an answer says that there is no topic."""
    return is_away(answer) and "does not exist" in answer.reason


def has_all_of(stream, log):
    """Tell whether a stream's last view and what came after it are what is in the log, each once and in order."""
    received = {at: stream.since_view(at, first=min(numbers)) for at, numbers in log.items()}
    return received == log
