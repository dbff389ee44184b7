"""Connections of the Kafka client: timeouts by silence, known throttles, and why connections ended.

A request times out when its connection is silent, not when an answer is slow or throttled. Private names of
kafka-python used here: `_build_transport`, `_conns`, `_connect`, `_maybe_throttle`, `_request_timed_out`.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from kafka.errors import RequestTimedOutError
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket
from kafka.net.manager import KafkaConnectionManager
from kafka.protocol.consumer import FetchRequest

from consumer.sources.record import Partition
from consumer.sources.security import CLOSED, AnswerBeforeEnd, explain

from .transport import Selector, hasten

FAILED_SECONDS = 30.0
"""After a failed connection, a broker is asked for metadata only when there is no other, for so long."""

MAX_SILENCES = 8
"""Most connections of a node in a row that count as closed by its silence."""


class ClosedOnFailure(KafkaNetSocket):  # type: ignore[misc]
    """How the client connects, with the socket of a failed connection closed at once.

    kafka-python leaves it to the garbage collector, so an outage would collect sockets. The client takes a class of
    connections by the scheme of its `proxy_url`; this one goes through no proxy.
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


class FetchInFlight(NamedTuple):
    """A fetch that is not answered yet: when it was sent (time.monotonic()), and the partitions that it asks for."""

    sent: float
    partitions: frozenset[Partition]


class Manager(KafkaConnectionManager):  # type: ignore[misc]
    """The client's connections. The client's IO thread writes the fields; any thread may read them.

    failures          by host:port, why its last connection ended; the owner clears them when metadata comes
    throttled_until   by node, until when a quota delays its answers, in time.monotonic() seconds
    fetches           by node, the fetch in flight
    on_fetched        called with the node, the fetch and its response, before the client handles the response
    """

    def __init__(self, net: Any, fetch_timeout_ms: int, **configs: Any) -> None:
        super().__init__(net, **configs)
        self._fetch_timeout_ms = fetch_timeout_ms
        self.failures: dict[str, str] = {}
        self.throttled_until: dict[Any, float] = {}
        self.fetches: dict[Any, FetchInFlight] = {}
        self.on_fetched: Callable[[Any, FetchInFlight, Any], None] = lambda *_: None
        self._failed_at: dict[Any, float] = {}
        self._silences: dict[Any, int] = {}
        """By node, how often its connection was closed as silent since it answered in time."""

    async def _connect(self, node: Any, conn: Any, **options: Any) -> None:
        conn.close_future.add_errback(lambda error: self._note_failure(node, explain(error)))
        conn._maybe_throttle = functools.partial(self._note_throttle, conn, conn._maybe_throttle)
        conn._request_timed_out = functools.partial(self._time_out, conn, conn._request_timed_out)
        await super()._connect(node, conn, **options)

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        transport = await super()._build_transport(node, timeout_at=timeout_at)
        hasten(transport)
        return transport

    def _note_failure(self, node: Any, why: str) -> None:
        self._failed_at[node.node_id] = time.monotonic()
        broker = f"{node.host}:{node.port}"
        # The client loses an answer that comes together with the end of the connection, as a refused login does. So
        # a bare end replaces nothing that says more.
        if why != CLOSED or broker not in self.failures:
            self.failures[broker] = why

    def send(self, request: Any, node_id: Any = None, request_timeout_ms: float | None = None) -> Any:
        """Send a request; a fetch has a timeout of its own, and its response goes to `on_fetched` first.

        The timeout of other requests is doubled each time that the node's connection was closed as silent, up to that
        of a fetch: a broker that answers too late could never be connected again.
        """
        if not isinstance(request, FetchRequest):
            node_id, sent = self.least_loaded_node() if node_id is None else node_id, time.monotonic()
            shortest_ms = self.config["request_timeout_ms"]
            timeout_ms = min(shortest_ms << self._silences.get(node_id, 0), max(shortest_ms, self._fetch_timeout_ms))
            future = super().send(request, node_id=node_id, request_timeout_ms=request_timeout_ms or timeout_ms)
            future.add_callback(lambda _: self._note_answer(node_id, sent))
            return future
        partitions = frozenset(
            Partition(topic.topic, each.partition) for topic in request.topics for each in topic.partitions
        )
        fetch = self.fetches[node_id] = FetchInFlight(time.monotonic(), partitions)
        future = super().send(request, node_id=node_id, request_timeout_ms=self._fetch_timeout_ms)
        future.add_both(lambda _: self.fetches.pop(node_id, None))
        future.add_callback(lambda response: self.on_fetched(node_id, fetch, response))
        return future

    def _note_answer(self, node_id: Any, sent: float) -> None:
        if time.monotonic() - sent < self.config["request_timeout_ms"] / 1000:
            self._silences.pop(node_id, None)

    def connection(self, node_id: Any) -> Any:
        """Return the connection to a node; None when there is none."""
        return self._conns.get(node_id)

    def connections(self) -> list[Any]:
        """Return the established connections."""
        return [connection for connection in list(self._conns.values()) if connection.connected]

    def last_sign(self, node_id: Any, sent: float) -> float:
        """Return when a node last gave a sign of life, for a request in flight that was sent at `sent`.

        A sign of life is a byte received, or the end of the time for which the node throttles this client.
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
        """Fail a request that is due, and close its connection if that is silent.

        A connection answers in order, so it is judged by its first request; a later one only fails.
        """
        if future.is_done or conn.closed:
            return
        since = max(sent, conn.transport.last_read, self.throttled_until.get(conn.node_id, sent))
        due = since + timeout_at - sent
        if due > time.monotonic():
            conn.net.call_at(due, lambda: self._time_out(conn, close, future, sent, timeout_at))
        elif future is next(first for _, first, *_ in conn.in_flight_requests if not first.is_done):
            self._silences[conn.node_id] = min(MAX_SILENCES, self._silences.get(conn.node_id, 0) + 1)
            close(future, sent, timeout_at)
        else:
            future.failure(RequestTimedOutError("no answer before the timeout; an earlier request has none either"))

    def least_loaded_node(self) -> Any:
        """Choose the node to ask for metadata: one that failed recently, or is slow, only when there is no other.

        A broker that hangs accepts connections and answers nothing. With nothing in flight it would be chosen again
        and again, since those that answer always have a fetch in flight.
        """
        chosen = super().least_loaded_node()
        if not self._is_doubtful(chosen):
            return chosen
        others = [node for node, conn in list(self._conns.items()) if conn.connected and not self._is_doubtful(node)]
        return min(others, key=lambda node: len(self._conns[node].in_flight_requests), default=chosen)

    def _is_doubtful(self, node: Any) -> bool:
        now = time.monotonic()
        fetch = self.fetches.get(node)
        has_failed = now - self._failed_at.get(node, float("-inf")) < FAILED_SECONDS
        silent = now - self.last_sign(node, fetch.sent) if fetch is not None else 0.0
        return has_failed or silent > self.config["request_timeout_ms"] / 1000


def connect(configs: dict[str, Any], fetch_timeout_ms: int) -> tuple[Any, Manager]:
    """Return the client's network part, for its option `kafka_client`, and the connections in it."""
    net = Selector(**configs)
    manager = Manager(net, fetch_timeout_ms, **configs)
    return KafkaNetClient(net, manager, **configs), manager
