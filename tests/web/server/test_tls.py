"""TLS in gunicorn: its threads keep the sockets, and copy the bytes of streams."""

import base64
import os
import signal
import ssl
import struct

import pytest

from tests.web.server.test_worker import Server, read_until, until
from web.streams.incoming import MAX_DISCARDED_BYTES

pytestmark = pytest.mark.integration

THREADS = 4
CLOSE = 8


def open_websocket(server):
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    key = base64.b64encode(os.urandom(16)).decode()
    return server.open("/predictions/ws", **headers, **{"Sec-WebSocket-Key": key})


def opened(server):
    """Return a WebSocket that has its view; None if all slots are in use."""
    client, seen = open_websocket(server), b""
    while b'"initial"' not in seen:
        data = client.recv(65_536)
        if not data:
            client.close()
            return None
        seen += data
    return client


def frame(opcode, payload):
    """Return a frame of a client, with a mask of zeros."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path / "log", tls=True, WEB_THREADS=str(THREADS), HEARTBEAT_SECONDS="1") as server:
        yield server


def test_a_stream_over_tls_ends_with_bye(server):
    with server.open() as client:
        read_until(client, b'"initial"')
        server.process.send_signal(signal.SIGTERM)
        read_until(client, b'"bye"')


def test_an_sse_client_that_sends_a_byte_stays(server):
    with server.open() as client:
        read_until(client, b'"initial"')
        client.sendall(b"\n")
        for _ in range(4):  # some seconds: the thread looks every two whether its client is there
            read_until(client, b"\n\n")


def test_websockets_that_send_after_their_close_keep_no_thread(server):
    clients = []
    try:
        for _ in range(2 * THREADS):
            client = until(lambda: opened(server))  # the slot of the one before is free a moment after its end
            clients.append(client)
            client.sendall(frame(CLOSE, struct.pack(">H", 1000)))
            try:
                client.sendall(bytes(MAX_DISCARDED_BYTES + 1))
                while client.recv(65_536):
                    pass
            except (ConnectionError, ssl.SSLError):
                pass  # it was disconnected
        assert b'"success":true' in server.get("/api/predictions")
    finally:
        for client in clients:
            client.close()
