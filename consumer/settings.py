"""All settings: one table of name, default, unit and help, read from a mapping handed in.

The table is the class below: each field is one environment variable in lower case. Nothing else in the product
reads the environment. `python -m tools.settings_page` writes docs/settings.md from it, and a test compares the two.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from .errors import SettingsError
from .prediction import KM_PER_MILE

SECRETS = frozenset({"kafka_sasl_password", "kafka_client_cert_key"})
"""Fields that are never logged or shown."""

SECTIONS = {
    "KAFKA_BROKERS": "Kafka",
    "KAFKA_SECURITY_PROTOCOL": "TLS and log-in towards Kafka",
    "SPEED_UNIT": "Predictions",
    "BUFFER_ENTRIES": "Memory",
    "REPLAY_RECORDS": "Replays",
    "PORT": "Serving",
    "ALLOWED_ORIGINS": "Page and other sites",
    "LOG_LEVEL": "Logging",
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
    kafka_topic: Annotated[str, _meta("", "Topic to read", pattern=r"^[A-Za-z0-9._-]{1,249}$")] = "traffic-predictions"
    kafka_prefix: Annotated[str, _meta("", "Prefix of the topic's name (shared Heroku plans)")] = ""
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
    # predictions
    speed_unit: Annotated[
        Literal["mph", "kmh"], _meta("", "Unit of all served speeds, and of speeds whose field names no unit")
    ] = "mph"
    category_thresholds: Annotated[
        str, _meta("mph", "Lower bounds of free flow, moderate and heavy traffic, descending")
    ] = "60,45,30"
    producer_timezone: Annotated[str, _meta("IANA name", "Time zone of producers' times without one")] = "UTC"
    max_future: Annotated[
        int,
        _meta("s", "A time further ahead of the record's Kafka time, or of the server's clock, is refused", ge=0),
    ] = 600
    # At two bytes an item, no larger array has places for all its items (cursor.MAX_INDEX).
    max_message_bytes: Annotated[int, _meta("bytes", "Largest accepted message", ge=1024, le=33_554_432)] = 1_048_576
    # memory
    buffer_entries: Annotated[
        int, _meta("predictions", "Ring buffer: maximum number of entries", ge=100, le=10_000_000)
    ] = 50_000
    buffer_bytes: Annotated[
        int,
        _meta("bytes", "Ring buffer: maximum memory. All other stores together take 1⅜ times as much", ge=1_048_576),
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
    replay_records: Annotated[
        int, _meta("records", "Maximum records replayed from Kafka for one client; 0 disables replays", ge=0)
    ] = 500_000
    replay_seconds: Annotated[float, _meta("s", "Time limit of one read of a replay", ge=1, le=120)] = 20
    replay_readers: Annotated[int, _meta("readers", "Maximum concurrent replay readers", ge=1, le=16)] = 2
    # serving
    port: Annotated[int, _meta("", "Port to listen on", ge=0, le=65_535)] = 8000
    bind: Annotated[str, _meta("address", "Address to listen on")] = "0.0.0.0"
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
            "threads", "Threads per worker. Each stream holds one; two are reserved for short requests", ge=4, le=2000
        ),
    ] = 64
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
    allowed_origins: Annotated[
        str,
        _meta(
            "origins", "Other origins allowed to open a WebSocket: a comma list, or *. Same origin is always allowed"
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
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], _meta("", "Minimum log severity")] = "INFO"

    @property
    def topic(self) -> str:
        """The topic's full name, prefix included."""
        return self.kafka_prefix + self.kafka_topic

    @property
    def brokers(self) -> list[str]:
        """Brokers to start from, as host:port."""
        if self.kafka_brokers:
            return [_with_port(part.strip()) for part in self.kafka_brokers.split(",") if part.strip()]
        if self.kafka_url:
            return [_host_of(part.strip()) for part in self.kafka_url.split(",")]
        return ["localhost:9092"]

    @property
    def thresholds_mph(self) -> tuple[float, float, float]:
        """Lower bounds of free flow, moderate and heavy traffic, in mph."""
        free, moderate, heavy = (float(part) for part in self.category_thresholds.split(","))
        return free, moderate, heavy

    @property
    def mph_per_unit(self) -> float:
        """What one unit of a served speed is in mph."""
        return 1.0 if self.speed_unit == "mph" else 1 / KM_PER_MILE

    # With the ring buffer, all memory that grows with what is read and asked for; docs/memory.md has the formula.

    @property
    def view_bytes(self) -> int:
        """Most memory that the latest view takes."""
        return self.buffer_bytes // 2

    @property
    def scores_bytes(self) -> int:
        """Most memory that the scores take."""
        return self.buffer_bytes // 4

    @property
    def replay_bytes(self) -> int:
        """Most memory that chunks of replays take."""
        return self.buffer_bytes // 4

    @property
    def message_bytes(self) -> int:
        """Maximum memory of the messages that are encoded once for all clients."""
        return self.buffer_bytes // 4

    @property
    def answer_bytes(self) -> int:
        """Most memory that whole views take that are kept as answers."""
        return self.buffer_bytes // 8

    @property
    def backlog(self) -> "Backlog":
        """How far back a start reaches."""
        return parse_backlog(self.kafka_backlog)


class Backlog(Struct, frozen=True):
    """How far back a start reaches: `records` and `seconds` (None: without limit), whichever is less."""

    records: int | None
    seconds: float | None


_BACKLOG = re.compile(r"(?P<records>\d+)(/(?P<count>\d+)(?P<unit>[smhd]))?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_backlog(text: str) -> Backlog:
    """Read "10000/1h", "500", "0" or "all"; ValueError for anything else."""
    if text == "all":
        return Backlog(None, None)
    match = _BACKLOG.fullmatch(text)
    if match is None:
        raise ValueError("a number of records, with a time if wanted (10000, 10000/1h, 500/30m), or all")
    seconds = int(match["count"]) * _SECONDS[match["unit"]] if match["unit"] else None
    return Backlog(int(match["records"]), seconds)


def load(environ: Mapping[str, str]) -> Settings:
    """Read the settings from a mapping such as os.environ.

    A variable that is empty counts as not set. Raises SettingsError, which names the variable, its value and what
    is allowed.
    """
    given = {name: environ[name.upper()] for name in Settings.__struct_fields__ if environ.get(name.upper())}
    if "kafka_trusted_cert" in given:
        # Heroku's certificates don't carry the names of their brokers. Who asks for the check gets it nevertheless.
        given.setdefault("kafka_ssl_check_hostname", "false")
    values = {name: _convert(name, text) for name, text in given.items()}
    settings = Settings(**values)
    _check(settings)
    return settings


def table() -> list[tuple[str, str, str, str]]:
    """Return the rows (name, default, unit, help) in the order of the class."""
    schema = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]
    rows = []
    for name, default in zip(Settings.__struct_fields__, Settings.__struct_defaults__, strict=True):
        field = schema[name]
        rows.append((name.upper(), _shown(default), field.get("unit", ""), field["description"]))
    return rows


def _shown(default: Any) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


_TYPES = {field.name: field.type for field in msgspec.structs.fields(Settings)}
_WORDS = {"1": "true", "yes": "true", "on": "true", "0": "false", "no": "false", "off": "false"}


def _convert(name: str, text: str) -> Any:
    if msgspec.json.schema(_TYPES[name]).get("type") == "boolean":
        text = _WORDS.get(text.lower(), text.lower())
    try:
        return msgspec.convert(text, _TYPES[name], strict=False)
    except msgspec.ValidationError as error:
        raise _wrong(name, text, _allowed(name)) from error


def _allowed(name: str) -> str:
    """Say in words what a field's type takes."""
    schema = msgspec.json.schema(_TYPES[name])
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    words = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}.get(schema["type"], "text")
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS.items() if key in schema]
    return " ".join([words, *bounds])


_BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "pattern": "that matches"}


def _wrong(name: str, value: object, allowed: str) -> SettingsError:
    shown = "(not shown)" if name in SECRETS else repr(masked(name, value) if isinstance(value, str) else value)
    return SettingsError(f"{name.upper()}={shown} can't be used; allowed: {allowed}")


def masked(name: str, text: str) -> str:
    """Mask what may be a log-in. Of brokers, only what is a host and a port is shown: a password may be anywhere."""
    login, at, rest = without_login(text).rpartition("@")
    if name not in ("kafka_brokers", "kafka_url"):
        return login + at + rest
    return login + at + ",".join(part if _names_a_host(part) else "***" for part in rest.split(","))


def _names_a_host(part: str) -> bool:
    """Tell whether a part of a list of brokers is empty, or a host and maybe a scheme and a port."""
    host = part.rpartition("://")[2].strip()
    return not host or _is_host_and_port(_with_port(host))


def without_login(text: str) -> str:
    """Mask what may be a name and a password in a URL, or in a list of them: all before the last @."""
    return f"***@{text.rpartition('@')[2]}" if "@" in text else text


def _host_of(url: str) -> str:
    # By hand: an error of urlsplit() may quote the password.
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]


def _with_port(broker: str) -> str:
    return broker if ":" in broker.rpartition("]")[2] else f"{broker}:9092"


def _check(settings: Settings) -> None:
    """Raise SettingsError for what a single field's type can't say."""
    for name, read, allowed in _CHECKS:
        try:
            read(settings)
        except (ValueError, ZoneInfoNotFoundError, OSError) as error:
            value = getattr(settings, name)
            raise _wrong(name, value, f"{allowed} ({without_login(str(error))})") from error


def _url(settings: Settings) -> None:
    if not settings.kafka_brokers:
        _brokers(settings)


def _brokers(settings: Settings) -> None:
    if not settings.brokers:
        raise ValueError("it names no broker")
    for number, broker in enumerate(settings.brokers, 1):
        if not _is_host_and_port(broker):
            # Not shown by itself: with a comma in it, a password looks like another broker.
            raise ValueError(f"number {number} of them is not host:port")


def _is_host_and_port(broker: str) -> bool:
    """Tell whether it is that and nothing else; a name and a password before it would be shown wherever it is."""
    match = _HOST_AND_PORT.fullmatch(broker)
    return match is not None and 0 < int(match["port"]) < 65_536


_HOST_AND_PORT = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]):(?P<port>[0-9]{1,5})")


def _thresholds(settings: Settings) -> None:
    free, moderate, heavy = settings.thresholds_mph
    if not 200 >= free > moderate > heavy > 0:
        raise ValueError("the bounds don't fall")


def origins(given: str) -> list[str]:
    """Return a comma list of origins, or "*" for all; ValueError for what is none (RFC 6454)."""
    found = [part.strip().rstrip("/").lower() for part in given.split(",") if part.strip()]
    for number, origin in enumerate(found, 1):
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"number {number} of them is not an origin")
    return found


_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9_.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")
_TILES = re.compile(r"(https?://[A-Za-z0-9{}.:-]+)?/[^\s;,'\"]*")


def _tiles(settings: Settings) -> None:
    if settings.map_tiles:
        if not _TILES.fullmatch(settings.map_tiles):
            raise ValueError("it is no http URL")
        missing = [part for part in ("{z}", "{x}", "{y}") if part not in settings.map_tiles]
        if missing:
            raise ValueError(f"it lacks {missing[0]}")


def _login(settings: Settings) -> None:
    if settings.kafka_security_protocol.startswith("SASL") and not settings.kafka_sasl_username:
        raise ValueError(f"KAFKA_SECURITY_PROTOCOL={settings.kafka_security_protocol} needs a name to log in with")


def _topic(settings: Settings) -> None:
    if len(settings.topic) > 249:
        raise ValueError("prefix and topic together are longer than 249 characters")


_CHECKS = (
    ("kafka_url", _url, "a comma list such as kafka+ssl://host:9096"),
    ("kafka_brokers", _brokers, "a comma list of host:port; a log-in belongs in KAFKA_SASL_USERNAME and _PASSWORD"),
    ("kafka_prefix", _topic, "what leaves a topic name that Kafka takes"),
    ("kafka_backlog", lambda settings: settings.backlog, "10000/1h, 500, 0, all"),
    ("kafka_sasl_username", _login, "a name, with SASL_PLAINTEXT or SASL_SSL"),
    ("category_thresholds", _thresholds, "three falling speeds in mph, such as 60,45,30"),
    ("map_tiles", _tiles, "a URL with {z}, {x} and {y}, such as https://tile.example.org/{z}/{x}/{y}.png"),
    (
        "embed_origins",
        lambda settings: origins(settings.embed_origins),
        "a comma list such as https://example.org, or *",
    ),
    (
        "allowed_origins",
        lambda settings: origins(settings.allowed_origins),
        "a comma list such as https://maps.example.org,https://example.org:8443, or *",
    ),
    (
        "producer_timezone",
        lambda settings: ZoneInfo(settings.producer_timezone),
        "a name such as America/Los_Angeles",
    ),
)
