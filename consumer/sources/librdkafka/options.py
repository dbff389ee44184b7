"""Options of librdkafka: those of every client of these brokers, and those of a consumer that reads a topic."""

from typing import Any

from consumer.settings import Settings
from consumer.sources.options import METADATA_MAX_AGE_MS, fetch_timeout_ms
from consumer.sources.security import security_protocol, ssl_context
from consumer.sources.unpacking import MAX_UNPACKED_BYTES

GROUP = "greenwave"
"""librdkafka requires the name of a group. It looks the group's coordinator up, and neither joins it nor commits."""
STATISTICS_MS = 500
"""How often librdkafka reports when each broker last sent a byte."""
QUEUE_RECORDS = 20_000
QUEUE_KIB = 16_384
"""Records of a partition, and size of all, that are fetched ahead of the reader."""
FETCH_BYTES = 16_777_216


def client_options(settings: Settings) -> dict[str, Any]:
    """Return the options that every client of these brokers needs. Raises SettingsError."""
    return {
        "bootstrap.servers": ",".join(settings.brokers),
        "socket.timeout.ms": fetch_timeout_ms(settings),
        "socket.keepalive.enable": True,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 1_000,
        "enable.metrics.push": False,
        # It logs to the standard error; what it reports of connections comes as events, too.
        "log_level": 6 if settings.log_level == "DEBUG" else 0,
        **_security_options(settings),
    }


def consumer_options(settings: Settings) -> dict[str, Any]:
    """Return the options of a consumer that assigns partitions itself. Raises SettingsError."""
    return {
        **client_options(settings),
        "group.id": GROUP,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "allow.auto.create.topics": False,
        # A position that Kafka no longer has is an error, not a silent jump.
        "auto.offset.reset": "error",
        "isolation.level": settings.kafka_isolation_level,
        "enable.partition.eof": True,
        "check.crcs": True,
        "fetch.wait.max.ms": settings.kafka_fetch_max_wait_ms,
        "fetch.max.bytes": FETCH_BYTES,
        # With zstd it bounds what a batch may unpack to as well; the others have no bound.
        "receive.message.max.bytes": MAX_UNPACKED_BYTES,
        "fetch.error.backoff.ms": 100,
        # The reader takes the records that are queued in less time than the default of 1,000.
        "fetch.queue.backoff.ms": 20,
        "queued.min.messages": QUEUE_RECORDS,
        "queued.max.messages.kbytes": QUEUE_KIB,
        "topic.metadata.refresh.interval.ms": METADATA_MAX_AGE_MS,
        "statistics.interval.ms": STATISTICS_MS,
        # The consumer takes these lines; it is the only way to learn that the topic has another id.
        "debug": "metadata",
        "log_level": 7,
    }


def _security_options(settings: Settings) -> dict[str, Any]:
    """Return the options of TLS and log-in. Raises SettingsError when a certificate or key can't be read."""
    protocol = security_protocol(settings)
    options: dict[str, Any] = {"security.protocol": protocol}
    if protocol.endswith("SSL"):
        ssl_context(settings)  # raises what librdkafka would report without the name of the setting
        options |= _tls(settings)
    if protocol.startswith("SASL"):
        options["sasl.mechanism"] = settings.kafka_sasl_mechanism
        options["sasl.username"] = settings.kafka_sasl_username
        options["sasl.password"] = settings.kafka_sasl_password
    return options


def _tls(settings: Settings) -> dict[str, Any]:
    options = {
        "ssl.ca.location": settings.kafka_ssl_cafile,
        "ssl.ca.pem": settings.kafka_trusted_cert,
        "ssl.endpoint.identification.algorithm": "https" if settings.kafka_ssl_check_hostname else "none",
    }
    if settings.kafka_client_cert:
        options["ssl.certificate.pem"] = settings.kafka_client_cert
        options["ssl.key.pem"] = settings.kafka_client_cert_key
    elif settings.kafka_ssl_certfile:
        options["ssl.certificate.location"] = settings.kafka_ssl_certfile
        options["ssl.key.location"] = settings.kafka_ssl_keyfile or settings.kafka_ssl_certfile
    return {name: value for name, value in options.items() if value}
