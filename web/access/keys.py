"""Public keys for JWT: a key set (RFC 7517) of a URL or a file, or one key in PEM.

A URL is fetched on a thread of its own, which ends after that. No request waits for it. A key that is not known makes
it be fetched again, so that keys can be rotated. When it can't be fetched, the keys that are known stay.
"""

import logging
import os
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from werkzeug.exceptions import ServiceUnavailable

from .tokens import CHECK_SECONDS

log = logging.getLogger("greenwave.web.access")

MAX_BYTES = 262_144
MAX_KEYS = 100
MIN_RSA_BITS = 2_048
FETCH_SECONDS = 5.0
"""Timeout of a fetch."""
REFRESH_SECONDS = 300.0
"""How old the keys of a URL become before they are fetched again."""
RETRY_SECONDS = 10.0
"""Shortest time between two fetches, also for keys that are not known."""


class VerifyingKey(NamedTuple):
    """A key, and the only algorithm that it is used for."""

    key: Any
    algorithm: str


class UnknownKey(ValueError):
    """There is no such key."""


class KeySource(Protocol):
    """Where keys come from."""

    def load(self) -> None:
        """Read them at the start. Raises OSError, ValueError."""

    def prepare(self) -> None:
        """Begin to fetch them, if that is due. Does not wait."""

    def find(self, kid: object) -> VerifyingKey:
        """Return the key of an id; None asks for the only one. Raises UnknownKey."""


class KeySet:
    """Keys by id. Immutable."""

    def __init__(self, keys: dict[object, VerifyingKey], is_one: bool = False) -> None:
        self._keys = keys
        self._only = next(iter(keys.values())) if is_one or len(keys) == 1 else None
        self._is_one = is_one

    def find(self, kid: object) -> VerifyingKey:
        """Return the key of an id. Raises UnknownKey."""
        found = self._only if kid is None or self._is_one else self._keys.get(kid) if isinstance(kid, str) else None
        if found is None:
            raise UnknownKey("there is no such key")
        return found


def read_keys(content: bytes) -> KeySet:
    """Return the keys of a key set, or of PEM. Raises ValueError."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    if content.lstrip().startswith(b"-----BEGIN"):
        return KeySet({None: _usable(load_pem_public_key(content))}, is_one=True)
    given = msgspec.json.decode(content, type=dict[str, Any]).get("keys")
    if not isinstance(given, list) or len(given) > MAX_KEYS:
        raise ValueError(f"it needs `keys`, {MAX_KEYS} at most")
    found = {each.get("kid"): key for each in given if isinstance(each, dict) and (key := _of_set(each)) is not None}
    if not found:
        raise ValueError("it has no RSA key of 2048 bits and no EC key of the curve P-256, for signatures")
    return KeySet(found)


def _of_set(given: dict[str, Any]) -> VerifyingKey | None:
    """Return a key of a set; None for one that is not for RS256 or ES256, which a set may have beside."""
    if given.get("use", "sig") != "sig" or not isinstance(given.get("kid"), str | None) or "d" in given:
        return None
    try:
        key = _usable(jwt.PyJWK(given, {"RSA": "RS256", "EC": "ES256"}.get(str(given.get("kty")))).key)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return key if given.get("alg", key.algorithm) == key.algorithm else None


def _usable(key: Any) -> VerifyingKey:
    if isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
        return VerifyingKey(key, "RS256")
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return VerifyingKey(key, "ES256")
    raise ValueError("a key must be RSA with 2048 bits or more, or EC with the curve P-256")


class KeyFile:
    """The keys of a file, which is read again when it has changed."""

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._checked_at = -CHECK_SECONDS
        self._version: object = None
        self._keys = KeySet({})

    def load(self) -> None:
        """Read the file. Raises OSError, ValueError."""
        with open(self._path, "rb") as file:
            self._keys = read_keys(file.read(MAX_BYTES + 1))

    def prepare(self) -> None:
        """Read the file if it has changed; keep the keys before when it can't be used."""
        now = self._clock()
        if now - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = now
        try:
            status = os.stat(self._path)
            version = status.st_mtime_ns, status.st_size, status.st_ino
            if version != self._version:
                self._version = version
                self.load()
        except (OSError, ValueError) as error:
            log.error("AUTH_JWT_KEYS=%r can't be used: %s; the keys read before stay valid", self._path, error)

    def find(self, kid: object) -> VerifyingKey:
        """Return the key of an id. Raises UnknownKey."""
        self.prepare()
        return self._keys.find(kid)


class KeyUrl:
    """The keys of a URL."""

    def __init__(
        self, url: str, fetch: Callable[[str], bytes] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._fetch = fetch or fetch_keys
        self._clock = clock
        self._keys: KeySet | None = None
        self._began_at: float | None = None
        self._fetched_at: float | None = None
        self._thread: threading.Thread | None = None

    def load(self) -> None:
        """Do nothing: a server that is away for a moment stops no start."""

    def prepare(self) -> None:
        """Fetch the keys if they are old."""
        if self._fetched_at is None or self._clock() - self._fetched_at >= REFRESH_SECONDS:
            self._begin()

    def find(self, kid: object) -> VerifyingKey:
        """Return the key of an id. Raises UnknownKey; ServiceUnavailable before any keys are known."""
        self.prepare()
        if self._keys is None:
            raise ServiceUnavailable("the keys for tokens are not known yet; retry", retry_after=1)
        try:
            return self._keys.find(kid)
        except UnknownKey:
            self._begin()
            raise

    def join(self) -> None:
        """Wait until no fetch is under way."""
        if self._thread is not None:
            self._thread.join()

    def _begin(self) -> None:
        now = self._clock()
        if self._began_at is not None and now - self._began_at < RETRY_SECONDS:
            return
        if self._thread is not None and self._thread.is_alive():
            return
        self._began_at = now
        self._thread = threading.Thread(target=self._run, name="greenwave-keys", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._keys = read_keys(self._fetch(self._url))
            self._fetched_at = self._clock()
        except (OSError, ValueError) as error:
            log.error("the keys at AUTH_JWT_KEYS can't be fetched: %s; those that are known stay valid", error)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow no redirect: it may lead to plain HTTP, or to a host inside."""


def fetch_keys(url: str) -> bytes:
    """Return what a URL answers, at most one byte more than is allowed. Raises OSError."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    with urllib.request.build_opener(_NoRedirects).open(request, timeout=FETCH_SECONDS) as answer:
        return bytes(answer.read(MAX_BYTES + 1))
