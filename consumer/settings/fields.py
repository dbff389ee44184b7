"""All settings: one table of name, default, unit and help.

The table is the class below: each field is one environment variable in lower case. Nothing else in the product
reads the environment. `python -m tools.settings_page` writes docs/settings.md from it, and a test compares the two.
"""

import base64
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct, structs

from consumer.prediction import KM_PER_MILE

from .backlog import Backlog, parse_backlog
from .brokers import host_of, with_port
from .topics import MAX_TOPICS, Topics, parse_topics

ENVELOPES = ("connect", "debezium", "cloudevents", "deleted", "lines", "gzip")
"""What `consumer.mapping` can open: JSON with a schema by Kafka Connect, change events of Debezium, CloudEvents, rows
that are marked with `__deleted`, several lines of JSON, and values packed with gzip."""

SECRETS = frozenset(
    {
        "kafka_sasl_password",
        "kafka_client_cert_key",
        "schema_registry_password",
        "auth_jwt_secret",
        "auth_ticket_secret",
        "webhook_url",
        "webhook_secret",
    }
)
"""Fields that are never logged or shown."""

SECTIONS = {
    "KAFKA_BROKERS": "Kafka",
    "KAFKA_SECURITY_PROTOCOL": "TLS and log-in towards Kafka",
    "SPEED_UNIT": "Predictions",
    "SCHEMA_REGISTRY_URL": "Schema registry",
    "BUFFER_ENTRIES": "Memory",
    "REPLAY_RECORDS": "Replays",
    "USUAL_FILE": "Usual speeds",
    "ACKNOWLEDGEMENTS_FILE": "Acknowledgements",
    "WEBHOOK_URL": "Webhook",
    "PORT": "Serving",
    "TRUSTED_PROXIES": "Limits per client",
    "AUTH": "Access",
    "PUBLISH": "Publishing",
    "ALLOWED_ORIGINS": "Page and other sites",
    "LOG_LEVEL": "Logs and traces",
}
"""The first variable of each section of docs/settings.md, and the section's title."""


def _meta(unit: str, text: str, **bounds: Any) -> Meta:
    return Meta(description=text, extra_json_schema={"unit": unit}, **bounds)


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of one process; every field has the name of its variable in lower case."""

    # Kafka
    kafka_brokers: Annotated[
        str, _meta("host:port, …", "Bootstrap brokers, a comma list. Empty: KAFKA_URL, else localhost:9092")
    ] = ""
    kafka_client: Annotated[
        Literal["kafka-python", "confluent"],
        _meta("", "Client that reads: kafka-python, or confluent (librdkafka; needs requirements-confluent.txt)"),
    ] = "kafka-python"
    kafka_topic: Annotated[
        str,
        _meta(
            "names",
            f"Topics to read, at most {MAX_TOPICS}: a name, a comma list, or a regular expression that begins with ^ "
            "and matches the beginning of names, such as ^traffic\\.",
        ),
    ] = "traffic-predictions"
    kafka_prefix: Annotated[str, _meta("", "Prefix of the topics' names (shared Heroku plans)")] = ""
    kafka_backlog: Annotated[
        str,
        _meta(
            "records/time",
            "Backlog read at start: records, time, or both (the smaller counts), as in 10000/1h; all; 0 for none",
        ),
    ] = "10000/1h"
    kafka_fetch_max_wait_ms: Annotated[
        int, _meta("ms", "Longest time that the broker may hold a fetch without data", ge=1, le=3000)
    ] = 500
    kafka_silence_seconds: Annotated[
        float, _meta("s", "Silence of a broker after which it counts as disconnected", ge=3, le=60)
    ] = 6
    circuit_failures: Annotated[
        int, _meta("attempts", "Failed attempts before the circuit breaker opens", ge=1, le=1000)
    ] = 5
    circuit_probe_seconds: Annotated[float, _meta("s", "Longest delay between connection attempts", ge=1, le=5)] = 5
    watchdog_seconds: Annotated[
        float, _meta("s", "Duration of a Kafka client call after which the process ends", ge=10, le=600)
    ] = 30
    max_lag: Annotated[
        float, _meta("s", "Lag behind the end of the topic above which a process is not ready", ge=1, le=3600)
    ] = 30
    kafka_isolation_level: Annotated[
        Literal["read_uncommitted", "read_committed"],
        _meta("", "Whether records of open and aborted transactions are read"),
    ] = "read_uncommitted"
    # TLS and log-in towards Kafka
    kafka_security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], _meta("", "Security protocol of broker connections")
    ] = "PLAINTEXT"
    kafka_sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], _meta("", "SASL mechanism, for SASL_PLAINTEXT and SASL_SSL")
    ] = "PLAIN"
    kafka_sasl_username: Annotated[str, _meta("", "SASL user name")] = ""
    kafka_sasl_password: Annotated[str, _meta("", "SASL password; never shown")] = ""
    kafka_ssl_cafile: Annotated[str, _meta("path", "CA certificates to trust. Empty: the system's")] = ""
    kafka_ssl_certfile: Annotated[str, _meta("path", "Client certificate")] = ""
    kafka_ssl_keyfile: Annotated[str, _meta("path", "Key of the client certificate")] = ""
    kafka_ssl_check_hostname: Annotated[
        bool,
        _meta("", "Verify broker host names in certificates; defaults to false when KAFKA_TRUSTED_CERT is set"),
    ] = True
    kafka_url: Annotated[str, _meta("kafka+ssl://…", "Heroku: brokers as URLs; used when KAFKA_BROKERS is empty")] = ""
    kafka_trusted_cert: Annotated[str, _meta("PEM", "Heroku: CA certificate as text")] = ""
    kafka_client_cert: Annotated[str, _meta("PEM", "Heroku: client certificate as text")] = ""
    kafka_client_cert_key: Annotated[
        str, _meta("PEM", "Heroku: key of the client certificate as text; never shown")
    ] = ""
    # Predictions
    speed_unit: Annotated[
        Literal["mph", "kmh"], _meta("", "Unit of all served speeds, and of speeds whose field names no unit")
    ] = "mph"
    category_thresholds: Annotated[
        str, _meta("mph", "Lower bounds of free flow, moderate and heavy traffic, descending")
    ] = "60,45,30"
    interval_level: Annotated[
        float,
        _meta(
            "",
            "Share of actual speeds that the producers' prediction intervals are meant to hold, such as 0.9, shown "
            "beside the measured share. 0: not known",
            ge=0,
            lt=1,
        ),
    ] = 0
    producer_timezone: Annotated[str, _meta("IANA name", "Time zone of producers' times without one")] = "UTC"
    max_future: Annotated[
        int,
        _meta("s", "A time further ahead of the record's Kafka time, or of the server's clock, is refused", ge=0),
    ] = 600
    # At two bytes an item, no larger array has places for all its items (cursor.MAX_INDEX).
    max_message_bytes: Annotated[int, _meta("bytes", "Largest accepted message", ge=1024, le=33_554_432)] = 1_048_576
    mapping_file: Annotated[
        str, _meta("path", "TOML that maps the fields of messages to those of predictions; see docs/mapping.md")
    ] = ""
    envelopes: Annotated[
        str, _meta("names", f"Envelopes that are opened: a comma list of {', '.join(ENVELOPES)}; or none")
    ] = ",".join(ENVELOPES)
    # Schema registry
    schema_registry_url: Annotated[
        str,
        _meta(
            "URL",
            "Schema registry with Confluent's API, for Avro, Protobuf and JSON Schema; needs requirements-registry.txt",
        ),
    ] = ""
    schema_registry_username: Annotated[str, _meta("", "User name for the schema registry (basic authentication)")] = ""
    schema_registry_password: Annotated[str, _meta("", "Password for the schema registry; never shown")] = ""
    schema_registry_cafile: Annotated[
        str, _meta("path", "CA certificates to trust for the schema registry. Empty: the system's")
    ] = ""
    schema_registry_wait: Annotated[
        float,
        _meta(
            "s",
            "Time for which records wait for a schema while the registry is away; 0: only for the first attempt",
            ge=0,
            le=600,
        ),
    ] = 20
    # Memory
    buffer_entries: Annotated[
        int, _meta("predictions", "Ring buffer: maximum number of entries", ge=100, le=10_000_000)
    ] = 50_000
    buffer_bytes: Annotated[
        int,
        _meta(
            "bytes",
            "Ring buffer: maximum memory. All other stores together take at most 2⅛ times as much",
            ge=1_048_576,
        ),
    ] = 134_217_728
    max_segments: Annotated[int, _meta("segments", "Latest view: maximum number of segments", ge=1, le=1_000_000)] = (
        20_000
    )
    max_age: Annotated[
        int, _meta("s", "Latest view: age beyond the newest times after which a prediction expires", ge=60)
    ] = 86_400
    quarantine_entries: Annotated[
        int, _meta("messages", "Refused messages kept for GET /api/quarantine", ge=1, le=10_000)
    ] = 100
    # Replays
    replay_records: Annotated[
        int, _meta("records", "Maximum records replayed from Kafka for one client; 0 disables replays", ge=0)
    ] = 500_000
    replay_seconds: Annotated[float, _meta("s", "Time limit of one read of a replay", ge=1, le=120)] = 20
    replay_readers: Annotated[int, _meta("readers", "Maximum concurrent replay readers", ge=1, le=16)] = 2
    # Usual speeds
    usual_file: Annotated[
        str,
        _meta("path", "SQLite file in which usual speeds by weekday and quarter-hour are learnt. Empty: none are"),
    ] = ""
    usual_timezone: Annotated[
        str, _meta("IANA name", "Time zone of the roads, for usual speeds and the page. Empty: PRODUCER_TIMEZONE")
    ] = ""
    # Acknowledgements
    acknowledgements_file: Annotated[
        str,
        _meta(
            "path",
            "SQLite file with the acknowledgements of alerts, for all who watch. Empty: each browser has its own",
        ),
    ] = ""
    acknowledgements_topic: Annotated[
        str,
        _meta(
            "name",
            "Compacted topic with one partition for acknowledgements, in place of the file: for processes on several "
            "hosts",
        ),
    ] = ""
    # Webhook
    webhook_url: Annotated[
        str,
        _meta("URL", "URL to which beginnings and ends of alerts are posted; see docs/webhooks.md. Never shown"),
    ] = ""
    webhook_secret: Annotated[
        str,
        _meta("", "Secret that signs them: whsec_ and 24 to 64 random bytes in base64; never shown"),
    ] = ""
    webhook_replayed: Annotated[bool, _meta("", "Whether alerts of replayed data are posted, too")] = False
    # Serving
    port: Annotated[int, _meta("", "Port to listen on", ge=0, le=65_535)] = 8000
    bind: Annotated[
        str, _meta("address", "Address to listen on. Empty: 127.0.0.1 while AUTH is not set, else 0.0.0.0")
    ] = ""
    script_name: Annotated[
        str,
        _meta(
            "path",
            "Path prefix that the proxy does not strip, such as /traffic",
            pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        ),
    ] = ""
    web_concurrency: Annotated[int, _meta("processes", "gunicorn workers", ge=1, le=64)] = 1
    web_threads: Annotated[
        int,
        _meta(
            "threads",
            "Threads per worker, for requests. Two are reserved for short ones; streams need none",
            ge=4,
            le=2000,
        ),
    ] = 16
    max_streams: Annotated[
        int,
        _meta(
            "streams",
            "Maximum number of streams and waiting long polls per worker; reduced if too few files may be open",
            ge=1,
            le=1_000_000,
        ),
    ] = 10_000
    flush_ms: Annotated[
        int, _meta("ms", "Longest time for which events are gathered under load; 0 sends each at once", ge=0, le=1000)
    ] = 20
    expected_interval: Annotated[
        float, _meta("s", "Expected time between updates of a segment; the page marks older ones as stale", gt=0)
    ] = 300
    start_timeout: Annotated[
        float,
        _meta("s", "Default timeout of start(), which waits until the consumer is ready", ge=0, le=600),
    ] = 30
    heartbeat_seconds: Annotated[float, _meta("s", "Longest time between two messages of a stream", gt=0, le=55)] = 15
    client_timeout: Annotated[
        float, _meta("s", "Time without progress after which a client is disconnected", gt=0, le=600)
    ] = 30
    drain_seconds: Annotated[
        float,
        _meta(
            "s",
            "Time from SIGTERM to the end of a process, in which streams end in shares; 0 ends all at once",
            ge=0,
            le=600,
        ),
    ] = 0
    # Limits per client
    trusted_proxies: Annotated[
        str,
        _meta(
            "networks",
            "Proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8: a comma list. Empty: none, and all clients "
            "behind a proxy count as one",
        ),
    ] = ""
    client_streams: Annotated[
        int, _meta("streams", "Streams and waiting long polls per client address and worker; 0: any number", ge=0)
    ] = 1_000
    client_stream_rate: Annotated[
        float, _meta("1/s", "New streams per client address, on average over 10 s; 0: any number", ge=0)
    ] = 100
    client_request_rate: Annotated[
        float,
        _meta("1/s", "Requests per client address, on average over 10 s, new streams included; 0: any number", ge=0),
    ] = 200
    client_replays: Annotated[
        int,
        _meta(
            "requests", "Concurrent requests per client address that read from Kafka or publish; 0: any number", ge=0
        ),
    ] = 4
    client_limits_exempt: Annotated[
        str,
        _meta("networks", "Addresses without limits per client: a comma list, or none. Default: private networks"),
    ] = "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7,fe80::/10"
    hash_addresses: Annotated[
        bool, _meta("", "Whether GET /api/clients shows addresses as hashes, which differ in each process")
    ] = True
    # Access
    auth: Annotated[
        Literal["", "none", "token", "jwt"],
        _meta(
            "",
            "Who may read: none (all clients), token (holders of a token), or jwt (of a JWT; needs "
            "requirements-auth.txt). Not set: clients on this host only; see docs/access.md",
        ),
    ] = ""
    allowed_hosts: Annotated[
        str,
        _meta(
            "names",
            "Host names under which requests are served, against DNS rebinding: a comma list. Empty: any. Probes "
            "are served under all",
        ),
    ] = ""
    admin_bind: Annotated[
        str,
        _meta(
            "host:port",
            "Address at which alone /metrics, /api/quarantine, /api/clients and the details of /api/health are served, "
            "without credentials. Empty: with the others, by role",
        ),
    ] = ""
    auth_tokens_file: Annotated[
        str, _meta("path", "TOML with the hashes of tokens and what they allow, for AUTH=token; read again on changes")
    ] = ""
    auth_jwt_keys: Annotated[
        str, _meta("URL or path", "Public keys for AUTH=jwt (RS256, ES256): a key set (JWKS) by https or file, or PEM")
    ] = ""
    auth_jwt_secret: Annotated[
        str, _meta("", "Secret for AUTH=jwt (HS256) in place of keys, 32 bytes at least; never shown")
    ] = ""
    auth_jwt_audience: Annotated[str, _meta("", "Audience that a JWT must have; needed for AUTH=jwt")] = ""
    auth_jwt_issuer: Annotated[str, _meta("", "Issuer that a JWT must have. Empty: any")] = ""
    auth_jwt_leeway: Annotated[
        float, _meta("s", "How far clocks of issuers may differ from this host's", ge=0, le=300)
    ] = 10
    auth_jwt_claim: Annotated[
        str, _meta("name", "Claim of a JWT with what it allows, an object as in docs/access.md")
    ] = "greenwave"
    auth_ticket_secret: Annotated[
        str,
        _meta(
            "",
            "Key of tickets, the same on all hosts that serve them, 32 bytes at least; never shown. Empty: a random "
            "one for the workers of one gunicorn",
        ),
    ] = ""
    # Publishing
    publish: Annotated[bool, _meta("", "Whether POST /api/predictions writes to Kafka")] = False
    publish_max_bytes: Annotated[
        int, _meta("bytes", "Largest body of POST /api/predictions", ge=1024, le=16_777_216)
    ] = 1_048_576
    publish_timeout: Annotated[
        float, _meta("s", "Time for the acknowledgement of Kafka, after which the answer is 503", ge=1, le=60)
    ] = 10
    # Page and other sites
    allowed_origins: Annotated[
        str,
        _meta(
            "origins",
            "Other origins whose pages may use SSE, JSON and WebSocket: a comma list, or * (any, without cookies). "
            "Same origin is always allowed",
        ),
    ] = ""
    embed_origins: Annotated[
        str,
        _meta(
            "origins", "Other origins allowed to frame /predictions/embed: a comma list, or *. Same origin is allowed"
        ),
    ] = ""
    network_file: Annotated[
        str, _meta("path", "GeoJSON with places, roads and lines of segments, for messages without them")
    ] = ""
    network_id_property: Annotated[
        str,
        _meta("name", "Property in NETWORK_FILE that holds the segment id, such as osmid or a.b. Empty: segment_id, …"),
    ] = ""
    map_tiles: Annotated[
        str, _meta("URL", "Map tiles, such as https://tile.example.org/{z}/{x}/{y}.png. Empty: none")
    ] = ""
    map_attribution: Annotated[str, _meta("text", "Map attribution text")] = ""
    # Logs and traces
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], _meta("", "Minimum log severity")] = "INFO"
    log_format: Annotated[
        Literal["text", "json"], _meta("", "Lines of text, or of JSON with the id of the request")
    ] = "text"
    access_log: Annotated[bool, _meta("", "Whether each request is logged; at LOG_LEVEL=DEBUG it always is")] = False
    traces_per_second: Annotated[
        int,
        _meta(
            "records/s",
            "Most records whose traces are continued by OpenTelemetry, those with a sampled traceparent; needs "
            "requirements-otel.txt, and the OTEL_* variables. 0: none",
            ge=0,
            le=1_000,
        ),
    ] = 0

    @property
    def hosts(self) -> frozenset[str]:
        """The names of ALLOWED_HOSTS; none of them allows any."""
        return frozenset(part.strip().strip("[]").lower() for part in self.allowed_hosts.split(",") if part.strip())

    @property
    def address(self) -> str:
        """The address to listen on: BIND, else this host only until AUTH says who may read."""
        return self.bind or ("0.0.0.0" if self.auth else "127.0.0.1")

    @property
    def admin_port(self) -> str:
        """The port of ADMIN_BIND; "" without one."""
        return self.admin_bind.rpartition(":")[2].lstrip("0")

    @property
    def topics(self) -> Topics:
        """The topics to read. Raises ValueError when KAFKA_TOPIC can't be used."""
        return parse_topics(self.kafka_topic, self.kafka_prefix)

    @property
    def reads_several(self) -> bool:
        """Whether there may be more than one topic."""
        return self.kafka_topic.startswith("^") or "," in self.kafka_topic

    @property
    def topic(self) -> str:
        """The topic's full name, prefix included; of several the list of names or the pattern, as text."""
        if not self.reads_several:
            return self.kafka_prefix + self.kafka_topic
        names, pattern = self.topics
        return pattern.pattern if pattern is not None else ",".join(names)

    @property
    def for_acknowledgements(self) -> "Settings":
        """These settings with ACKNOWLEDGEMENTS_TOPIC as the topic to read."""
        return structs.replace(self, kafka_topic=self.acknowledgements_topic)

    @property
    def shares_acknowledgements(self) -> bool:
        """Whether acknowledgements are kept for all who watch."""
        return bool(self.acknowledgements_file or self.acknowledgements_topic)

    @property
    def brokers(self) -> list[str]:
        """Bootstrap brokers, as host:port."""
        if self.kafka_brokers:
            return [with_port(part.strip()) for part in self.kafka_brokers.split(",") if part.strip()]
        if self.kafka_url:
            return [host_of(part.strip()) for part in self.kafka_url.split(",")]
        return ["localhost:9092"]

    @property
    def known_envelopes(self) -> frozenset[str]:
        """The envelopes that are opened. Raises ValueError for an unknown name."""
        names = {part.strip() for part in self.envelopes.split(",")} - {"", "none"}
        if unknown := sorted(names.difference(ENVELOPES)):
            raise ValueError(f"{unknown[0]!r} is unknown")
        return frozenset(names)

    @property
    def thresholds_mph(self) -> tuple[float, float, float]:
        """Lower bounds of free flow, moderate and heavy traffic, in mph."""
        free, moderate, heavy = (float(part) for part in self.category_thresholds.split(","))
        return free, moderate, heavy

    @property
    def mph_per_unit(self) -> float:
        """One unit of a served speed, in mph."""
        return 1.0 if self.speed_unit == "mph" else 1 / KM_PER_MILE

    @property
    def usual_zone(self) -> ZoneInfo:
        """The time zone of the roads."""
        return ZoneInfo(self.usual_timezone or self.producer_timezone)

    @property
    def webhook_key(self) -> bytes:
        """The key of WEBHOOK_SECRET, by Standard Webhooks 1.0. Raises ValueError."""
        if not self.webhook_secret.startswith("whsec_"):
            raise ValueError("it does not begin with whsec_")
        key = base64.b64decode(self.webhook_secret.removeprefix("whsec_"), validate=True)
        if not 24 <= len(key) <= 64:
            raise ValueError(f"its key has {len(key)} bytes")
        return key

    # With the ring buffer, all memory that grows with records and requests; docs/memory.md has the formula.

    @property
    def view_bytes(self) -> int:
        """Memory limit of the latest view."""
        return self.buffer_bytes // 2

    @property
    def observed_bytes(self) -> int:
        """Memory limit of the latest view of observations."""
        return self.buffer_bytes // 4

    @property
    def scores_bytes(self) -> int:
        """Memory limit of the scores."""
        return self.buffer_bytes // 4

    @property
    def replay_bytes(self) -> int:
        """Memory limit of the chunks of replays."""
        return self.buffer_bytes // 4

    @property
    def message_bytes(self) -> int:
        """Memory limit of the messages that are encoded once for all clients."""
        return self.buffer_bytes * 3 // 8

    @property
    def block_bytes(self) -> int:
        """Memory limit of blocks of messages that slow clients have not been sent."""
        return self.buffer_bytes // 8

    @property
    def answer_bytes(self) -> int:
        """Memory limit of cached answers with whole views."""
        return self.buffer_bytes // 8

    @property
    def unsent_bytes(self) -> int:
        """Memory limit of responses that slow clients have not read."""
        return self.buffer_bytes // 4

    @property
    def backlog(self) -> Backlog:
        """How far back a start reads."""
        return parse_backlog(self.kafka_backlog)
