"""The address of a client, also behind trusted proxies.

Each proxy appends the address of its peer to X-Forwarded-For. Only what trusted proxies have appended can be believed,
so the last address that is not one of theirs is the client's. A client can write anything before it.
"""

import functools
import hashlib
import os
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from consumer.settings import networks

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network
MAX_HOPS = 32
"""Addresses of X-Forwarded-For that are looked at."""
PREFIX = 64
"""A host gets an IPv6 network of this size, and may use any of its addresses."""
LOCAL = "local"
"""The name of all clients without an address, which come through a Unix socket."""
MAX_NAMES = 1_000
"""Addresses whose names are remembered: to read one takes as long as all else of a check."""
_KEY = os.urandom(16)


class ClientAddresses:
    """WSGI middleware: REMOTE_ADDR becomes the address of the client instead of that of a trusted proxy."""

    def __init__(self, app: Any, trusted: str) -> None:
        self._app = app
        self._trusted = networks(trusted)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Handle a request."""
        given = environ.get("HTTP_X_FORWARDED_FOR")
        if given and self._trusted:
            environ["REMOTE_ADDR"] = client_address(environ.get("REMOTE_ADDR", ""), given, self._trusted)
        return self._app(environ, start_response)


def client_address(peer: str, forwarded: str, trusted: Iterable[Subnet]) -> str:
    """Return the address of the client: the last of `forwarded` and `peer` that is no trusted proxy.

    A peer without an address is a proxy on this host: it came through a Unix socket.
    """
    known = list(trusted)
    for given in [*([peer] if peer else []), *reversed(forwarded.split(",")[-MAX_HOPS:])]:
        address = parse(given)
        if address is None:
            break  # what stands before it was not written by a trusted proxy
        peer = str(address)
        if not any(address in network for network in known):
            break
    return peer


def parse(text: str) -> Address | None:
    """Return an address, which may have a port or a zone (left out); None for any other text."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])  # a zone may be any text
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def name_of(address: Address) -> str:
    """Return by which name a client is counted: its address, or its IPv6 network."""
    return str(address) if address.version == 4 else str(ip_network((address, PREFIX), strict=False))


@functools.lru_cache(MAX_NAMES)
def name_at(text: str) -> str:
    """Return by which name the client at an address is counted; LOCAL for other text."""
    address = parse(text)
    return LOCAL if address is None else name_of(address)


def hashed(name: str) -> str:
    """Return a text that stands for an address: the same for the life of this process, and no address."""
    return "#" + hashlib.blake2s(name.encode(), key=_KEY, digest_size=8).hexdigest()
