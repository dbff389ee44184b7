"""Headers of a proxy: the scheme of the client, and the path prefix that the proxy strips.

Only proxies in gunicorn's `forwarded_allow_ips` are trusted (environment variable FORWARDED_ALLOW_IPS, by default
127.0.0.1 and ::1). The last of several values counts: the nearest proxy has added it.
"""

import re
from ipaddress import IPv6Address, ip_address
from typing import Any

from gunicorn.http.errors import InvalidHeader

SCHEME = "X-FORWARDED-PROTO"
PREFIX = "X-FORWARDED-PREFIX"
SECURE = ("https", "wss")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+", re.ASCII)


def apply(request: Any, settings: Any) -> None:
    """Restore scheme and path of gunicorn's `request` as the proxy received them. Raises InvalidHeader.

    `settings` is the configuration of gunicorn.
    """
    scheme, prefix = _last(request, SCHEME), _last(request, PREFIX).rstrip("/")
    if not (scheme or prefix) or not is_trusted(request.peer_addr, settings):
        return
    if scheme:
        request.scheme = "https" if scheme.lower() in SECURE else "http"
    if not prefix:
        return
    if not _PREFIX.fullmatch(prefix):
        raise InvalidHeader(PREFIX, req=request)
    if request.uri.startswith("/"):
        # As if the proxy had kept the prefix: gunicorn strips SCRIPT_NAME.
        request.uri, request.path = prefix + request.uri, prefix + request.path
        request.headers.append(("SCRIPT_NAME", prefix))


def is_trusted(peer: Any, settings: Any) -> bool:
    """Tell whether a peer is a trusted proxy; `peer` is a socket address, a tuple unless it is a Unix socket."""
    if not isinstance(peer, tuple) or "*" in settings.forwarded_allow_ips:
        return True
    address = ip_address(peer[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped  # the form of IPv4 peers with BIND=::
    return any(address in network for network in settings.forwarded_allow_networks())


def _last(request: Any, name: str) -> str:
    values = [value for given, value in request.headers if given == name]
    return str(values[-1]).rpartition(",")[2].strip() if values else ""
