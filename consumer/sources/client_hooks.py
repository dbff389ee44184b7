"""Hooks into the Kafka client beyond its public interface: the only use of its private names.

kafka-python is pinned to ~=3.0.12 for this module. tests/consumer/sources/test_client_hooks.py lists the private names,
and fails when one is missing.

- Batches (`read_around_damage`): kafka-python raises at a batch that it can't unpack (unknown codec, damaged on a
  disk), and is stuck from then on, with all partitions. Here such a batch is fetched once more, since the damage may be
  of the network, and then becomes one record that stands for it. Unpacking is bounded; headers are not decoded.
- Connections (`Manager`): a request times out when its connection is silent, not when an answer is slow or throttled.
- Fetches (`Answers`): when each leader last answered a fetch, or sent a part of the answer.
- Positions (`seek`, `positions_of`): leader epochs are kept, so that the client notices a truncated log.
"""

import contextlib
import functools
import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord, Fetcher
from kafka.errors import CorruptRecordError, RequestTimedOutError
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.protocol.consumer import FetchRequest
from kafka.record.default_records import ControlRecord, DefaultRecord, DefaultRecordBatch
from kafka.record.legacy_records import LegacyRecordBatch
from kafka.record.util import decode_varint
from kafka.structs import OffsetAndMetadata

from .record import Unreadable
from .security import CLOSED, AnswerBeforeEnd, explain
from .unpacking import unpack

log = logging.getLogger("greenwave.consumer")

LONG_PAUSE_SECONDS = 1.0
"""A longer time between two fetches is the reader's: it was busy, or the machine slept."""
FAILED_SECONDS = 30.0
"""How long a broker whose connection failed is asked for metadata only when there is no other."""


def in_words(error: Exception) -> str:
    """Return an error with its name, which most of the client's own have in their text."""
    name, text = type(error).__name__, str(error)
    return text if name in text else f"{name}: {text}"


def install(consumer: Any, manager: "Manager", read_committed: bool) -> "Answers":
    """Put the hooks into a consumer that has assigned nothing yet."""
    read_around_damage(consumer._fetcher)
    ask_for_all_at_once(consumer._fetcher)
    if read_committed:
        end_at_last_stable_offset(consumer._fetcher)
    return Answers(consumer._fetcher, manager)


# Connections


class ClosedOnFailure(KafkaNetSocket):  # type: ignore[misc]
    """How the client connects, with the socket of a connection that failed closed at once.

    kafka-python leaves it to the garbage collector, so that an outage would collect sockets. The client takes a class
    of connections by the scheme of its `proxy_url`; this one goes through no proxy.
    """

    SCHEMES = ("direct",)

    def socket(self, family: int = -1, sock_type: int = -1, proto: int = -1) -> AnswerBeforeEnd:
        return AnswerBeforeEnd(family, sock_type, proto)

    async def sock_connect(self, net: Any, sock: Any, sockaddr: Any, timeout_at: float | None = None) -> Any:
        try:
            return await super().sock_connect(net, sock, sockaddr, timeout_at=timeout_at)
        except BaseException:
            sock.close()
            raise


class Manager(KafkaConnectionManager):  # type: ignore[misc]
    """Connections that are patient, and that say why they ended; the client itself only logs that.

    The client's IO thread writes; any thread may read.
    """

    def __init__(self, net: Any, fetch_timeout_ms: int, **configs: Any) -> None:
        super().__init__(net, **configs)
        self._fetch_timeout_ms = fetch_timeout_ms
        self.failures: dict[str, str] = {}
        self.throttled_until: dict[Any, float] = {}
        """By node, until when a quota keeps it from answering, in time.monotonic() seconds."""
        self.fetches: dict[Any, tuple[float, frozenset[int]]] = {}
        """By node, when the fetch in flight was sent, and the partitions that it asks for."""
        self.on_fetched: Any = None
        """What to call with the node, the partitions that were asked for and the answer to a fetch."""
        self._failed_at: dict[Any, float] = {}

    async def _connect(self, node: Any, conn: Any, **options: Any) -> None:
        conn.close_future.add_errback(lambda error: self._keep(node, explain(error)))
        conn._maybe_throttle = functools.partial(self._note_throttle, conn, conn._maybe_throttle)
        conn._request_timed_out = functools.partial(self._time_out, conn, conn._request_timed_out)
        await super()._connect(node, conn, **options)

    def _keep(self, node: Any, why: str) -> None:
        self._failed_at[node.node_id] = time.monotonic()
        broker = f"{node.host}:{node.port}"
        # The client loses an answer that comes together with the end of the connection, as a refused log-in does. So
        # a bare end replaces nothing that tells more.
        if why != CLOSED or broker not in self.failures:
            self.failures[broker] = why

    def send(self, request: Any, node_id: Any = None, request_timeout_ms: float | None = None) -> Any:
        """Send a request; a fetch has a timeout of its own, and its answer is passed on."""
        if not isinstance(request, FetchRequest):
            return super().send(request, node_id=node_id, request_timeout_ms=request_timeout_ms)
        asked = frozenset(each.partition for topic in request.topics for each in topic.partitions)
        self.fetches[node_id] = (time.monotonic(), asked)
        future = super().send(request, node_id=node_id, request_timeout_ms=self._fetch_timeout_ms)
        future.add_both(lambda _: self.fetches.pop(node_id, None))
        future.add_callback(lambda response: self.on_fetched and self.on_fetched(node_id, asked, response))
        return future

    def connection(self, node_id: Any) -> Any:
        """Return the connection to a node; None when there is none."""
        return self._conns.get(node_id)

    def connections(self) -> list[Any]:
        """Return the connections that are established."""
        return [connection for connection in list(self._conns.values()) if connection.connected]

    def last_sign(self, node_id: Any, sent: float) -> float:
        """Return when a node with a request in flight, sent at a time, last gave a sign of life, or need not have.

        That is when a byte came from it, or when the time ends for which it throttles this client.
        """
        transport = getattr(self.connection(node_id), "transport", None)
        read = transport.last_read if transport is not None else sent
        return max(sent, read, min(time.monotonic(), self.throttled_until.get(node_id, sent)))

    def _note_throttle(self, conn: Any, throttle: Any, response: Any) -> None:
        throttle(response)
        seconds = (getattr(response, "throttle_time_ms", 0) or 0) / 1000
        if seconds:
            until = max(self.throttled_until.get(conn.node_id, 0.0), time.monotonic() + seconds)
            self.throttled_until[conn.node_id] = until

    def _time_out(self, conn: Any, close: Any, future: Any, sent: float, timeout_at: float) -> None:
        """End a request whose time is over, and its connection if that is silent.

        A connection answers in order. A request behind another one only fails: the connection is judged by the first.
        """
        if future.is_done or conn.closed:
            return
        since = max(sent, conn.transport.last_read, self.throttled_until.get(conn.node_id, sent))
        due = since + timeout_at - sent
        if due > time.monotonic():
            conn.net.call_at(due, lambda: self._time_out(conn, close, future, sent, timeout_at))
        elif future is next(first for _, first, *_ in conn.in_flight_requests if not first.is_done):
            close(future, sent, timeout_at)
        else:
            future.failure(RequestTimedOutError("no answer in time; an earlier request waits for one, too"))

    def least_loaded_node(self) -> Any:
        """Choose whom to ask for metadata; a broker that has just failed, or is slow, only when there is no other.

        One that hangs takes connections and answers nothing. With nothing in flight it would be asked again and again,
        since those that answer always have a fetch in flight.
        """
        chosen = super().least_loaded_node()
        if not self._is_doubtful(chosen):
            return chosen
        others = [node for node, conn in list(self._conns.items()) if conn.connected and not self._is_doubtful(node)]
        return min(others, key=lambda node: len(self._conns[node].in_flight_requests), default=chosen)

    def _is_doubtful(self, node: Any) -> bool:
        now = time.monotonic()
        sent, _ = self.fetches.get(node, (now, None))
        has_failed = now - self._failed_at.get(node, float("-inf")) < FAILED_SECONDS
        return has_failed or now - self.last_sign(node, sent) > self.config["request_timeout_ms"] / 1000


def connect(configs: dict[str, Any], fetch_timeout_ms: int) -> tuple[Any, Manager]:
    """Return the client's network part, for its option `kafka_client`, and the connections in it."""
    net = NetworkSelector(**configs)
    manager = Manager(net, fetch_timeout_ms, **configs)
    return KafkaNetClient(net, manager, **configs), manager


def metadata_error(cluster: Any) -> tuple[bool, BaseException | None]:
    """Tell whether the client has stopped to ask for metadata, and the error that ended it."""
    asking = cluster._refresh_loop_future
    return asking.is_done, asking.exception


# Fetches


class Answers:
    """When the leader of each partition last answered a fetch without an error, and over which connection.

    The client's IO thread writes; any thread may read. Time in which nobody fetches doesn't count as silence, nor does
    what a partition is not asked since an answer of it still waits to be read, nor the time of a throttle.
    """

    def __init__(self, fetcher: Any, manager: Any) -> None:
        self._fetcher, self._manager = fetcher, manager
        manager.on_fetched = self._take
        self._answered: dict[int, float] = {}
        self._fetched = time.monotonic()
        self._last: float | None = None
        self.carriers: dict[int, Any] = {}
        """By partition, the connection that its last answer came over."""

    def expect(self, partitions: Iterable[int]) -> None:
        """Wait for answers of these partitions from now on."""
        self._answered = dict.fromkeys(partitions, time.monotonic())

    @contextlib.contextmanager
    def fetching(self) -> Iterator[None]:
        """Fetch meanwhile; the time since the last fetch is nobody's silence, if it was long."""
        began, answered = time.monotonic(), self._answered
        if began - self._fetched > LONG_PAUSE_SECONDS:
            for partition, when in list(answered.items()):
                answered[partition] = min(began, when + began - self._fetched)
        try:
            yield
        finally:
            self._fetched = time.monotonic()
            for partition in self._waiting() & answered.keys():
                answered[partition] = self._fetched

    @property
    def last(self) -> float | None:
        """When any broker last answered, or sent a part of an answer, in time.monotonic() seconds."""
        signs = [
            self._manager.last_sign(node, sent) for node, (sent, _) in self._in_flight() if self._has_sign(node, sent)
        ]
        throttled = min(time.monotonic(), self.throttled_until)
        return max([*signs, *filter(None, [self._last, throttled])], default=None)

    @property
    def throttled_until(self) -> float:
        """Until when a quota keeps a broker from answering, in time.monotonic() seconds; 0 if none ever did."""
        return max(self._manager.throttled_until.copy().values(), default=0.0)

    def silent_seconds(self) -> list[float]:
        """Return for how long no answer came, of each partition that is expected, in their order."""
        answered, now = self._answered.copy(), time.monotonic()
        for node, (sent, asked) in self._in_flight():
            if self._has_sign(node, sent):
                for partition in asked & answered.keys():
                    answered[partition] = max(answered[partition], self._manager.last_sign(node, sent))
        return [max(0.0, now - answered[partition]) for partition in sorted(answered)]

    def _in_flight(self) -> list[tuple[Any, tuple[float, frozenset[int]]]]:
        return list(self._manager.fetches.copy().items())

    def _has_sign(self, node: Any, sent: float) -> bool:
        """Tell whether a node gave a sign of life after a fetch was sent to it."""
        return bool(self._manager.last_sign(node, sent) > sent)

    def _waiting(self) -> set[int]:
        """Return the partitions of which an answer waits to be read that is no error, or is being read."""
        answers = [each for each in self._fetcher._completed_fetches.copy() if each.partition_data.error_code == 0]
        current = self._fetcher._next_partition_records
        return {each.topic_partition.partition for each in [*answers, *([current] if current else [])]}

    def _take(self, node: Any, asked: frozenset[int], response: Any) -> None:
        answered, self._last = self._answered, time.monotonic()
        connection = self._manager.connection(node)
        for answer in [each for topic in response.responses for each in topic.partitions]:
            self.carriers[answer.partition_index] = connection
            if answer.error_code == 0 and answer.partition_index in answered:
                answered[answer.partition_index] = self._last
        if response.throttle_time_ms:
            # What is throttled is answered with nothing, and asked again when the time is over.
            until = self._last + response.throttle_time_ms / 1000
            answered |= {partition: max(until, answered[partition]) for partition in asked & answered.keys()}


# Positions


def discard_fetched(consumer: Any) -> None:
    """Drop what the client has fetched and not given; after an error it may be stuck in it."""
    consumer._fetcher.close()


def offset_of(consumer: Any, partition: TopicPartition) -> int:
    """Return the next offset of an assigned partition, without any of the questions that `position()` asks."""
    offset: int = consumer._subscription.position(partition).offset
    return offset


def positions_of(consumer: Any) -> dict[TopicPartition, OffsetAndMetadata]:
    """Return the next offsets of all assigned partitions, with the leader epoch of what comes before them."""
    return dict(consumer._subscription.all_consumed_offsets())


def seek(consumer: Any, partition: TopicPartition, position: OffsetAndMetadata) -> None:
    """Go on at an offset with a leader epoch, which the public `seek()` doesn't take.

    By it the client notices that the log was truncated; an epoch of -1 is not known.
    """
    consumer._subscription.seek(partition, position)


def forget_high_watermarks(consumer: Any) -> None:
    """Forget the high watermarks until the next answer of each partition."""
    for partition in consumer.assignment():
        consumer._subscription.assignment[partition].highwater = None


# Batches


def read_around_damage(fetcher: Any) -> None:
    """Let a batch that can't be unpacked become one record, whose value is an `Unreadable`."""
    fetcher.PartitionRecords = functools.partial(_PartitionRecords, {}, fetcher._subscriptions)


def end_at_last_stable_offset(fetcher: Any) -> None:
    """Let the last stable offset of each fetch stand for its high watermark.

    The client keeps only the high watermark, which no position reaches while a transaction is open: the consumer would
    never be known to have caught up.
    """
    parse = fetcher._parse_fetched_data

    def parse_up_to_stable(fetch: Any) -> Any:
        data = fetch.partition_data
        if data.last_stable_offset >= 0:
            data.high_watermark = min(data.high_watermark, data.last_stable_offset)
        return parse(fetch)

    fetcher._parse_fetched_data = parse_up_to_stable


def ask_for_all_at_once(fetcher: Any) -> None:
    """Send no fetch while records of the last one are left to read.

    The client asks a node again for the partitions that have nothing left to read, while those of another partition
    are still being read. Where those have no news, the broker holds that fetch for `fetch_max_wait_ms`, and the
    partition with the backlog waits as long for its next one.
    """
    take = fetcher.fetched_records

    def take_some(*args: Any, **options: Any) -> tuple[Any, bool]:
        records, is_partial = take(*args, **options)
        return records, is_partial or bool(fetcher._next_partition_records)

    fetcher.fetched_records = take_some


class _Batch(DefaultRecordBatch):  # type: ignore[misc]
    """A batch that is unpacked within a bound, and whose headers are skipped: nothing here needs them, and the client
    raises at a key that is not UTF-8.
    """

    __slots__ = ()

    def _maybe_uncompress(self: Any) -> None:  # Any, since its slots are untyped
        codec = self.compression_type
        if not self._decompressed and codec != self.CODEC_NONE:
            self._assert_has_codec(codec)
            self._buffer = unpack(codec, memoryview(self._buffer)[self._pos :])
            self._pos = 0
        self._decompressed = True

    def _read_msg(self: Any, decode_varint: Any = decode_varint) -> Any:
        buffer = self._buffer
        length, start = decode_varint(buffer, self._pos)
        _attributes, at = decode_varint(buffer, start)
        delta_ms, at = decode_varint(buffer, at)
        offset_delta, at = decode_varint(buffer, at)
        key, at = self._field(at)
        value, at = self._field(at)
        end = start + length
        if not at < end <= len(buffer):
            raise CorruptRecordError(f"a record of {length} bytes does not hold its key, value and headers")
        self._pos = end
        is_appended = self.timestamp_type == self.LOG_APPEND_TIME
        timestamp_ms = self.max_timestamp if is_appended else self.first_timestamp + delta_ms
        kind = ControlRecord if self.is_control_batch else DefaultRecord
        return kind(length, self.base_offset + offset_delta, timestamp_ms, self.timestamp_type, key, value, [])

    def _field(self, at: int) -> tuple[bytes | None, int]:
        size, at = decode_varint(self._buffer, at)
        return (None, at) if size < 0 else (bytes(self._buffer[at : at + size]), at + size)


class _LegacyBatch(LegacyRecordBatch):  # type: ignore[misc]
    """A set of messages of an old format that is unpacked within a bound."""

    __slots__ = ()

    def _decompress(self, key_offset: int) -> bytearray:
        self._assert_has_codec(self.compression_type)
        _key, value = self._read_key_value(key_offset)
        if value is None:
            raise CorruptRecordError("a compressed set of messages is empty")
        return unpack(self.compression_type, value)


class _Batches:
    """The batches of one answer, and the one at work."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.current: Any = None

    def next_batch(self) -> Any:
        self.current = None
        batch = self._records.next_batch()
        if batch is not None:
            batch.__class__ = _Batch if batch.magic >= 2 else _LegacyBatch
        self.current = batch
        return batch


class _PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    """What one answer holds of one partition.

    `doubted` is shared by all answers: by partition, from which offset on an answer is fetched for the second time.
    """

    next_fetch_offset: int

    def __init__(
        self, doubted: dict[Any, int], subscriptions: Any, fetch_offset: int, tp: Any, records: Any, **options: Any
    ) -> None:
        self._doubted = doubted
        super().__init__(fetch_offset, tp, _Batches(records), **options)
        # An answer without a batch says nothing of the epoch; the client would forget it then.
        self.leader_epoch = subscriptions.position(tp).leader_epoch

    def _unpack_records(self, tp: Any, records: _Batches, *deserializers: Any) -> Iterator[Any]:
        while self:
            try:
                yield from super()._unpack_records(tp, records, *deserializers)
            except Exception as error:  # whatever a decompressor raises
                why = in_words(error)
                if self._doubted.get(tp) != self.fetch_offset:
                    log.debug("partition %d is fetched again at %d: %s", tp.partition, self.next_fetch_offset, why)
                    self._doubted[tp] = self.next_fetch_offset
                    self.drain()
                    return
                yield self._stand_in(tp, records.current, why)
                if records.current is None:
                    self.drain()

    def _stand_in(self, tp: Any, batch: Any, why: str) -> Any:
        last, count = _extent(batch, self.next_fetch_offset)
        self.next_fetch_offset = last + 1
        # With an epoch that is too small, the client would take the log for a truncated one.
        self.leader_epoch = batch.leader_epoch if batch is not None and batch.magic >= 2 else -1
        unreadable = Unreadable(count, why)
        return ConsumerRecord(
            tp.topic, tp.partition, self.leader_epoch, last, -1, 0, None, unreadable, [], None, -1, -1, -1
        )


def _extent(batch: Any, start: int) -> tuple[int, int]:
    """Return the last offset of a batch, and how many of its records lie at `start` or later.

    A header that may be damaged, too, is not trusted: then it is one record, and what follows tells.
    """
    if batch is None:
        return start, 1
    if batch.magic < 2:  # the offset of a compressed set of messages is that of its last one
        last = max(start, batch.base_offset)
        return last, last - start + 1
    first = max(start, batch.base_offset)
    if batch.records_count == batch.last_offset_delta + 1 > 0 or batch._decompressed or batch.validate_crc():
        last = max(first, batch.last_offset)
        return last, min(batch.records_count, last - first + 1)
    return first, 1
