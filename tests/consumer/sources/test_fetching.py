"""How the reader hands fetches to the Kafka client's IO thread, and how the client's sockets are read and written."""

import itertools
import socket
import threading
from types import SimpleNamespace

import pytest
from kafka.net.transport import KafkaTCPTransport

from consumer.sources.hooks.fetching import Fetching
from consumer.sources.hooks.transport import Selector, hasten

WAIT_MS = 600_000
"""Longer than a test may take: a wait that nothing ends fails by its timeout."""


class Fetcher:
    """What Fetching needs of a fetcher: `found` is what each look finds, `on_send` is run on the IO thread."""

    def __init__(self, net, on_send):
        self._net = self._manager = net
        self._fetch_futures = ["in flight"]
        self.found = []
        self.on_send = on_send
        self.on_look = None
        self.sent = 0

    def fetched_records(self, _max_records, update_offsets):
        assert update_offsets
        records = self.found.pop() if self.found else {}
        on_look, self.on_look = self.on_look, None
        if on_look is not None:
            on_look()
        return records, False

    def send_fetches(self):
        self.sent += 1

    async def _send_fetches_async(self):
        self.sent += 1
        self.on_send(self)

    def _clear_pending_fetch_request(self, node, _result):
        if node == "with records":
            self.found.append({"partition": ["record"]})

    def answer(self, node="with records"):
        """Let an answer come, on the IO thread."""
        self._net.call_soon_threadsafe(lambda: self._clear_pending_fetch_request(node, None))


@pytest.fixture
def net():
    net = Selector()
    net.start()
    yield net
    net.close()


def test_answer_ends_the_wait_for_records(net):
    fetcher = Fetcher(net, Fetcher.answer)
    Fetching(fetcher)
    assert fetcher.fetch_records(timeout_ms=WAIT_MS) == ({"partition": ["record"]}, False)
    assert fetcher.sent == 1


def test_answer_before_fetches_are_sent_ends_the_wait(net):
    is_requested = threading.Event()

    def request(task):
        net.call_soon_threadsafe(task)
        is_requested.set()

    def answer_of_another_broker():
        net.call_soon_threadsafe(is_requested.wait)
        net.call_soon_threadsafe(lambda: fetcher._clear_pending_fetch_request("with records", None))

    fetcher = Fetcher(net, lambda _: None)
    fetcher._net = SimpleNamespace(call_soon_threadsafe=request)
    fetcher.on_look = answer_of_another_broker
    Fetching(fetcher)
    assert fetcher.fetch_records(timeout_ms=WAIT_MS) == ({"partition": ["record"]}, False)


def test_records_that_wait_are_given_at_once(net):
    fetcher = Fetcher(net, lambda _: None)
    fetcher.found = [{"partition": ["record"]}]
    Fetching(fetcher)
    assert fetcher.fetch_records(timeout_ms=WAIT_MS) == ({"partition": ["record"]}, False)
    assert fetcher.sent == 1


def test_wait_without_an_answer_ends_after_its_timeout(net):
    fetcher = Fetcher(net, lambda _: None)
    Fetching(fetcher)
    assert fetcher.fetch_records(timeout_ms=1) == ({}, False)


def test_nothing_in_flight_ends_the_wait_as_idle(net):
    fetcher = Fetcher(net, lambda _: None)
    fetcher._fetch_futures = []
    Fetching(fetcher)
    assert fetcher.fetch_records(timeout_ms=WAIT_MS) == ({}, True)


def test_fetch_that_fails_at_once_is_idle(net):
    fetcher = Fetcher(net, lambda fetcher: fetcher._clear_pending_fetch_request("a node", None))
    fetcher._fetch_futures = []
    Fetching(fetcher)
    assert fetcher.fetch_records(timeout_ms=WAIT_MS) == ({}, True)


def test_error_of_sending_is_raised_to_the_reader(net):
    def fail(_fetcher):
        raise LookupError("no such node")

    fetcher = Fetcher(net, fail)
    Fetching(fetcher)
    with pytest.raises(LookupError, match="no such node"):
        fetcher.fetch_records(timeout_ms=WAIT_MS)
    fetcher.on_send = Fetcher.answer
    assert fetcher.fetch_records(timeout_ms=WAIT_MS) == ({"partition": ["record"]}, False)


def test_reader_goes_on_only_after_fetches_are_sent(net):
    is_blocked, may_go_on = threading.Event(), threading.Event()

    def block():
        is_blocked.set()
        may_go_on.wait()

    fetcher = Fetcher(net, lambda _: None)
    Fetching(fetcher)
    net.call_soon_threadsafe(block)
    is_blocked.wait()
    reader = threading.Thread(target=fetcher.fetch_records, kwargs={"timeout_ms": 1})
    reader.start()
    reader.join(0.05)
    has_waited = reader.is_alive()
    may_go_on.set()
    reader.join()
    assert (has_waited, fetcher.sent) == (True, 1)


class Protocol:
    """A connection that collects what it receives."""

    def __init__(self):
        self.received = b""
        self.is_lost = False

    def data_received(self, data):
        self.received += data

    def connection_lost(self, _error):
        self.is_lost = True


class CountingSelector(Selector):
    """A selector that counts how often sockets are registered."""

    registered = 0

    def register_event(self, fileobj, event, task):
        self.registered += 1
        super().register_event(fileobj, event, task)


@pytest.fixture
def connection():
    """Yield a selector that the test drives, a transport with its protocol, and the other end of its socket."""
    net, (mine, other) = CountingSelector(), socket.socketpair()
    mine.setblocking(False)
    other.setblocking(False)
    transport, protocol = KafkaTCPTransport(net, mine), Protocol()
    protocol._sensors = None
    hasten(transport)
    transport.set_protocol(protocol)
    yield net, transport, protocol, other
    transport.close()
    net.close()
    mine.close()
    other.close()


def test_request_is_sent_without_a_round_of_the_loop(connection):
    _net, transport, _protocol, other = connection
    transport.write(b"request")
    assert other.recv(100) == b"request"


def test_rest_of_a_large_request_follows_in_order(connection):
    net, transport, _protocol, other = connection
    request = b"".join(number.to_bytes(4) for number in range(500_000))
    transport.write(request)
    transport.write(b"the next one")
    received = bytearray()
    for _ in range(10_000):
        net.poll(timeout_ms=0)
        try:
            received += other.recv(100_000)
        except BlockingIOError:
            if len(received) >= len(request):
                break
    assert received == request + b"the next one"


def test_socket_is_registered_once_for_many_answers(connection):
    net, transport, protocol, other = connection
    transport.resume_reading()
    net.poll(timeout_ms=0)
    for answer in (b"one, ", b"two, ", b"three"):
        other.send(answer)
        net.poll(timeout_ms=1_000)
    assert (protocol.received, net.registered) == (b"one, two, three", 1)


def test_end_of_a_connection_ends_its_reading(connection):
    net, transport, protocol, other = connection
    transport.resume_reading()
    net.poll(timeout_ms=0)
    other.close()
    net.poll(timeout_ms=1_000)
    assert protocol.is_lost
    assert transport.is_closing()


def test_request_after_the_end_of_a_connection_fails_later(connection):
    net, transport, protocol, other = connection
    other.close()
    transport.write(b"request")
    for _ in itertools.takewhile(lambda _: not protocol.is_lost, range(100)):
        net.poll(timeout_ms=100)
    assert protocol.is_lost
