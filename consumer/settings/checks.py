"""Checks of settings that the type of a single field can't make, and the error for a value that can't be used."""

import re
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from consumer.errors import SettingsError

from .brokers import is_host_and_port, masked, without_login
from .fields import ENVELOPES, SECRETS, Settings
from .topics import MAX_NAME, MAX_TOPICS


def refusal(name: str, value: object, allowed: str) -> SettingsError:
    """Return the error for a setting, with its value (secrets and log-ins masked) and what is allowed."""
    shown = "(not shown)" if name in SECRETS else repr(masked(name, value) if isinstance(value, str) else value)
    return SettingsError(f"{name.upper()}={shown} can't be used; allowed: {allowed}")


def check(settings: Settings) -> None:
    """Raise SettingsError for values that the type of their field allows, but that can't be used."""
    for name, read, allowed in _CHECKS:
        try:
            read(settings)
        except (ValueError, ZoneInfoNotFoundError, OSError) as error:
            value = getattr(settings, name)
            raise refusal(name, value, f"{allowed} ({without_login(str(error))})") from error


def _url(settings: Settings) -> None:
    if not settings.kafka_brokers:
        _brokers(settings)


def _brokers(settings: Settings) -> None:
    if not settings.brokers:
        raise ValueError("it has no broker")
    for number, broker in enumerate(settings.brokers, 1):
        if not is_host_and_port(broker):
            # Not shown by itself: with a comma in it, a password looks like another broker.
            raise ValueError(f"number {number} of them is not host:port")


def _thresholds(settings: Settings) -> None:
    free, moderate, heavy = settings.thresholds_mph
    if not 200 >= free > moderate > heavy > 0:
        raise ValueError("the bounds are not descending")


def origins(given: str) -> list[str]:
    """Return a comma list of origins (RFC 6454), or "*" for all. Raises ValueError for any other text."""
    found = [part.strip().rstrip("/").lower() for part in given.split(",") if part.strip()]
    for number, origin in enumerate(found, 1):
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"number {number} of them is not an origin")
    return [_as_sent(origin) for origin in found]


def _as_sent(origin: str) -> str:
    """Return an origin as browsers send it: without the port that its scheme has by default."""
    return origin.removesuffix({"http": ":80", "https": ":443"}.get(origin.partition(":")[0], ""))


def networks(given: str) -> list[IPv4Network | IPv6Network]:
    """Return a comma list of addresses and networks; "none" and "" are no network. Raises ValueError."""
    return [ip_network(part.strip()) for part in given.split(",") if part.strip() not in ("", "none")]


_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9_.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")
_TILES = re.compile(r"(https?://[A-Za-z0-9{}.:-]+)?/[^\s;,'\"]*")


def _tiles(settings: Settings) -> None:
    if settings.map_tiles:
        if not _TILES.fullmatch(settings.map_tiles):
            raise ValueError("it is not an http URL")
        missing = [part for part in ("{z}", "{x}", "{y}") if part not in settings.map_tiles]
        if missing:
            raise ValueError(f"it lacks {missing[0]}")


def _login(settings: Settings) -> None:
    if settings.kafka_security_protocol.startswith("SASL") and not settings.kafka_sasl_username:
        raise ValueError(f"KAFKA_SECURITY_PROTOCOL={settings.kafka_security_protocol} needs a user name")


def _client(settings: Settings) -> None:
    if settings.kafka_client == "confluent" and not _is_installed("confluent_kafka"):
        raise ValueError("the package confluent-kafka is not installed")


_REGISTRY = re.compile(r"https?://([a-z0-9_.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?(/[\w.~/-]*)?", re.ASCII | re.IGNORECASE)


def _registry(settings: Settings) -> None:
    url = settings.schema_registry_url
    if not url:
        return
    if not _REGISTRY.fullmatch(url) or urlsplit(url).port == 0:  # it raises ValueError for one that is too large
        raise ValueError("it is not an http URL without a log-in")
    for package in ("fastavro", "grpc_tools"):
        if not _is_installed(package):
            raise ValueError(f"the package {package} is not installed: `pip install -r requirements-registry.txt`")


def _registry_login(settings: Settings) -> None:
    if settings.schema_registry_password and not settings.schema_registry_username:
        raise ValueError("SCHEMA_REGISTRY_PASSWORD needs a user name")
    if ":" in settings.schema_registry_username:
        raise ValueError("it has a colon")


def _admin_bind(settings: Settings) -> None:
    if settings.admin_bind and not is_host_and_port(settings.admin_bind):
        raise ValueError("it is not host:port")
    if settings.admin_port == str(settings.port):
        raise ValueError("it has the port of PORT")


def _acknowledgements(settings: Settings) -> None:
    if not settings.acknowledgements_topic:
        return
    if settings.acknowledgements_file:
        raise ValueError("ACKNOWLEDGEMENTS_FILE is set, too")
    topics = settings.for_acknowledgements.topics
    if topics.pattern is not None or topics.are_several:
        raise ValueError("it is not one name")
    if settings.topics.includes(topics.names[0]):
        raise ValueError("KAFKA_TOPIC includes it")


_WEBHOOK = re.compile(r"https?://([a-z0-9_.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?(/[!-~]*)?", re.ASCII | re.IGNORECASE)


def _webhook(settings: Settings) -> None:
    url = settings.webhook_url
    if url and (not _WEBHOOK.fullmatch(url) or "#" in url or urlsplit(url).port == 0):
        raise ValueError("it is not an http URL without a log-in")


def _webhook_secret(settings: Settings) -> None:
    if settings.webhook_secret:
        _ = settings.webhook_key
    elif settings.webhook_url:
        raise ValueError("WEBHOOK_URL needs it")


def _tokens(settings: Settings) -> None:
    if settings.auth == "token" and not settings.auth_tokens_file:
        raise ValueError("AUTH=token needs it")


def _jwt_keys(settings: Settings) -> None:
    url = settings.auth_jwt_keys
    if settings.auth != "jwt":
        return
    if bool(url) == bool(settings.auth_jwt_secret):
        raise ValueError("AUTH=jwt needs either AUTH_JWT_KEYS or AUTH_JWT_SECRET")
    if not all(map(_is_installed, ("jwt", "cryptography"))):
        raise ValueError("the package pyjwt[crypto] is not installed: `pip install -r requirements-auth.txt`")
    if "://" in url:
        parts = urlsplit(url)
        is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if (parts.scheme != "https" and not (parts.scheme == "http" and is_local)) or "@" in parts.netloc:
            raise ValueError("keys are fetched by https, without a log-in")


def _tracing(settings: Settings) -> None:
    if settings.traces_per_second and not _is_installed("opentelemetry.exporter.otlp.proto.http"):
        raise ValueError("the packages of OpenTelemetry are not installed: `pip install -r requirements-otel.txt`")


def _secret(secret: str) -> None:
    if secret and len(secret.encode()) < 32:
        raise ValueError("it is shorter than 32 bytes")


def _jwt_audience(settings: Settings) -> None:
    if settings.auth == "jwt" and not settings.auth_jwt_audience:
        raise ValueError("AUTH=jwt needs it")


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ValueError, ModuleNotFoundError):  # importing it was made impossible, or there is no package around it
        return False


_CHECKS = (
    ("kafka_url", _url, "a comma list such as kafka+ssl://host:9096"),
    ("kafka_brokers", _brokers, "a comma list of host:port; a log-in belongs in KAFKA_SASL_USERNAME and _PASSWORD"),
    ("kafka_client", _client, "kafka-python; confluent after `pip install -r requirements-confluent.txt`"),
    (
        "kafka_topic",
        lambda settings: settings.topics,
        f"a name of at most {MAX_NAME} characters (letters, digits, . _ -) with KAFKA_PREFIX, a comma list of up to "
        f"{MAX_TOPICS} names, or a pattern such as ^traffic\\.",
    ),
    ("kafka_backlog", lambda settings: settings.backlog, "10000/1h, 500, 0, all"),
    ("kafka_sasl_username", _login, "a user name, for SASL_PLAINTEXT or SASL_SSL"),
    ("category_thresholds", _thresholds, "three descending speeds in mph, such as 60,45,30"),
    (
        "envelopes",
        lambda settings: settings.known_envelopes,
        f"a comma list of {', '.join(ENVELOPES)}, or none",
    ),
    (
        "schema_registry_url",
        _registry,
        "a URL such as https://registry.example.org:8081; a log-in belongs in SCHEMA_REGISTRY_USERNAME and _PASSWORD",
    ),
    ("schema_registry_username", _registry_login, "a user name without a colon"),
    (
        "acknowledgements_topic",
        _acknowledgements,
        "the name of a topic that KAFKA_TOPIC does not include, without ACKNOWLEDGEMENTS_FILE",
    ),
    ("webhook_url", _webhook, "a URL such as https://example.org/hooks/traffic"),
    ("webhook_secret", _webhook_secret, "whsec_ and 24 to 64 random bytes in base64"),
    ("admin_bind", _admin_bind, "an address and a port other than PORT, such as 127.0.0.1:9090"),
    ("auth_tokens_file", _tokens, "a file with tables as `flask --app app make-token NAME` prints them"),
    ("auth_jwt_keys", _jwt_keys, "https://id.example.org/keys or a path, or AUTH_JWT_SECRET in place of it"),
    ("auth_jwt_secret", lambda settings: _secret(settings.auth_jwt_secret), "32 random bytes or more, as text"),
    ("auth_ticket_secret", lambda settings: _secret(settings.auth_ticket_secret), "32 random bytes or more, as text"),
    ("auth_jwt_audience", _jwt_audience, "the name of this service at the issuer"),
    ("traces_per_second", _tracing, "0; more after `pip install -r requirements-otel.txt`"),
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
        "trusted_proxies",
        lambda settings: networks(settings.trusted_proxies),
        "a comma list of addresses and networks, such as 10.0.0.0/8,192.0.2.7",
    ),
    (
        "client_limits_exempt",
        lambda settings: networks(settings.client_limits_exempt),
        "a comma list of addresses and networks, such as 10.0.0.0/8,192.0.2.7; or none",
    ),
    (
        "producer_timezone",
        lambda settings: ZoneInfo(settings.producer_timezone),
        "a name such as America/Los_Angeles",
    ),
    ("usual_timezone", lambda settings: settings.usual_zone, "a name such as America/Los_Angeles"),
)
