"""WebSockets, read with websocket-client: messages, changes of the filter, bad input, and endings."""

import contextlib
import json
import re
import signal
import socket
import threading

import pytest
import websocket
from msgspec import structs

from consumer.view.cursor import decode
from tests.consumer.helpers import array, message
from tests.web.conftest import SETTINGS, SHORT_HEARTBEAT, waits
from tests.web.paths import Connection
from tests.web.server.test_worker import PROMPT_SECONDS, Server, until
from web.streams.websocket_protocol import MAX_MESSAGE_BYTES, MAX_MESSAGES

KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def test_a_websocket_starts_with_state_and_view_then_sends_changes(connect, put):
    put(message("A"))
    it = connect()
    first = [it.next() for _ in range(3)]
    assert [each["type"] for each in first] == ["connected", "status", "initial"]
    assert (first[0]["transport"], first[0]["expires_at"]) == ("websocket", None)
    assert [each["segment_id"] for each in first[2]["predictions"]] == ["A"]
    put(message("B"))
    change = it.next("prediction")
    assert change["data"]["segment_id"] == "B"
    assert change["cursor"] > ""


def test_cursors_of_sse_and_websocket_are_interchangeable(connect, put, client):
    put(message("A"))
    cursor = connect().next("initial")["cursor"]
    put(message("B"))
    put(message("C"))
    it = connect(f"?after={cursor}")
    changes = [it.next("prediction") for _ in range(2)]
    assert [each["data"]["segment_id"] for each in changes] == ["B", "C"]
    after = client.get(f"/api/predictions?after={changes[0]['cursor']}").get_json()["data"]
    assert [each["segment_id"] for each in after["predictions"]] == ["C"]
    assert decode(after["cursor"]) == decode(changes[1]["cursor"])


def test_an_unreadable_cursor_is_a_gap_and_the_view(connect, put):
    put(message("A"))
    it = connect("?after=nonsense")
    gap, view = it.next("gap"), it.next()
    assert (gap["reason"], gap["missed"]) == ("bad_cursor", None)
    assert (view["type"], view["count"]) == ("initial", 1)


def test_subscribe_changes_the_filter_of_the_connection(connect, put):
    put(array(message("A", speed=10), message("B", speed=70)))
    it = connect("?segment=A")
    assert [each["segment_id"] for each in it.next("initial")["predictions"]] == ["A"]
    it.send(type="subscribe", filter={"segment": ["B"]})
    assert it.next("subscribed") == {"type": "subscribed", "filter": {"segment": ["B"]}}
    assert [each["segment_id"] for each in it.next("initial")["predictions"]] == ["B"]
    put(array(message("A", timestamp=1_700_000_060_000), message("B", timestamp=1_700_000_060_000)))
    assert it.next("prediction")["data"]["segment_id"] == "B"


@pytest.mark.parametrize("wanted", [{}, {"segment": ["B"]}])
def test_a_changed_filter_begins_with_the_view_also_after_a_cursor(connect, put, wanted):
    put(array(message("A"), message("B")))
    it = connect("?segment=A")
    cursor = it.next("initial")["cursor"]
    it.send(type="subscribe", filter=wanted, after=cursor)
    it.next("subscribed")
    assert "B" in [each["segment_id"] for each in it.next("initial")["predictions"]]


@pytest.mark.parametrize(
    ("wanted", "segments"),
    [
        ({}, "AB"),
        ({"category": "severe_congestion,heavy_traffic"}, "A"),
        ({"category": ["free_flow"]}, "B"),
        ({"bbox": [-119, 33.5, -118, 34.5]}, "A"),
        ({"bbox": "-119,33.5,-118,34.5"}, "A"),
        ({"horizon": 15, "road": None}, ""),
        ({"horizon": "all", "road": "i-5"}, "A"),
        ({"segment": ""}, "AB"),
    ],
)
def test_a_filter_is_written_in_json_as_in_a_url(connect, put, wanted, segments):
    where = {"coordinates": {"latitude": 34.0, "longitude": -118.2}, "road_name": "I-5 N"}
    put(array(message("A", speed=10, **where), message("B", speed=70)))
    it = connect("?segment=none")
    it.send(type="subscribe", filter=wanted)
    it.next("subscribed")
    assert "".join(each["segment_id"] for each in it.next("initial")["predictions"]) == segments


def test_a_list_may_have_a_segment_with_a_comma_in_its_name(connect, put):
    put(message("I-5, exit 7"))
    it = connect("?segment=none")
    it.send(type="subscribe", filter={"segment": ["I-5, exit 7"]})
    it.next("subscribed")
    assert it.next("initial")["count"] == 1


def test_subscribe_continues_after_a_cursor(connect, put):
    put(message("A"))
    it = connect()
    cursor = it.next("initial")["cursor"]
    put(message("B"))
    it.next("prediction")
    it.send(type="subscribe", after=cursor)
    it.next("subscribed")
    assert it.next("prediction")["data"]["segment_id"] == "B"


def test_a_large_view_is_sent_in_parts_with_the_cursor_at_the_end(connect, put, client):
    put(array(*(message(f"S{number}", road_name="x" * 100) for number in range(500))))
    it = connect()
    first = it.next("initial")
    assert 0 < len(first["predictions"]) < first["count"] == 500
    rest = [it.next() for _ in range(500 - len(first["predictions"]))]
    assert {each["type"] for each in rest} == {"prediction"}
    assert {each.get("cursor") for each in [first, *rest[:-1]]} == {None}
    polled = client.get("/api/predictions").json["data"]
    assert decode(rest[-1]["cursor"]) == decode(polled["cursor"])
    received = {each["segment_id"]: each for each in [*first["predictions"], *(each["data"] for each in rest)]}
    assert received == {each["segment_id"]: each for each in polled["predictions"]}


def subscription(**fields):
    return json.dumps({"type": "subscribe", **fields})


def masked(*texts):
    """Return texts as a client's frames, all of one TCP segment."""
    return b"".join(websocket.ABNF.create_frame(text, websocket.ABNF.OPCODE_TEXT).format() for text in texts)


@pytest.mark.parametrize("gives_cursor", [False, True])
@pytest.mark.parametrize("wanted", [{}, {"segment": ["A", "B"]}])
def test_equal_subscribes_in_one_packet_each_get_the_view(connect, put, wanted, gives_cursor):
    put(array(message("A"), message("B")))
    it = connect("?segment=A")
    cursor = it.next("initial")["cursor"]
    asked = subscription(filter=wanted, after=cursor) if gives_cursor else subscription(filter=wanted)
    it.socket.sock.sendall(masked(asked, asked))
    for _ in range(2):
        assert it.next("subscribed")["filter"] == wanted
        kinds = [it.next() for _ in range(2)]
        assert [each["type"] for each in kinds] == ["status", "initial"]
        assert kinds[1]["count"] == 2
    put(message("B", timestamp=1_700_000_060_000))
    assert it.next("prediction")["data"]["segment_id"] == "B"


def test_subscribes_in_one_packet_are_answered_in_order(connect, put):
    put(array(message("A"), message("B")))
    it = connect()
    it.next("initial")
    it.socket.sock.sendall(masked(*(subscription(filter={"segment": name}) for name in "AB")))
    for name in "AB":
        assert it.next("subscribed")["filter"] == {"segment": name}
        assert [each["segment_id"] for each in it.next("initial")["predictions"]] == [name]


def test_subscribe_with_the_same_filter_gets_the_view(connect, put):
    put(message("A"))
    it = connect()
    cursor = it.next("initial")["cursor"]
    put(message("B"))
    it.next("prediction")
    it.send(type="subscribe", after=cursor)
    it.next("subscribed")
    assert [it.next()["type"] for _ in range(3)] == ["status", "prediction", "initial"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Input data was truncated; allowed: {"),
        ("nonsense", "JSON is malformed"),
        ("[]", "Expected `object`, got `array`; allowed: {"),
        ("{}", "Object missing required field `type`"),
        ('{"type":"shout"}', "Invalid value 'shout' - at `$.type`"),
        ('{"type":"subscribe","filters":{}}', "Object contains unknown field `filters`"),
        ('{"type":"subscribe","after":7}', "Expected `str | null`, got `int` - at `$.after`"),
        ('{"type":"subscribe","filter":{"colour":"red"}}', "unknown filter 'colour'; allowed: segment, category, bbox"),
        ('{"type":"subscribe","filter":{"segment":{"a":1}}}', "Expected `int | float | str | array | null`"),
        ('{"type":"subscribe","filter":{"category":["red"]}}', "category='red' can't be used; allowed: free_flow"),
        ('{"type":"subscribe","filter":{"bbox":[1,2]}}', "bbox='1,2' can't be used; allowed: west,south,east,north"),
        ('{"type":"subscribe","filter":{"segment":["a",""]}}', "segment lists an empty value"),
        ('{"type":"subscribe","since":"yesterday"}', "since='yesterday' can't be used; allowed: epoch milliseconds"),
    ],
)
def test_an_unusable_message_gets_an_error_and_changes_nothing(connect, put, text, said):
    it = connect("?segment=A")
    it.next("initial")
    it.socket.send(text)
    error = it.next("error")
    assert said in error["error"]
    assert error["message"] == "The message was not understood"
    put(message("A"))
    assert it.next("prediction")["data"]["segment_id"] == "A"


def test_a_binary_message_is_refused(connect):
    it = connect()
    it.socket.send_binary(b"\x00")
    assert it.close_code() == (1003, "binary messages can't be used; allowed: text")


def test_a_message_that_is_too_long_is_refused(connect):
    it = connect()
    it.socket.send(" " * (MAX_MESSAGE_BYTES + 1))
    assert it.close_code() == (1009, f"the message is too large; allowed: {MAX_MESSAGE_BYTES} characters")


def test_text_that_is_not_utf_8_is_refused(connect):
    it = connect()
    it.socket.send(b"\xff\xfe", websocket.ABNF.OPCODE_TEXT)
    assert it.close_code()[0] == 1007


def test_too_many_messages_are_refused(connect):
    it = connect()
    it.next("initial")
    for _ in range(MAX_MESSAGES + 1):
        it.socket.send("nonsense")
    assert it.close_code() == (1008, "too many messages; allowed: 20 in 10 s")


def test_a_flood_of_messages_is_cut_off_and_releases_its_slot(connect, server, app):
    it = connect()
    admission = app.extensions["greenwave"].admission
    with contextlib.suppress(OSError, websocket.WebSocketException):
        for _ in range(100_000):
            it.socket.send("{}")
    until(lambda: not admission.counts())


def test_a_client_that_disconnects_releases_its_slot(connect, app):
    admission = app.extensions["greenwave"].admission
    polite, rude = connect(), connect()
    until(lambda: admission.counts() == {"websocket": 2})
    polite.socket.close()
    rude.socket.sock.close()
    until(lambda: not admission.counts())


@waits(SHORT_HEARTBEAT)
def test_pings_are_sent_without_changes(connect):
    it = connect()
    while True:
        opcode, _ = it.socket.recv_data(control_frame=True)
        if opcode == websocket.ABNF.OPCODE_PING:
            break


@waits(SHORT_HEARTBEAT)
def test_a_client_that_does_not_answer_pings_is_closed(server, app):
    host, port = server.removeprefix("http://").split(":")
    lines = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
    with socket.create_connection((host, int(port)), 60) as dead:
        dead.sendall("\r\n".join(["GET /predictions/ws HTTP/1.1", "Host: here", *lines, "", ""]).encode())
        seen = b"".join(iter(lambda: dead.recv(65_536), b""))
    assert b"the last ping was not answered" in seen
    until(lambda: not app.extensions["greenwave"].admission.counts())


@pytest.mark.parametrize("settings", [structs.replace(SETTINGS, web_threads=5, max_streams=3)])
def test_without_a_free_slot_the_close_code_is_1013(connect, settings):
    for _ in range(3):
        connect().next()
    code, reason = connect().close_code()
    assert (code, reason) == (1013, "all slots are in use; retry later, or poll /api/predictions")


def test_an_error_is_sent_logged_and_closes_with_1011(connect, app, consumer, caplog):
    app.extensions["greenwave"].views = None
    it = connect()
    error = it.next("error")
    assert (error["message"], error["error"]) == ("The stream failed; reconnect to continue", "AttributeError")
    assert it.close_code()[0] == 1011
    assert "its streams end" in caplog.text


def test_closing_sends_bye_and_1001(connect, app, consumer):
    it = connect()
    it.next("initial")
    app.extensions["greenwave"].admission.close()
    consumer.feed.wake()
    assert it.next("bye")["reason"] == "the server is closing; reconnect to continue"
    assert it.close_code()[0] == 1001


@pytest.mark.parametrize(
    ("path", "headers", "status", "said"),
    [
        ("/predictions/ws", {}, 426, "/predictions/ws is a WebSocket; connect with ws:// or wss://, or use"),
        ("/predictions/stream", HANDSHAKE, 400, "/predictions/stream is no WebSocket; allowed: /predictions/ws"),
        ("/predictions/ws", HANDSHAKE | {"Sec-WebSocket-Version": "8"}, 400, "Sec-WebSocket-Version='8' can't be used"),
        ("/predictions/ws", HANDSHAKE | {"Sec-WebSocket-Key": "short"}, 400, "Sec-WebSocket-Key='short' can't be"),
        ("/predictions/ws", HANDSHAKE | {"Origin": "https://evil.example"}, 403, "pages of 'https://evil.example' may"),
        ("/predictions/ws", HANDSHAKE | {"Origin": "null"}, 403, "pages of 'null' may not connect"),
        ("/predictions/ws?colour=red", HANDSHAKE, 400, "unknown parameter 'colour'; allowed here: after, since"),
        ("/predictions/ws?category=red", HANDSHAKE, 400, "category='red' can't be used"),
        ("/predictions/ws?since=never", HANDSHAKE, 400, "since='never' can't be used"),
        ("/predictions/ws", HANDSHAKE, 400, "this server can't serve WebSockets; use /predictions/stream"),
    ],
)
def test_an_unusable_handshake_is_refused_with_the_reason(client, path, headers, status, said):
    answer = client.get(path, headers=headers)
    assert answer.status_code == status
    assert said in answer.get_json()["error"]


# In gunicorn, with the worker as it is shipped


@pytest.fixture
def gunicorn(tmp_path, integration):
    with contextlib.ExitStack() as stack:
        yield lambda **environ: stack.enter_context(Server(tmp_path / "log", **environ))


def opened(server):
    """Return a WebSocket of a server in gunicorn that has its view."""
    scheme, options = ("wss", {"sslopt": {"context": server.context}}) if server.context else ("ws", {})
    connection = Connection(f"{scheme}://127.0.0.1:{server.port}/predictions/ws", **options)
    connection.next("initial")
    return connection


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_websockets_and_ends_the_process_promptly(gunicorn, number):
    server = gunicorn()
    clients = [opened(server) for _ in range(20)]
    ended = []
    threads = [
        threading.Thread(target=lambda client=client: ended.append(client.close_code()[0])) for client in clients
    ]
    for thread in threads:
        thread.start()
    server.process.send_signal(number)
    server.process.wait(PROMPT_SECONDS)
    for thread in threads:
        thread.join(60)
    for client in clients:
        client.close()
    assert ended == [1001] * 20
    assert "Traceback" not in server.log.read_text()


def test_connections_are_counted_correctly_after_websockets_end(gunicorn, tls):
    server = gunicorn(tls=tls)
    clients = [opened(server) for _ in range(10)]
    assert server.counts()["websocket"] == 10
    for number, client in enumerate(clients):
        client.socket.close() if number % 2 else client.socket.sock.close()
    until(lambda: "websocket" not in server.counts())
    until(lambda: server.counts()["connections"] == 1)  # the one that asks
    assert "Traceback" not in server.log.read_text()


def test_streams_that_read_nothing_are_disconnected_quietly(gunicorn, tls):
    server = gunicorn(tls=tls, CLIENT_TIMEOUT="0.5", HEARTBEAT_SECONDS="50")
    lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    with contextlib.ExitStack() as stalled:
        for target in (f"ws HTTP/1.1\r\n{lines}", "stream HTTP/1.1\r\n"):
            request = f"GET /predictions/{target}Host: here\r\n\r\n".encode()
            stalled.enter_context(server.open_raw(request, receive_bytes=4096))
        until(lambda: {"sse", "websocket"} <= set(server.counts()))
        server.get("/flood-the-topic")
        until(lambda: not {"sse", "websocket"} & set(server.counts()))
        until(lambda: server.counts()["connections"] == 1)  # so no thread writes to them any more
    metrics = server.get("/metrics")
    for transport in (b"sse", b"websocket"):
        assert re.search(rb'greenwave_clients_stalled_total\{.*transport="%b"\} 1\.0\n' % transport, metrics)
    assert "Traceback" not in server.log.read_text()
