"""The client of a WebSocket, without a socket: frames of a client to answers of the server."""

import json
import os
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason

from consumer.view.filters import EVERYTHING, Filter
from tests.consumer.helpers import SETTINGS
from web.access.principal import ANYONE, Principal, Unauthenticated
from web.streams.websocket_peer import FRAMES_SECONDS, MAX_FRAMES, WebSocketPeer
from web.streams.websocket_protocol import MAX_MESSAGE_BYTES, MAX_MESSAGES, MESSAGES_SECONDS

SUBSCRIBE = '{"type":"subscribe","filter":{"segment":"Größe"}}'
GROESSE = Filter(segments=frozenset({"Größe"}))


class Client:
    """A peer, and the client that speaks with it."""

    def __init__(self, principal=ANYONE, tokens=None):
        def verify(token):
            if token not in (tokens or {}):
                raise Unauthenticated("the token is not valid")
            return tokens[token]

        self.peer = WebSocketPeer("address", SETTINGS.topics, principal, verify)
        self.protocol = Connection(ConnectionType.CLIENT)

    def send(self, *events, now=0.0):
        """Send events; return the answers."""
        return self.raw(b"".join(map(self.protocol.send, events)), now)

    def raw(self, data, now=0.0):
        return list(self.peer.receive(data, now))

    def read(self, answers):
        """Return what the client understands of answers."""
        self.protocol.receive_data(b"".join(each.data for each in answers))
        return list(self.protocol.events())


@pytest.fixture
def client():
    return Client()


def text_of(client, answer):
    (event,) = client.read([answer])
    return json.loads(event.data)


def test_a_subscribe_is_answered_and_starts_another_stream(client):
    (answer,) = client.send(TextMessage(SUBSCRIBE))
    assert text_of(client, answer) == {"type": "subscribed", "filter": {"segment": "Größe"}}
    assert not answer.is_last
    start = answer.start
    assert (start.wanted, start.after, start.since_ms, start.address) == (GROESSE, None, None, "address")
    assert start.owes_view


def test_a_cursor_and_a_time_are_passed_on(client):
    (one,) = client.send(TextMessage('{"type":"subscribe","after":"CURSOR"}'))
    (other,) = client.send(TextMessage('{"type":"subscribe","since":"2026-01-01T00:00:00Z"}'))
    assert (one.start.wanted, one.start.after, other.start.since_ms) == (EVERYTHING, "CURSOR", 1_767_225_600_000)


ANN = Principal("ann", Filter(roads=frozenset({"i-5"})), 5.0, expires_at=1_700_000_000.0, key=b"1")
LATER = structs.replace(ANN, expires_at=1_800_000_000.0, key=b"2")
OTHERS = {
    "wider": structs.replace(LATER, limits=EVERYTHING),
    "narrower": structs.replace(LATER, limits=Filter(roads=frozenset())),
    "faster": structs.replace(LATER, every=1.0),
    "operator": structs.replace(LATER, roles=frozenset({"operator"})),
    "bob": structs.replace(LATER, name="bob"),
}


def renewal(token):
    return TextMessage(json.dumps({"type": "renew", "token": token}))


def test_a_token_with_the_same_claims_continues_the_stream():
    client = Client(ANN, {"later": LATER, "endless": structs.replace(LATER, expires_at=None)})
    (answer,) = client.send(renewal("later"))
    renewed = text_of(client, answer)
    assert (renewed["type"], renewed["expires_at"]) == ("renewed", "2027-01-15T08:00:00.000Z")
    assert (answer.principal, answer.start, answer.is_last) == (LATER, None, False)
    (answer,) = client.send(renewal("endless"))
    assert text_of(client, answer)["expires_at"] is None


@pytest.mark.parametrize("token", OTHERS)
def test_a_token_with_other_claims_ends_the_stream(token):
    client = Client(ANN, OTHERS)
    (answer,) = client.send(renewal(token))
    last, closed = client.read([answer])
    assert json.loads(last.data) == {"type": "bye", "reason": "expired"}
    assert (closed.code, closed.reason, answer.is_last) == (1008, "the token has other claims", True)


def test_a_token_that_is_not_valid_changes_nothing():
    client = Client(ANN, {"later": LATER})
    (answer,) = client.send(renewal("gw_secret"))
    error = text_of(client, answer)
    assert (error["type"], error["error"]) == ("error", "the token is not valid")
    assert (answer.principal, answer.is_last) == (None, False)
    assert "gw_secret" not in json.dumps(error)
    (answer,) = client.send(renewal("later"))
    assert answer.principal == LATER


def test_a_message_in_fragments_is_read_when_it_is_whole(client):
    parts = [SUBSCRIBE[:9], SUBSCRIBE[9:30], SUBSCRIBE[30:]]
    given = [client.send(TextMessage(part, message_finished=part is parts[-1])) for part in parts]
    assert given[:2] == [[], []]
    assert given[2][0].start.wanted == GROESSE
    (again,) = client.send(TextMessage(SUBSCRIBE))
    assert again.start.wanted == GROESSE, "nothing of the last message is left"


def test_a_ping_between_fragments_is_answered(client):
    client.send(TextMessage(SUBSCRIBE[:9], message_finished=False))
    (pong,) = client.send(Ping(b"now"))
    assert client.read([pong]) == [Pong(b"now")]
    (answer,) = client.send(TextMessage(SUBSCRIBE[9:]))
    assert answer.start.wanted == GROESSE


@given(st.lists(st.integers(1, 200), max_size=8))
def test_frames_can_arrive_in_any_pieces(cuts):
    client = Client()
    data = client.protocol.send(TextMessage(SUBSCRIBE)) + client.protocol.send(Ping(b"p"))
    answers, begin = [], 0
    for end in [*sorted(cuts), len(data)]:
        answers += client.raw(data[begin:end])
        begin = max(begin, end)
    subscribed, pong = answers
    assert subscribed.start.wanted == GROESSE
    assert client.read([pong]) == [Pong(b"p")]


def test_a_client_that_answers_is_pinged_again(client):
    ping = client.peer.ping()
    client.protocol.receive_data(ping)
    (event,) = client.protocol.events()
    assert client.peer.ping() is None, "the last one was not answered"
    assert client.send(event.response()) == []
    assert client.peer.ping() == ping


def test_what_is_not_understood_is_answered_and_changes_nothing(client):
    for text in ("no JSON", '{"type":"other"}', '{"type":"subscribe","filter":{"x":1}}', "[]", ""):
        (answer,) = client.send(TextMessage(text))
        error = text_of(client, answer)
        assert (error["type"], answer.start, answer.is_last) == ("error", None, False)


@pytest.mark.parametrize("code", [CloseReason.NORMAL_CLOSURE, CloseReason.GOING_AWAY, 4_000])
def test_a_close_is_answered_by_the_same_code(client, code):
    (answer,) = client.send(CloseConnection(code, "reason"))
    assert answer.is_last
    assert client.read([answer]) == [CloseConnection(code, "reason")]


def test_a_close_without_a_code_is_answered(client):
    (answer,) = client.raw(b"\x88\x80\x00\x00\x00\x00")
    assert (answer.data, answer.is_last) == (b"\x88\x00", True)


def test_nothing_is_answered_after_a_close(client):
    client.send(CloseConnection(1_000))
    (answer,) = client.raw(b"\x81\x80\x00\x00\x00\x00")
    assert (answer.data, answer.is_last) == (b"", True)


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([BytesMessage(b"{}")], 1003),
        ([BytesMessage(b"{", message_finished=False), BytesMessage(b"}")], 1003),
        ([TextMessage("x" * (MAX_MESSAGE_BYTES + 1))], 1009),
        ([TextMessage("x" * MAX_MESSAGE_BYTES, message_finished=False), TextMessage("x")], 1009),
        ([TextMessage('{"type":"subscribe"}')] * (MAX_MESSAGES + 1), 1008),
        ([TextMessage("garbage")] * (MAX_MESSAGES + 1), 1008),
        ([Ping()] * (MAX_FRAMES + 1), 1008),
    ],
    ids=["binary", "binary fragments", "too large", "too large fragments", "too many", "bad ones", "pings"],
)
def test_what_is_not_allowed_closes_with_its_code(client, events, code):
    *_, last = client.send(*events)
    assert last.is_last
    assert last.start is None
    assert client.read([last])[-1].code == code
    assert client.peer.close(1001, "again") == b"", "it was closed already"


def test_a_message_of_the_largest_size_is_read(client):
    text = '{"type":"subscribe","filter":{"segment":"%s"}}' % ("x" * 200)
    (answer,) = client.send(TextMessage(text.ljust(MAX_MESSAGE_BYTES)))
    assert answer.start is not None


def test_limits_hold_for_a_time(client):
    for round_ in range(3):
        now = round_ * max(FRAMES_SECONDS, MESSAGES_SECONDS)
        text = '{"type":"subscribe"}'.ljust(MAX_MESSAGE_BYTES // 2)
        answers = client.send(*[TextMessage(text), Ping()] * MAX_MESSAGES, now=now)
        answers += client.send(*[Ping()] * (MAX_FRAMES - 2 * MAX_MESSAGES), now=now)
        assert not any(each.is_last for each in answers)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x02hi", 1002),  # not masked
        (b"\xf1\x80\x00\x00\x00\x00", 1002),  # reserved bits
        (b"\x83\x80\x00\x00\x00\x00", 1002),  # unknown opcode
        (b"\x80\x80\x00\x00\x00\x00", 1002),  # a continuation of nothing
        (b"\x89\xfe\x00\xff\x00\x00\x00\x00", 1002),  # a ping that is too long
        (b"\x81\x81\x00\x00\x00\x00\xff", 1007),  # not UTF-8
        (b"\x88\x82\x00\x00\x00\x00\x00\x01", 1002),  # a code that is none
    ],
)
def test_what_is_no_websocket_closes_with_its_code(client, data, code):
    (answer,) = client.raw(data)
    assert answer.is_last
    (close,) = client.read([answer])
    assert close.code == code


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=5))
def test_random_bytes_never_fail(pieces):
    client = Client()
    for piece in pieces:
        for answer in client.raw(piece):
            assert answer.start is None
            if answer.is_last:
                return


def test_random_frames_are_bounded_in_memory(client):
    header = b"\x01\xff" + (2**40).to_bytes(8) + bytes(4)  # a frame of a terabyte
    answers = client.raw(header)
    while not answers:
        answers = client.raw(os.urandom(1).hex().encode() * 500)
    assert answers[-1].is_last
    assert client.read(answers)[-1].code == 1009


def test_an_empty_pong_is_read_without_a_protocol(client):
    assert client.peer.ping()
    assert client.send(Pong()) == []
    assert client.peer.ping(), "the last one was answered"
    assert client.peer.ping() is None
    (answer,) = client.send(TextMessage(SUBSCRIBE))
    assert answer.start is not None


def test_a_pong_in_parts_or_with_content_is_read(client):
    for parts in ([b"\x8a", b"\x80abcd"], [b"\x8a\x81abcdx"], [b"\x8a\x80abcd" * 2]):
        assert client.peer.ping()
        assert [answer for part in parts for answer in client.raw(part)] == []
    assert client.peer.ping()


def test_pongs_count_as_frames(client):
    answers = [answer for _ in range(MAX_FRAMES + 1) for answer in client.send(Pong())]
    assert [answer.is_last for answer in answers] == [True]


def test_an_idle_client_takes_little_memory():
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        peers = [WebSocketPeer("address", SETTINGS.topics, ANYONE, lambda _: ANYONE) for _ in range(1_000)]
        size = (tracemalloc.get_traced_memory()[0] - before) / len(peers)
    finally:
        tracemalloc.stop()
    assert size < 500
