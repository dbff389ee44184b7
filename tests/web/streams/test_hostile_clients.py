"""Clients that break rules or connections: other streams continue, and what the hub keeps for one client is bounded."""

import gc
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec import structs
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, Ping, TextMessage

from app import create_app
from consumer.resume.subscriptions import Subscriptions
from consumer.view.filters import EVERYTHING, Filter
from tests.consumer.helpers import SETTINGS, eventually, feed_of, message, publish, record
from web.access.admission import Admission
from web.access.principal import ANYONE, Principal
from web.services import EXTENSION
from web.streams.blocks import Block
from web.streams.channel import Channel
from web.streams.encodings import SSE, WEBSOCKET
from web.streams.hub import Hub
from web.streams.hub_client import HubClient, Start
from web.streams.messages import MessageCache
from web.streams.session import StreamSession
from web.streams.websocket_peer import MAX_FRAMES, WebSocketPeer
from web.streams.websocket_protocol import POLICY

cache = MessageCache(1_000_000)


def open_session(wanted, now, cursor):
    return StreamSession(cache, dict, 60.0, now, cursor)


class Lookups(Subscriptions):
    """Subscriptions whose look-ups of a time wait, and whose filters can be made to fail."""

    def __init__(self, feed):
        super().__init__(feed)
        self.may_find = threading.Event()
        self.begun = threading.Event()

    def subscribe_anyway(self, after=None, wanted=EVERYTHING, since_ms=None, client=None, owes_view=False):
        if after == "broken":
            raise ValueError("a fault")
        if since_ms is not None:
            self.begun.set()
            assert self.may_find.wait(60)
            after, since_ms = None, None
        return super().subscribe_anyway(after, wanted, since_ms, client, owes_view)


class Process:
    """A feed, a hub and its slots."""

    def __init__(self, ping_seconds=60.0, client_timeout=60.0, clock=time.monotonic):
        cache.__init__(1_000_000)
        self.feed = feed_of()
        self.offset = 0
        self.now = 0.0
        self.subscriptions = Lookups(self.feed)
        self.are_valid = True
        self.kept = ()
        self.admission = Admission(4, client_timeout=client_timeout)
        self.hub = Hub(
            self.subscriptions,
            open_session,
            flush_seconds=0.0,
            client_timeout=client_timeout,
            ping_seconds=ping_seconds,
            max_lag_bytes=1_000_000,
            is_valid=lambda principal: self.are_valid or principal in self.kept,
            clock=clock,
        )
        self.clients = []

    def revoke(self, *kept):
        """Let no token be valid any more, except for those of some principals."""
        self.kept = kept
        self.are_valid = False

    def publish(self, **fields):
        publish(self.feed, record(0, self.offset, message(**fields)))
        self.offset += 1

    def open(self, start=None, **options):
        """Open a stream; return the client's socket."""
        ours, hubs = socket.socketpair()
        hubs.setblocking(False)
        ours.settimeout(30)
        slot = self.admission.stream_slot()
        assert slot.acquire("sse")
        self.clients.append(ours)
        self.last = HubClient(hubs, slot=slot, **options)
        self.hub.add(self.last, start or Start(EVERYTHING), b"first ")
        return ours

    def open_sse(self, start=None):
        return self.open(start, encoding=SSE)

    def open_websocket(self, received=b""):
        return self.open(
            encoding=WEBSOCKET,
            peer=WebSocketPeer("address", SETTINGS.topics, ANYONE, lambda _: ANYONE),
            received=received,
        )

    def close(self):
        self.subscriptions.may_find.set()
        self.hub.close()
        for each in self.clients:
            each.close()
        self.hub.join(30)


@pytest.fixture
def process():
    process = Process()
    yield process
    process.close()


@pytest.fixture
def pinging():
    process = Process(ping_seconds=15.0, client_timeout=1_000.0, clock=lambda: process.now)
    yield process
    process.close()


@pytest.fixture
def impatient():
    process = Process(client_timeout=0.1)
    yield process
    process.close()


def read_until(client, wanted):
    """Read until some bytes have come; return all."""
    seen = b""
    while wanted not in seen:
        data = client.recv(1 << 16)
        assert data, f"closed before {wanted!r}: {seen[-500:]!r}"
        seen += data
    return seen


def rest_of(client):
    seen = b""
    while data := client.recv(1 << 16):
        seen += data
    return seen


def frames(*events):
    """Return the bytes that a client sends."""
    mine = Connection(ConnectionType.CLIENT)
    return b"".join(mine.send(each) for each in events)


def subscribe(**fields):
    return TextMessage(json.dumps({"type": "subscribe", **fields}))


def test_an_expired_view_keeps_no_blocks():
    feed = feed_of()
    channel = Channel(Subscriptions(feed), EVERYTHING, SSE, open_session, 0.0)
    publish(feed, record(0, 0, message()))
    assert channel.view(0.0, 1_000_000) is not None
    for offset in range(1, 100):
        publish(feed, record(0, offset, message(speed=offset % 90)))
        channel.flush(float(offset))
        channel.sent = channel.tail
    held = [each for each in gc.get_objects() if type(each) is Block]
    assert len(held) < 10


def test_a_client_that_closes_after_its_close_frame_ends_no_other_stream(process, monkeypatch):
    other = process.open_sse()
    read_until(other, b'"initial"')
    may_read = threading.Event()
    read = WebSocketPeer.receive
    monkeypatch.setattr(WebSocketPeer, "receive", lambda *args: may_read.wait(30) and read(*args))
    client = process.open_websocket()
    read_until(client, b'"initial"')
    client.sendall(frames(CloseConnection(1000)))
    client.close()
    may_read.set()
    eventually(lambda: process.hub.counts()["clients"] == 1)
    process.publish(segment="after")
    assert b'"error"' not in read_until(other, b'"after"')


def test_a_stream_that_can_not_be_started_ends_no_other_one(process):
    other = process.open_sse()
    read_until(other, b'"initial"')
    assert b'"error":"ValueError"' in rest_of(process.open_sse(Start(EVERYTHING, after="broken")))
    process.publish(segment="after")
    assert b'"error"' not in read_until(other, b'"after"')


def test_bytes_that_the_peer_fails_on_end_no_other_stream(process, monkeypatch):
    other = process.open_sse()
    read_until(other, b'"initial"')
    monkeypatch.setattr(WebSocketPeer, "receive", lambda *_: 1 / 0)
    client = process.open_websocket()
    client.sendall(b"hello")
    assert b'"error":"ZeroDivisionError"' in rest_of(client)
    process.publish(segment="after")
    assert b'"error"' not in read_until(other, b'"after"')


def test_a_filter_asked_for_during_a_lookup_replaces_it(process):
    process.publish(segment="old")
    client = process.open_websocket()
    client.sendall(frames(subscribe(filter={"segment": "old"}, since=1_700_000_000_000)))
    assert process.subscriptions.begun.wait(30)
    client.sendall(frames(subscribe(filter={"segment": "new"})))
    read_until(client, b'"filter":{"segment":"new"}')
    process.subscriptions.may_find.set()
    for speed in range(50):
        process.publish(segment="old", speed=speed)
        time.sleep(0.002)  # until the look-up would have been used
    process.publish(segment="new")
    assert b'"old"' not in read_until(client, b'"segment_id":"new"')


def test_a_client_that_reads_no_answers_is_disconnected(process, monkeypatch):
    monkeypatch.setattr("web.streams.incoming.MAX_UNREAD_BYTES", 10_000)
    client = process.open_websocket()
    read_until(client, b'"initial"')
    while not process.hub.counts()["slow"]:
        process.publish(road_name="x" * 200)
    client.sendall(frames(*[Ping(b"x" * 125)] * 100))
    eventually(lambda: process.hub.counts()["clients"] == 0)


def test_a_flood_of_frames_is_closed_with_a_policy_code():
    peer = WebSocketPeer(None, SETTINGS.topics, ANYONE, lambda _: ANYONE)
    flood = frames(*[Ping()] * MAX_FRAMES)
    assert not any(answer.is_last for answer in peer.receive(flood, 0.0))
    assert not any(answer.is_last for answer in peer.receive(flood, 10.0))
    (answer,) = peer.receive(frames(Ping()), 19.0)
    assert answer.is_last
    assert POLICY.to_bytes(2, "big") in answer.data


def test_many_parts_without_content_are_no_message():
    peer = WebSocketPeer(None, SETTINGS.topics, ANYONE, lambda _: ANYONE)
    parts = frames(TextMessage("", message_finished=False)) + b"\x00\x80\0\0\0\0" * MAX_FRAMES
    (answer,) = peer.receive(parts, 0.0)
    assert answer.is_last


def test_a_slow_client_is_not_closed_for_a_ping_that_was_not_sent(pinging):
    client = pinging.open_websocket()
    read_until(client, b'"initial"')
    mine = Connection(ConnectionType.CLIENT)
    while not pinging.hub.counts()["slow"]:
        pinging.publish(road_name="x" * 200)
    for _ in range(10):
        pinging.now += 15.0
        pinging.publish(road_name="y" * 200)
        eventually(lambda: pinging.hub._rounds._tick_at > pinging.now)
    pinging.publish(segment="last")
    seen = b""
    while b'"last"' not in seen:
        data = client.recv(1 << 16)
        mine.receive_data(data)
        for event in mine.events():
            assert not isinstance(event, CloseConnection), event.reason
            if isinstance(event, Ping):
                client.sendall(mine.send(event.response()))
        seen = seen[-500:] + data


def test_a_stalled_client_behind_a_thread_is_disconnected_there(impatient):
    client = impatient.open_sse()
    is_cut = threading.Event()
    impatient.last.cut_other = is_cut.set
    read_until(client, b'"initial"')
    while not (impatient.hub.counts()["slow"] or is_cut.is_set()):
        impatient.publish(road_name="x" * 200)
    assert is_cut.wait(60)
    eventually(lambda: impatient.admission.stalled() == {"sse": 1})


def test_a_client_that_disconnected_holds_no_blocks(process):
    other = process.open_sse()
    read_until(other, b'"initial"')
    client = process.open_websocket()
    while not process.hub.counts()["slow"]:
        process.publish(road_name="x" * 200)
        other.recv(1 << 16)
    client.close()
    eventually(lambda: process.hub.counts()["clients"] == 1)
    eventually(lambda: process.last.stream.channel is None)  # which follows, on the hub's thread
    assert process.last.stream.lag_bytes == 0


def test_requests_at_once_get_one_hub(consumer, settings, monkeypatch):
    def slow(*args, **options):
        time.sleep(0.1)  # while the others ask
        return Hub(*args, **options)

    monkeypatch.setattr("web.services.Hub", slow)
    here = create_app(settings, lambda: consumer).extensions[EXTENSION]

    def ask(barrier):
        barrier.wait()
        here.get_consumer()
        return here.hub

    barrier = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, [barrier] * 8))) == 1


def test_a_stream_without_filter_is_served_beside_too_many_filters(process, monkeypatch):
    monkeypatch.setattr("web.streams.channels.MAX_CHANNELS", 0)
    assert b'"busy"' in rest_of(process.open_sse(Start(Filter(segments=frozenset({"a"})))))
    read_until(process.open_sse(), b'"initial"')


def test_a_reset_during_a_websocket_handshake_is_no_error(client, caplog):
    ours, theirs = socket.socketpair()
    ours.close()
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    with theirs:
        client.get("/predictions/ws", headers=headers, environ_overrides={"werkzeug.socket": theirs})
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


def test_too_many_filters_close_a_websocket_with_a_code(process, monkeypatch):
    monkeypatch.setattr("web.streams.channels.MAX_CHANNELS", 0)
    client = process.open_websocket(frames(subscribe(filter={"segment": "a"})))
    seen = rest_of(client)
    assert b'"busy"' in seen
    assert (1013).to_bytes(2, "big") in seen


HOLDER = Principal("a", key=b"a")


def test_a_stream_ends_with_bye_when_its_token_is_revoked(process):
    revoked, other = process.open_sse(Start(EVERYTHING, principal=HOLDER)), process.open_sse()
    read_until(revoked, b"initial")
    read_until(other, b"initial")
    process.revoke()
    assert b'data: {"type":"bye","reason":"expired"}' in rest_of(revoked)
    process.publish(segment="A")
    read_until(other, b'"A"')


def test_a_renewed_websocket_outlives_its_first_token(process):
    renewed = structs.replace(HOLDER, key=b"another")
    peer = WebSocketPeer("address", SETTINGS.topics, HOLDER, lambda _: renewed)
    client = process.open(Start(EVERYTHING, principal=HOLDER), encoding=WEBSOCKET, peer=peer)
    other = process.open_sse(Start(EVERYTHING, principal=HOLDER))
    read_until(client, b"initial")
    client.sendall(Connection(ConnectionType.CLIENT).send(TextMessage('{"type":"renew","token":"new"}')))
    read_until(client, b'{"type":"renewed","expires_at":null,')
    process.revoke(renewed)
    assert b'"reason":"expired"' in rest_of(other)
    process.publish(segment="A")
    read_until(client, b'"A"')


def test_a_websocket_closes_with_1008_when_its_token_is_revoked(process):
    peer = WebSocketPeer("address", SETTINGS.topics, HOLDER, lambda _: HOLDER)
    client = process.open(Start(EVERYTHING, principal=HOLDER), encoding=WEBSOCKET, peer=peer)
    read_until(client, b"initial")
    process.revoke()
    last = rest_of(client)
    assert b'{"type":"bye","reason":"expired"}' in last
    assert last.endswith(POLICY.to_bytes(2) + b"expired")
