"""Find out who makes a request, by the credentials that it carries."""

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from flask import Request

from consumer.settings import Settings

from .principal import ANYONE, Principal, Unauthenticated
from .tickets import Tickets
from .tokens import Tokens

COOKIE = "greenwave_token"
MAX_TOKEN_BYTES = 8_192
"""Longest token that is looked at."""


class Credentials(NamedTuple):
    """A token, and whether a browser adds it to each request by itself."""

    token: str
    is_cookie: bool


class Verifier(Protocol):
    """Knows one kind of tokens."""

    def find(self, token: str) -> Principal | None:
        """Return the principal of a token; None for one that is unknown. Raises Unauthenticated, which says why."""

    def has(self, principal: Principal) -> bool:
        """Tell whether a principal was not revoked."""

    def load(self) -> None:
        """Read what is in files. Raises SettingsError."""

    def prepare(self) -> None:
        """Begin with what takes a while. Does not wait."""


class Authentication:
    """The authentication of one app, as AUTH states it. Any thread may use it."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._verifier: Verifier | None = _verifier(settings)
        self._tickets = Tickets(settings.auth_ticket_secret)

    def load(self) -> None:
        """Read the files that the settings name. Raises SettingsError."""
        if self._verifier is not None:
            self._verifier.load()

    def prepare(self) -> None:
        """Begin with what takes a while, before the first request needs it. Does not wait."""
        if self._verifier is not None:
            self._verifier.prepare()

    @property
    def is_on(self) -> bool:
        """Whether requests need credentials."""
        return self._verifier is not None

    def verify(self, token: str) -> Principal:
        """Return the principal of a token. Raises Unauthenticated."""
        if self._verifier is None:
            return ANYONE
        if len(token) > MAX_TOKEN_BYTES:
            raise Unauthenticated("the token is too long")
        principal = self._verifier.find(token)
        if principal is None:
            raise Unauthenticated("the token is not valid")
        if self._has_expired(principal):
            raise Unauthenticated("the token has expired")
        return principal

    def issue_ticket(self, principal: Principal) -> str:
        """Return a ticket for one stream, with the rights of a principal. Raises Forbidden."""
        return self._tickets.issue(principal)

    def redeem(self, ticket: str) -> Principal:
        """Return the principal of a ticket, which is used by that. Raises Unauthenticated."""
        principal = self._tickets.redeem(ticket)
        if not self.is_valid(principal):
            raise Unauthenticated("the token of this ticket has expired, or was revoked")
        return principal

    def is_valid(self, principal: Principal) -> bool:
        """Tell whether a principal that was found before may go on: neither expired nor revoked."""
        return self._verifier is None or (not self._has_expired(principal) and self._verifier.has(principal))

    def _has_expired(self, principal: Principal) -> bool:
        return principal.expires_at is not None and principal.expires_at <= self._clock()


def _verifier(settings: Settings) -> Verifier | None:
    if settings.auth == "jwt":
        from .jwts import Jwts

        return Jwts(settings)
    return Tokens(settings) if settings.auth == "token" else None


def credentials_of(request: Request) -> Credentials | None:
    """Return the credentials of a request: of the header Authorization, else of the cookie. None without any."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return Credentials(token.strip(), False)
    cookie = request.cookies.get(COOKIE)
    return Credentials(cookie, True) if cookie else None
