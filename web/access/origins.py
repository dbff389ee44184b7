"""Origins: which pages may make a browser send requests, read their answers, and use the cookie of the visitor.

A page of any site can make a browser send a request to any host, from the visitor's network. Its origin is checked for
each request of another site; clients other than browsers send none and are allowed.
"""

from urllib.parse import urlsplit

from flask import Request

from consumer.settings import origins

DEFAULT_PORTS = {"http": 80, "https": 443}


class AllowedOrigins:
    """The origins of ALLOWED_ORIGINS."""

    def __init__(self, given: str) -> None:
        listed = frozenset(origins(given))
        self.is_any = "*" in listed
        self._named = listed - {"*"}

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return self.is_any or bool(self._named)

    def names(self, origin: str | None) -> bool:
        """Tell whether an origin is listed by name, so that its pages may use cookies; "*" names none."""
        return origin is not None and origin.lower() in self._named

    def include(self, origin: str | None) -> bool:
        """Tell whether pages of an origin may read answers."""
        return self.is_any or self.names(origin)


def is_own(request: Request, needs_proof: bool) -> bool:
    """Tell whether a request of a browser comes from a page of this host, or from its address bar.

    Browsers state the origin in requests that change something, and in those of other origins; with `needs_proof` a
    request that does not is refused. `Sec-Fetch-Site` counts most: no script can set it, and proxies that change `Host`
    pass it on.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site == "same-origin":
        return True
    origin = request.headers.get("Origin")
    if origin is not None:
        return _is_same(origin, request.host, request.scheme)
    if needs_proof:
        return False
    return site in (None, "none") or request.headers.get("Sec-Fetch-Mode") == "navigate"


def _is_same(origin: str, host: str, scheme: str) -> bool:
    """Tell whether an origin is that of a host ("name:port").

    The scheme is not compared: behind a proxy that terminates TLS the page has https, and this server http.
    """
    try:
        page = urlsplit(origin.lower())
        here = urlsplit(f"{scheme}://{host.lower()}")
        ports = {here.port or DEFAULT_PORTS.get(scheme)}
        if here.port is None:
            ports |= set(DEFAULT_PORTS.values())  # the proxy sends a Host without the port
        return bool(page.hostname) and page.hostname == here.hostname and _port(page.scheme, page.port) in ports
    except ValueError:
        return False


def _port(scheme: str, port: int | None) -> int | None:
    return port or DEFAULT_PORTS.get(scheme)
