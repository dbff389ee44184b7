"""What a proxy says of the request that it passes on: the client's scheme, and the prefix it has taken off the path.

Only proxies that gunicorn's `forwarded_allow_ips` names are believed (the environment variable FORWARDED_ALLOW_IPS, by
default 127.0.0.1 and ::1). Of several values the last one counts, which the nearest proxy has written.
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
    """Change a request of gunicorn's to the one that the proxy got. Raises InvalidHeader.

    `settings` are gunicorn's.
    """
    if not is_believed(request.peer_addr, settings):
        return
    if scheme := _last(request, SCHEME):
        request.scheme = "https" if scheme.lower() in SECURE else "http"
    prefix = _last(request, PREFIX).rstrip("/")
    if not prefix:
        return
    if not _PREFIX.fullmatch(prefix):
        raise InvalidHeader(PREFIX, req=request)
    if request.uri.startswith("/"):
        # As if the proxy had left the path alone: gunicorn takes SCRIPT_NAME off again.
        request.uri, request.path = prefix + request.uri, prefix + request.path
        request.headers.append(("SCRIPT_NAME", prefix))


def is_believed(peer: Any, settings: Any) -> bool:
    """Tell whether a peer is a proxy to believe; `peer` is a socket's address, a tuple unless it is a local one."""
    if not isinstance(peer, tuple) or "*" in settings.forwarded_allow_ips:
        return True
    address = ip_address(peer[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped  # as it is seen with BIND=::
    return any(address in network for network in settings.forwarded_allow_networks())


def _last(request: Any, name: str) -> str:
    values = [value for given, value in request.headers if given == name]
    return str(values[-1]).rpartition(",")[2].strip() if values else ""
