"""Tickets: credentials for one stream, for clients that can't send a header.

The EventSource and the WebSocket of a browser send no Authorization, and no cookie to another site. A page asks for a
ticket with its token, and opens one stream with `?ticket=`. A URL gets into logs: a ticket is worth nothing after its
first use, or 30 s.

    gwt_ + base64url( HMAC-SHA256 | nonce | expiry | principal )

The workers of one gunicorn share the key and the table of used tickets, which its master makes before it forks. With
AUTH_TICKET_SECRET other hosts know the key, too; they don't know which tickets were used elsewhere.
"""

import base64
import binascii
import hashlib
import hmac
import os
import struct
import time
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import msgspec
from werkzeug.exceptions import Forbidden, ServiceUnavailable

from .principal import Principal, Unauthenticated
from .used_tickets import NONCE_BYTES, TableFull, UsedTickets

PARAMETER = "ticket"
PREFIX = "gwt_"
"""What each ticket begins with, so that it is masked in logs."""
TICKET_SECONDS = 30
MAX_LENGTH = 8_192
"""Longest ticket: the head of a request has 32 KiB at most."""
ANOTHER = "ask for another one at POST /api/tickets"

_MAC_BYTES = 32
_HEAD = struct.Struct(f"<{NONCE_BYTES}sd")


class SharedTickets(NamedTuple):
    """What the workers of one gunicorn share."""

    key: bytes
    used: UsedTickets


@lru_cache(1)
def shared() -> SharedTickets:
    """Return what this process shares with those that are forked from it after the first call."""
    return SharedTickets(os.urandom(32), UsedTickets())


class Tickets:
    """Issues tickets, and finds whose they are. Any thread may use it."""

    def __init__(
        self, secret: str, get_shared: Callable[[], SharedTickets] = shared, clock: Callable[[], float] = time.time
    ) -> None:
        self._secret = secret
        self._get_shared = get_shared
        self._clock = clock

    def issue(self, principal: Principal) -> str:
        """Return a ticket of a principal. Raises Forbidden if its limits are too many."""
        content = zlib.compress(msgspec.msgpack.encode(principal))
        signed = _HEAD.pack(os.urandom(NONCE_BYTES), self._clock() + TICKET_SECONDS) + content
        ticket = PREFIX + base64.urlsafe_b64encode(self._mac(signed) + signed).rstrip(b"=").decode()
        if len(ticket) > MAX_LENGTH:
            raise Forbidden("this token allows too many single names for a ticket; send it as Authorization: Bearer")
        return ticket

    def redeem(self, ticket: str) -> Principal:
        """Return the principal of a ticket, once. Raises Unauthenticated; ServiceUnavailable if too many were used."""
        signed = self._verified(ticket)
        nonce, expires_at = _HEAD.unpack_from(signed)
        now = self._clock()
        if expires_at <= now:
            raise Unauthenticated(f"the ticket has expired; {ANOTHER}")
        try:
            is_first = self._get_shared().used.add(nonce, expires_at, now)
        except TableFull as error:
            raise ServiceUnavailable("too many tickets were used; retry later", retry_after=TICKET_SECONDS) from error
        if not is_first:
            raise Unauthenticated(f"the ticket was used before, and opens one stream only; {ANOTHER}")
        return msgspec.msgpack.decode(zlib.decompress(signed[_HEAD.size :]), type=Principal)

    def _verified(self, ticket: str) -> bytes:
        """Return what is signed. Raises Unauthenticated."""
        given = ticket.removeprefix(PREFIX)
        try:
            content = base64.b64decode(given + "=" * (-len(given) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            content = b""
        mac, signed = content[:_MAC_BYTES], content[_MAC_BYTES:]
        is_whole = len(ticket) <= MAX_LENGTH and ticket.startswith(PREFIX) and len(signed) > _HEAD.size
        if not is_whole or not hmac.compare_digest(mac, self._mac(signed)):
            raise Unauthenticated(f"the ticket is not valid; {ANOTHER}")
        return signed

    def _mac(self, signed: bytes) -> bytes:
        key = self._secret.encode() if self._secret else self._get_shared().key
        return hmac.digest(key, b"greenwave ticket\0" + signed, hashlib.sha256)
