"""Security of broker connections: TLS and login as options of the Kafka client, and why a connection ended.

Heroku gives certificates as PEM text, and its brokers' certificates don't carry their host names: its own CA
certificate protects the connection.
"""

import contextlib
import logging
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator
from typing import Any

from consumer.errors import SettingsError
from consumer.settings import Settings


def security_options(settings: Settings) -> dict[str, Any]:
    """Return the options for kafka-python.

    Raises SettingsError when a certificate or key can't be read.
    """
    protocol = security_protocol(settings)
    options: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        options["ssl_context"] = ssl_context(settings)
    if protocol.startswith("SASL"):
        _keep_the_password_out_of_logs()
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_sasl_username
        options["sasl_plain_password"] = settings.kafka_sasl_password
    return options


def security_protocol(settings: Settings) -> str:
    """Return the protocol: as set, or SSL when Heroku's KAFKA_URL asks for it."""
    if not settings.kafka_brokers and settings.kafka_url.startswith("kafka+ssl"):
        return "SSL"
    return settings.kafka_security_protocol


def _keep_the_password_out_of_logs() -> None:
    """Drop what the client logs of each request at DEBUG: with PLAIN, one of them holds the password, encoded."""
    for name in ("kafka.net.connection", "kafka.protocol.parser"):
        logging.getLogger(name).addFilter(_above_debug)


def _above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


class AnswerBeforeEnd(socket.socket):
    """A socket that reports the end of a connection only after the data before it was handled.

    kafka-python reads until there is nothing, and drops what it has read at the end of the connection. The answer to a
    refused login comes together with the end, so the reason would be lost.
    """

    at_once = 65_536
    """Least bytes of one call. The client asks for 4,096, and each call waits for the interpreter's lock."""
    _drained = False

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive at least as much as was asked for, if it is there.

        After less than was possible, raise BlockingIOError once, without a system call.
        """
        if self._drained:
            self._drained = False
            raise BlockingIOError
        most = max(buflen, self.at_once)
        data = super().recv(most, flags)
        self._drained = 0 < len(data) < most
        return data


class _TlsSocket(AnswerBeforeEnd, ssl.SSLSocket):
    """A TLS socket that is closed when its handshake fails or is abandoned.

    kafka-python leaves it to the garbage collector, so a broker with a wrong certificate would collect sockets.
    """

    at_once = 16_384  # a TLS record: one call returns no more, and less means that nothing else is decrypted

    def do_handshake(self, block: bool = False) -> None:
        """Continue the handshake."""
        try:
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except BaseException:
            self.close()
            raise

    def __del__(self) -> None:
        # A client that is closed during a handshake drops the socket.
        self.close()


def ssl_context(settings: Settings) -> ssl.SSLContext:
    """Build the TLS context from files, or from PEM text. Raises SettingsError, which names the setting."""
    file, text = settings.kafka_ssl_cafile, settings.kafka_trusted_cert
    with _naming("KAFKA_SSL_CAFILE" if file else "KAFKA_TRUSTED_CERT", file):
        context = ssl.create_default_context(cafile=file or None, cadata=text or None)
    context.check_hostname = settings.kafka_ssl_check_hostname
    context.sslsocket_class = _TlsSocket
    _load_client_certificate(context, settings)
    return context


@contextlib.contextmanager
def _naming(names: str, path: str = "") -> Iterator[None]:
    """Raise SettingsError for any failure; it names the settings and the file, and never shows a key."""
    try:
        yield
    except (ssl.SSLError, OSError, ValueError) as error:
        given = f"={path!r}" if path else ""
        raise SettingsError(f"{names}{given} can't be used: {error}; allowed: certificates in PEM") from error


def _load_client_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    if settings.kafka_client_cert:
        with _naming("KAFKA_CLIENT_CERT, KAFKA_CLIENT_CERT_KEY"):
            _load_as_file(context, f"{settings.kafka_client_cert_key}\n{settings.kafka_client_cert}\n")
    elif settings.kafka_ssl_certfile:
        with _naming("KAFKA_SSL_CERTFILE, KAFKA_SSL_KEYFILE", settings.kafka_ssl_certfile):
            context.load_cert_chain(settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile or None)


def _load_as_file(context: ssl.SSLContext, pem: str) -> None:
    """Load PEM text from a temporary file, readable by this user alone: the ssl module takes files only."""
    descriptor, path = tempfile.mkstemp(suffix=".pem")
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(pem)
        context.load_cert_chain(path)
    finally:
        os.unlink(path)


CLOSED = "it closed the connection; see KAFKA_SECURITY_PROTOCOL, and with SASL the KAFKA_SASL_ settings"
_NO_ANSWER = "it does not answer"
_SIGNS = (
    ("mismatch", "its certificate is for another host name; see KAFKA_SSL_CHECK_HOSTNAME"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted; see KAFKA_SSL_CAFILE, KAFKA_TRUSTED_CERT"),
    ("ALERT", "it refused the client certificate, or that there is none; see KAFKA_SSL_CERTFILE, KAFKA_CLIENT_CERT"),
    ("Handshake failed", "it does not speak TLS; see KAFKA_SECURITY_PROTOCOL"),
    ("SaslAuthenticationFailed", "it refused the log-in; see KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD"),
    ("UnsupportedSaslMechanism", "it does not offer this log-in; see KAFKA_SASL_MECHANISM"),
    ("IllegalSaslState", "it wants no log-in; see KAFKA_SECURITY_PROTOCOL"),
    ("InvalidReceive", "it does not answer in plain; see KAFKA_SECURITY_PROTOCOL"),
    ("ECONNREFUSED", "nothing listens there"),
    ("DNS", "its name can't be resolved"),
    # librdkafka's words
    ("SASL authentication error", "it refused the log-in; see KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD"),
    ("Unsupported SASL mechanism", "it does not offer this log-in; see KAFKA_SASL_MECHANISM"),
    ("current SASL state", "it wants no log-in; see KAFKA_SECURITY_PROTOCOL"),
    ("certificate verify failed", "its certificate is not trusted, or for another host name; see KAFKA_SSL_CAFILE"),
    ("tls alert", "it refused the client certificate, or that there is none; see KAFKA_SSL_CERTFILE"),
    ("PLAINTEXT broker listener", "it does not speak TLS; see KAFKA_SECURITY_PROTOCOL"),
    ("SSL listener", CLOSED),
    ("Connection refused", "nothing listens there"),
    ("Failed to resolve", "its name can't be resolved"),
)
MAX_DETAIL = 200


def explain(error: BaseException) -> str:
    """Return in one line why a connection to a broker ended, and which settings to check."""
    text = str(error)
    if any(sign in text for sign in ("disconnected", "reset by peer", "roken pipe")):
        return CLOSED
    if "timed out" in text.lower():  # without the milliseconds, which differ each time
        return _NO_ANSWER
    detail = text[:MAX_DETAIL] if text.isprintable() else repr(text)[1:MAX_DETAIL]
    words = next((words for sign, words in _SIGNS if sign in text), None)
    return f"{words} ({detail})" if words else detail
