"""The load client counts exactly: a server that drops, doubles, cuts and compresses is seen through."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
import zlib

import pytest

from bench.messages import message
from bench.processes import load_client

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc"), reason="the load client needs Linux and a C compiler"
)

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
BEGIN = time.time_ns() // 1000 - 50_000
END = BEGIN + 3_600_000_000


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GREENWAVE_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return load_client()


class Server:
    """A listening socket, and the connections whose requests were read."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(20)
        self.port = self._listener.getsockname()[1]
        self.opened = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in (*self.opened, self._listener):
            each.close()

    def accept(self, head=HEAD):
        """Accept a connection and answer with a head; return it and its request."""
        connection = self._listener.accept()[0]
        connection.settimeout(20)
        self.opened.append(connection)
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += connection.recv(4096)
        connection.sendall(f"{head}\r\n".encode())
        return connection, request.decode()


class Load:
    """The program with this many clients, all of them connected; `connections` are the server's sides."""

    def __init__(self, program, server, clients, *options, head=HEAD):
        command = [program, "--port", str(server.port), "--path", "/", "--clients", str(clients), *options]
        self._process = subprocess.Popen(
            [*map(str, command), "--ready-when-open", "--grace", "20"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.connections = [server.accept(head)[0] for _ in range(clients)]
        self.ready = self._answer()

    def ask(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def start(program):
    with contextlib.ExitStack() as stack:

        def start(clients, *options, head=HEAD):
            server = stack.enter_context(Server())
            load = Load(program, server, clients, *options, head=head)
            stack.callback(load.close)
            load.ask(f"window {BEGIN} {END}")
            return server, load

        yield start


def event(number, stamp=None, line_end="\n"):
    data = message(number, BEGIN + number if stamp is None else stamp, 20).decode()
    return f"id: cursor-{number}{line_end}data: {data}{line_end}{line_end}".encode()


def events(*numbers):
    return b"".join(map(event, numbers))


def test_losses_and_doubles_are_counted_exactly(start):
    _, load = start(3)
    whole, with_losses, with_double = load.connections
    whole.sendall(events(*range(100)))
    with_losses.sendall(events(*(n for n in range(100) if n not in (10, 11))))
    with_double.sendall(events(*range(60), *range(58, 100)))
    counts = load.ask("result 300")
    assert (counts["delivered"], counts["doubled"], counts["least"]) == (298, 2, 98)


def test_each_event_is_timed(start):
    _, load = start(1)
    for stamp in (BEGIN, BEGIN + 1, BEGIN + 2):
        load.connections[0].sendall(event(stamp - BEGIN, stamp))
    counts = load.ask("result 3")
    assert 50 <= counts["p50"] <= counts["p99"] <= counts["longest"] + 0.1


def test_messages_sent_outside_of_the_window_are_not_counted(start):
    _, load = start(1)
    load.connections[0].sendall(event(1, BEGIN - 1) + event(2, END) + event(3))
    assert load.ask("result 1")["delivered"] == 1


def chunked(data, size):
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def gzipped(data, size):
    """Return blocks ended with a full flush, after a header of their own."""
    packer = zlib.compressobj(wbits=31)
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(packer.compress(part) + packer.flush(zlib.Z_FULL_FLUSH) for part in parts)


CHUNKED, GZIP = "Transfer-Encoding: chunked\r\n", "Content-Encoding: gzip\r\n"
CODINGS = {
    "until the connection closes": ("Connection: close\r\n", lambda data: data),
    "chunks that cut stamps": (CHUNKED, lambda data: chunked(data, 7)),
    "one large chunk": (CHUNKED, lambda data: chunked(data, 1 << 20)),
    "gzip": (GZIP, lambda data: gzipped(data, 2_000)),
    "gzip in chunks": (GZIP + CHUNKED, lambda data: chunked(gzipped(data, 700), 11)),
    "CRLF": ("", lambda data: data.replace(b"\n", b"\r\n")),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_all_codings_of_a_response_are_read(start, coding):
    headers, encode = CODINGS[coding]
    _, load = start(1, head=HEAD + headers)
    data = encode(events(*range(200)))
    for at in range(0, len(data), 1_777):
        load.connections[0].sendall(data[at : at + 1_777])
    counts = load.ask("result 200")
    assert (counts["delivered"], counts["doubled"]) == (200, 0)


def test_a_view_is_no_delivery_but_changes_the_state(start):
    _, load = start(1, "--segments", "20")
    view = b",".join(message(number, BEGIN + number, 20) for number in range(20))
    load.connections[0].sendall(b'data: {"type":"initial","predictions":[%b]}\n\n' % view + events(20, 21))
    assert load.ask("result 2")["delivered"] == 2
    assert load.ask("state 21") == {"wrong": 0, "wrong_clients": 0}
    assert load.ask("state 23") == {"wrong": 2, "wrong_clients": 1}


def test_an_older_message_at_the_end_is_a_wrong_state(start):
    _, load = start(1, "--segments", "20")
    load.connections[0].sendall(events(*range(30), 5))
    load.ask("result 31")
    assert load.ask("state 29") == {"wrong": 1, "wrong_clients": 1}


def test_gaps_are_counted(start):
    _, load = start(1)
    load.connections[0].sendall(b'data: {"type":"gap","reason":"slow","missed":3}\n\n' + event(1))
    assert load.ask("result 1")["gaps"] == 1


def test_a_client_resumes_after_its_last_complete_event(start):
    server, load = start(1, "--resume")
    # The last event lacks its empty line, so it does not count.
    load.connections[0].sendall(b"retry: 10\n" + events(0, 1) + event(2)[:-1])
    load.connections[0].close()
    connection, request = server.accept()
    assert "Last-Event-ID: cursor-1\r\n" in request
    connection.sendall(events(2, 3))
    counts = load.ask("result 4")
    assert (counts["delivered"], counts["doubled"], counts["reconnects"]) == (4, 0, 1)


def test_the_last_chunk_ends_a_stream_whose_connection_stays_open(start):
    server, load = start(1, "--resume", head=HEAD + CHUNKED)
    load.connections[0].sendall(chunked(b"retry: 10\n" + event(0), 100) + b"0\r\n\r\n")
    assert "Last-Event-ID: cursor-0\r\n" in server.accept()[1]


def test_clients_cut_their_connections_and_return(start):
    server, load = start(1, "--cut", "0.01")
    load.connections[0].sendall(b"retry: 1\n" + event(0))
    for _ in range(3):
        server.accept()
    assert load.ask("calm") == {}


def test_a_refused_client_is_reported(program):
    busy = "HTTP/1.1 503 Busy\r\n"
    with Server() as server, contextlib.closing(Load(program, server, 1, head=busy)) as load:
        assert (load.ready["open"], load.ready["refusals"]) == (0, 1)
