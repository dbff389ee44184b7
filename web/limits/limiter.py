"""Limit the requests of each client per second, and note on whose behalf slots are acquired.

A request beyond its rate is answered by 429. A stream is answered by `busy`, since an EventSource never reconnects
after a 4xx answer; a WebSocket is closed with code 1013.
"""

import functools
import logging
import math
from typing import NamedTuple

from flask import Flask, request
from werkzeug.exceptions import TooManyRequests

from consumer.settings import Settings, networks
from web.access.guard import Guard
from web.access.principal import current
from web.access.rules import STREAM_ROUTES
from web.access.shares import UNKNOWN, Holder, Shares, holder

from .addresses import LOCAL, MAX_NAMES, hashed, name_at, name_of, parse
from .rates import Rates

log = logging.getLogger("greenwave.web.limits")

NEVER = frozenset({"health.healthz", "health.readyz", "static"})
"""Endpoints without a rate."""
LOG_SECONDS = 10.0
"""Shortest time between two log lines of one client."""


def too_many(wait: float) -> TooManyRequests:
    """Return the refusal of a client that may ask again in so many seconds."""
    return TooManyRequests("this client sends too many requests; retry later", retry_after=math.ceil(wait))


def client_name() -> str:
    """Return by which name the client of the request is counted, by its address."""
    return name_at(request.remote_addr or "")


class CountedClient(NamedTuple):
    """The address of a client as it is counted, and whether it is limited."""

    name: str
    is_limited: bool


class Limiter:
    """The rates of one app."""

    def __init__(self, settings: Settings, shares: Shares) -> None:
        self._exempt = networks(settings.client_limits_exempt)
        self._sender = functools.lru_cache(MAX_NAMES)(self._find_sender)
        self._is_hashed = settings.hash_addresses
        self._shares = shares
        self._requests = Rates(settings.client_request_rate)
        self._streams = Rates(settings.client_stream_rate)
        self._logged = Rates(1 / LOG_SECONDS, max_clients=1_000)

    def register(self, app: Flask, guard: Guard) -> None:
        """Limit all requests of an app: by address before they are guarded, and by token afterwards."""
        app.before_request(self.check)
        guard.register(app)
        app.before_request(self.check_token)
        app.teardown_request(self.end)

    def wait(self, address: str) -> float:
        """Return in how many seconds the client at an address may ask; 0 for now. Counts nothing."""
        sender = self._sender(address)
        return self._requests.wait(sender.name) if sender.is_limited else 0.0

    def note_refusal(self, address: str) -> None:
        """Count a refused request of the client at an address, and log it once in a while."""
        self._note_refusal(self._sender(address).name)

    def check(self) -> None:
        """Count a request. Raises TooManyRequests."""
        sender = self._sender(request.remote_addr)
        holder.set(Holder((sender.name,), (sender.name,) if sender.is_limited else ()))
        if sender.is_limited:
            self._count(sender.name)

    def check_token(self) -> None:
        """Count a request of a token, wherever it comes from. Raises TooManyRequests."""
        principal, who = current(), holder.get()
        if principal.is_authenticated:
            name = f"token {principal.name}"
            holder.set(Holder((*who.names, name), (*who.limited, name), who.is_refused))
            self._count(name)

    def _count(self, name: str) -> None:
        if request.endpoint in NEVER:
            return
        wait = self._requests.take(name)
        if not wait and request.endpoint in STREAM_ROUTES:
            wait = self._streams.take(name)
        if wait:
            self._refuse(name, wait)

    def end(self, _: BaseException | None) -> None:
        """Forget the client: the thread goes on with another request, or with none."""
        holder.set(UNKNOWN)

    def _find_sender(self, given: str | None) -> CountedClient:
        """Return the client at an address. One without an address came through a Unix socket."""
        address = parse(given or "")
        if address is None:
            return CountedClient(LOCAL, is_limited=False)
        return CountedClient(name_of(address), is_limited=not any(address in network for network in self._exempt))

    def _note_refusal(self, name: str) -> None:
        self._shares.refuse((name,), "requests")
        if not self._logged.take(name):
            log.warning("client %s sends too many requests; refused", hashed(name) if self._is_hashed else name)

    def _refuse(self, name: str, wait: float) -> None:
        self._note_refusal(name)
        if request.endpoint in STREAM_ROUTES:
            holder.set(holder.get()._replace(is_refused=True))
            return
        raise too_many(wait)
