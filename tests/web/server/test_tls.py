"""TLS in gunicorn: its threads keep the sockets, and copy the bytes of streams."""

import base64
import datetime
import http.client
import os
import signal
import socket
import ssl
import struct

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.web.server.test_worker import Server, read_until, until
from web.streams.incoming import MAX_DISCARDED_BYTES

pytestmark = pytest.mark.integration

THREADS = 4
CLOSE = 8


class SecureServer(Server):
    """The same with a certificate of its own."""

    def __init__(self, folder, **environ):
        files = certificate(folder)
        self.context = ssl.create_default_context(cafile=files[0])
        self.context.check_hostname = False
        super().__init__(folder / "log", "--certfile", str(files[0]), "--keyfile", str(files[1]), **environ)

    def get(self, path, timeout=60):
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.context)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def open(self, path="/predictions/stream", **headers):
        plain = socket.create_connection((self.host, self.port), timeout=60)
        client = self.context.wrap_socket(plain)
        lines = [f"GET {path} HTTP/1.1", "Host: test", *[f"{name}: {value}" for name, value in headers.items()]]
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        return client

    def open_websocket(self):
        headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        key = base64.b64encode(os.urandom(16)).decode()
        return self.open("/predictions/ws", **headers, **{"Sec-WebSocket-Key": key})


def certificate(folder):
    """Write a certificate that signs itself, and its key; return the paths of both."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def opened(server):
    """Return a WebSocket that has its view; None if all slots are in use."""
    client, seen = server.open_websocket(), b""
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
    with SecureServer(tmp_path, WEB_THREADS=str(THREADS), HEARTBEAT_SECONDS="1") as server:
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
