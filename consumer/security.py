"""How to talk to the brokers: TLS and log-in as options of the Kafka client, Heroku's variables included.

Heroku gives certificates as PEM text, and its brokers' certificates don't carry their host names; what protects the
connection there is the CA certificate of its own.
"""

import os
import ssl
import tempfile
from typing import Any

from .errors import SettingsError
from .settings import Settings


def security_options(settings: Settings) -> dict[str, Any]:
    """Return the options for kafka-python.

    Raises SettingsError when a certificate or key can't be read.
    """
    protocol = security_protocol(settings)
    options: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        options["ssl_context"] = ssl_context(settings)
    if protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_sasl_username
        options["sasl_plain_password"] = settings.kafka_sasl_password
    return options


def security_protocol(settings: Settings) -> str:
    """Return the protocol: as set, or SSL when Heroku's KAFKA_URL asks for it."""
    if not settings.kafka_brokers and settings.kafka_url.startswith("kafka+ssl"):
        return "SSL"
    return settings.kafka_security_protocol


def ssl_context(settings: Settings) -> ssl.SSLContext:
    """Build the TLS context from files, or from PEM text."""
    try:
        context = ssl.create_default_context(
            cafile=settings.kafka_ssl_cafile or None, cadata=settings.kafka_trusted_cert or None
        )
        context.check_hostname = settings.kafka_ssl_check_hostname and not settings.kafka_trusted_cert
        _load_client_certificate(context, settings)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise SettingsError(
            "the TLS settings can't be used (KAFKA_SSL_CAFILE, KAFKA_SSL_CERTFILE, KAFKA_SSL_KEYFILE, "
            f"KAFKA_TRUSTED_CERT, KAFKA_CLIENT_CERT, KAFKA_CLIENT_CERT_KEY): {error}"
        ) from error
    return context


def _load_client_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    if settings.kafka_client_cert:
        # The ssl module takes a client certificate from a file only: one that nobody else may read, for a moment.
        descriptor, path = tempfile.mkstemp(suffix=".pem")
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(f"{settings.kafka_client_cert_key}\n{settings.kafka_client_cert}\n")
            context.load_cert_chain(path)
        finally:
            os.unlink(path)
    elif settings.kafka_ssl_certfile:
        context.load_cert_chain(settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile or None)
