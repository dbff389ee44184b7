"""Static tokens: a TOML file with the SHA-256 of each token, and its claims.

    [dashboard]
    hash = "sha256:…"
    roads = ["I-405"]
    expires = 2027-01-01T00:00:00Z

A token has 256 random bits, so a fast hash is enough: what was hashed can't be guessed. The file is read again when it
has changed. One that can't be used is reported, and the tokens before it stay valid.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
import threading
import time
import tomllib
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from consumer.errors import SettingsError
from consumer.settings import Settings

from .claims import claims_of, principal_of
from .principal import Principal

log = logging.getLogger("greenwave.web.access")

PREFIX = "gw_"
"""What each token begins with, so that scanners find one that was published by mistake."""
HASH = "sha256:"
CHECK_SECONDS = 1.0
"""How often the file is looked at, at most."""
MAX_BYTES = 262_144
"""Largest file."""
MAX_TOKENS = 1_000
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

_Moment = Annotated[datetime, Meta(tz=True)]
_Version = tuple[int, int, int]
_NO_KEY = bytes(32)


def make_token() -> str:
    """Return a new token."""
    return PREFIX + secrets.token_urlsafe(32)


def key_of(token: str) -> bytes:
    """Return the SHA-256 of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


class Tokens:
    """The tokens of AUTH_TOKENS_FILE. Any thread may use it: what is replaced is replaced as a whole."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        # Held while the file is read. Only the first reading is waited for: without it, valid tokens would be unknown.
        self._lock = threading.Lock()
        self._checked_at: float | None = None
        self._version: _Version | Literal["never"] | None = "never"
        self._failed: _Version | Literal["never"] | None = "never"  # None: it was missing
        self._principals: dict[bytes, Principal] = {}

    def find(self, token: str) -> Principal | None:
        """Return the principal of a token; None for one that is unknown. It may have expired."""
        self._refresh()
        key = key_of(token)
        found = self._principals.get(key)
        # The dictionary is searched by a hash, which a client can't choose byte by byte; equality is checked in
        # constant time.
        is_equal = hmac.compare_digest(key, found.key if found is not None else _NO_KEY)
        return found if is_equal else None

    def has(self, principal: Principal) -> bool:
        """Tell whether a principal still has its token and claims."""
        self._refresh()
        return self._principals.get(principal.key) == principal

    def prepare(self) -> None:
        """Do nothing: the file is read at the first request."""

    def load(self) -> None:
        """Read the file. Raises SettingsError if it can't be used."""
        path = self._settings.auth_tokens_file
        try:
            with open(path, "rb") as file:
                status, content = os.fstat(file.fileno()), file.read(MAX_BYTES + 1)
            self._principals = read_tokens(content, self._settings)
        except (OSError, ValueError, RecursionError) as error:  # the last one by arrays in arrays
            raise SettingsError(
                f"AUTH_TOKENS_FILE={path!r} can't be used: {error}; allowed: TOML as `flask --app app make-token` shows"
            ) from error
        self._version = _version(status)

    def _refresh(self) -> None:
        now = self._clock()
        if self._was_checked(now) or not self._lock.acquire(blocking=self._checked_at is None):
            return
        try:
            if not self._was_checked(now):  # while this thread waited
                self._check()
                self._checked_at = now
        finally:
            self._lock.release()

    def _was_checked(self, now: float) -> bool:
        return self._checked_at is not None and now - self._checked_at < CHECK_SECONDS

    def _check(self) -> None:
        """Read the file if it has changed."""
        try:
            version = _version(os.stat(self._settings.auth_tokens_file))
        except OSError:
            version = None
        if version in (self._version, self._failed):
            return
        try:
            self.load()
            log.info("tokens read: %d", len(self._principals))
        except SettingsError as error:
            self._failed = version
            log.error("%s; %d tokens read before stay valid", error, len(self._principals))


def _version(status: os.stat_result) -> _Version:
    return status.st_mtime_ns, status.st_size, status.st_ino


def read_tokens(content: bytes, settings: Settings) -> dict[bytes, Principal]:
    """Return the principals in a tokens file by the hash of their token. Raises ValueError."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    tables = tomllib.loads(content.decode("utf-8"))
    if len(tables) > MAX_TOKENS:
        raise ValueError(f"it has {len(tables)} tokens; allowed: {MAX_TOKENS}")
    found: dict[bytes, Principal] = {}
    for name, table in tables.items():
        try:
            principal = _read(name, table, settings)
        except ValueError as error:
            raise ValueError(f"[{name[:64]}]: {error}") from error
        if principal.key in found:
            raise ValueError(f"[{name}]: it has the hash of [{found[principal.key].name}]")
        found[principal.key] = principal
    return found


def _read(name: str, table: Any, settings: Settings) -> Principal:
    if not NAME.fullmatch(name):
        raise ValueError("a name has letters, digits, _ and -, 64 at most")
    if not isinstance(table, dict):
        raise ValueError("it is no table")
    given = dict(table)
    stated, expires = str(given.pop("hash", "")), given.pop("expires", None)
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", stated):
        raise ValueError("hash must be sha256: and 64 hexadecimal digits")
    try:
        expires_at = None if expires is None else msgspec.convert(expires, _Moment).timestamp()
    except ValueError as error:
        raise ValueError("expires must be a time with an offset, such as 2027-01-01T00:00:00Z") from error
    return principal_of(claims_of(given), settings, name, bytes.fromhex(stated.removeprefix(HASH)), expires_at)
