"""Broker addresses in settings, and masks for the passwords that may be in them."""

import re


def is_host_and_port(broker: str) -> bool:
    """Tell whether a text is host:port and nothing else: a log-in before it would be shown with it."""
    match = _HOST_AND_PORT.fullmatch(broker)
    return match is not None and 0 < int(match["port"]) < 65_536


_HOST_AND_PORT = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]):(?P<port>[0-9]{1,5})")


def masked(name: str, text: str) -> str:
    """Mask what may be a log-in. Of a list of brokers, only host and port are shown: a password may be anywhere."""
    login, at, rest = without_login(text).rpartition("@")
    if name not in ("kafka_brokers", "kafka_url"):
        return login + at + rest
    return login + at + ",".join(part if _names_a_host(part) else "***" for part in rest.split(","))


def _names_a_host(part: str) -> bool:
    """Tell whether a part of a list of brokers is empty, or a host with an optional scheme and port."""
    host = part.rpartition("://")[2].strip()
    return not host or is_host_and_port(with_port(host))


def without_login(text: str) -> str:
    """Mask what may be a user name and a password in a URL or a list of URLs: all text before the last @."""
    return f"***@{text.rpartition('@')[2]}" if "@" in text else text


def host_of(url: str) -> str:
    """Return host:port of a broker's URL."""
    # By hand: an error of urlsplit() may quote the password.
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]


def with_port(broker: str) -> str:
    """Return host:port of a broker, with Kafka's default port if there is none."""
    return broker if ":" in broker.rpartition("]")[2] else f"{broker}:9092"
